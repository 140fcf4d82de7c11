// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {IResultReceiver} from "../src/IResultReceiver.sol";

interface ITangleJobs {
    function submitJob(uint64 serviceId, uint8 job, bytes calldata inputs) external payable returns (uint64);
}

interface IManagerCallbacks {
    function requestCallback(uint64 serviceId, uint64 callId, uint32 gasLimit) external;
}

/// @notice A contract that has jobs run for it on the real protocol, and is told how they end.
contract JobCaller is IResultReceiver {
    ITangleJobs private immutable tangle;
    IManagerCallbacks private immutable manager;

    mapping(uint64 serviceId => mapping(uint64 callId => bytes32)) public agreement;
    mapping(uint64 serviceId => mapping(uint64 callId => uint256)) public told;

    error NotTheManager();
    error NotNow();

    /// @notice While set, callbacks are refused.
    bool public busy;

    constructor(ITangleJobs tangle_, IManagerCallbacks manager_) {
        (tangle, manager) = (tangle_, manager_);
    }

    function submit(uint64 serviceId, bytes calldata inputs) external payable returns (uint64 callId) {
        callId = tangle.submitJob{value: msg.value}(serviceId, 0, inputs);
        manager.requestCallback(serviceId, callId, 80_000);
    }

    function setBusy(bool busy_) external {
        busy = busy_;
    }

    function onExecutionResult(uint64 serviceId, uint64 callId, bool decided, bytes32 agreement_) external {
        if (msg.sender != address(manager)) revert NotTheManager();
        if (busy) revert NotNow();
        told[serviceId][callId]++;
        if (decided) agreement[serviceId][callId] = agreement_;
    }
}
