// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {Call, CallRecords, Standing} from "./CallRecords.sol";
import {IResultReceiver} from "./IResultReceiver.sol";
import {ITangle} from "./ITangle.sol";

/// @title Tells contracts that submit jobs how they end
/// @notice A callback is asked for by call, costs no more gas than asked for, and decides nothing.
abstract contract Callbacks is CallRecords {
    /// @notice The most that a caller's callback may use.
    uint32 public constant MAX_CALLBACK_GAS = 100_000;

    /// @dev What a callback in a hook leaves for the rest of the hook.
    uint256 private constant CALLBACK_RESERVE = 60_000;

    event CallbackRequested(uint64 indexed serviceId, uint64 indexed callId, uint32 gasLimit);
    event CallbackAttempted(
        uint64 indexed serviceId, uint64 indexed callId, address indexed receiver, bool succeeded
    );

    error NotTheCaller(address caller);
    error CallbackGasOutOfRange(uint32 gasLimit);
    error NoCallbackDue();
    error NotEnoughGas(uint256 needed);

    /// @notice Asks for a callback when the call has ended. Only for the contract that submitted the job,
    /// best in the same transaction.
    function requestCallback(uint64 serviceId, uint64 callId, uint32 gasLimit) external {
        if (gasLimit == 0 || gasLimit > MAX_CALLBACK_GAS) revert CallbackGasOutOfRange(gasLimit);
        Call storage entry = _calls[serviceId][callId];
        Standing standing = entry.standing;
        if (standing == Standing.Unknown || _hasEnded(standing)) revert WrongStanding(standing);
        if (_callerOf(serviceId, callId) != msg.sender) revert NotTheCaller(msg.sender);
        entry.callbackGas = gasLimit;
        emit CallbackRequested(serviceId, callId, gasLimit);
    }

    /// @notice Makes a callback that is due still: it failed, or there was too little gas left for it.
    function deliverCallback(uint64 serviceId, uint64 callId) external {
        Call storage entry = _calls[serviceId][callId];
        if (!_hasEnded(entry.standing) || entry.callbackGas == 0) revert NoCallbackDue();
        if (!_hasGasFor(entry.callbackGas)) revert NotEnoughGas(entry.callbackGas);
        _callBack(entry, serviceId, callId);
    }

    function _callBackIfDue(Call storage entry, uint64 serviceId, uint64 callId) internal {
        uint256 gasLimit = entry.callbackGas;
        if (gasLimit == 0 || !_hasEnded(entry.standing) || !_hasGasFor(gasLimit)) return;
        _callBack(entry, serviceId, callId);
    }

    /// @dev Whatever the receiver does, it costs no more than it may, and what it answers is not looked at.
    /// The callback is not due while it runs; when it fails, it is due again, for `deliverCallback`.
    function _callBack(Call storage entry, uint64 serviceId, uint64 callId) private {
        uint32 gasLimit = entry.callbackGas;
        entry.callbackGas = 0;
        address receiver = _callerOf(serviceId, callId);
        bool decided = entry.standing == Standing.Final;
        bytes memory data =
            abi.encodeCall(IResultReceiver.onExecutionResult, (serviceId, callId, decided, entry.agreement));
        bool succeeded;
        assembly ("memory-safe") {
            // no answer is copied: its size is the receiver's choice
            succeeded := call(gasLimit, receiver, 0, add(data, 0x20), mload(data), 0, 0)
        }
        if (!succeeded) entry.callbackGas = gasLimit;
        emit CallbackAttempted(serviceId, callId, receiver, succeeded);
    }

    /// @dev A call passes on 63 of 64 parts at the most.
    function _hasGasFor(uint256 gasLimit) private view returns (bool) {
        return gasleft() > gasLimit + gasLimit / 63 + CALLBACK_RESERVE;
    }

    function _callerOf(uint64 serviceId, uint64 callId) private view returns (address caller) {
        (, caller,,) = ITangle(tangle).getJobCall(serviceId, callId);
    }
}
