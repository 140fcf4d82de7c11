// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {Assurances} from "./Assurances.sol";
import {Calls} from "./Calls.sol";
import {Evidence} from "./Evidence.sol";
import {ITangleHooks} from "./ITangleHooks.sol";
import {Measurements} from "./Measurements.sol";
import {Place} from "./Receipts.sol";

/// @title The service manager of the verified execution blueprint
/// @notice Says which machine profiles, base snapshots and toolchains count, how sure each service wants to
/// be of a result, when the operators' answers agree, and what an operator can be slashed for.
/// @dev Only the Tangle named at deployment may call hooks, and only for one blueprint, created by this
/// contract's owner: a stranger can neither bind the manager nor write to it. No function takes or holds
/// value. No hook refuses a job, a registration or a result; a request is refused when it asks for an
/// assurance that cannot be had.
contract FaaSServiceManager is ITangleHooks, Evidence {
    event BlueprintBound(uint64 indexed blueprintId);

    error NotTangle(address caller);
    error AlreadyBound(uint64 blueprintId);
    error NotOurBlueprint(address blueprintOwner);

    modifier onlyTangle() {
        if (msg.sender != tangle) revert NotTangle(msg.sender);
        _;
    }

    constructor(address tangle_, address owner_) Measurements(owner_) Assurances(tangle_) {}

    // Views

    /// @notice See `Calls`, where it is counted.
    function getRequiredResultCount(uint64 serviceId, uint8 job)
        public
        view
        override(ITangleHooks, Calls)
        returns (uint32)
    {
        return super.getRequiredResultCount(serviceId, job);
    }

    /// @notice Never: Tangle's aggregation cannot add up more than one signer's key.
    function requiresAggregation(uint64, uint8) external pure returns (bool) {
        return false;
    }

    /// @notice The developer's share of payments goes to the owner.
    function queryDeveloperPaymentAddress(uint64) external view returns (address payable) {
        return payable(owner());
    }

    /// @notice Native payments only.
    function queryIsPaymentAssetAllowed(uint64, address asset) external pure returns (bool) {
        return asset == address(0);
    }

    /// @notice Only whom the service's owner admits.
    function canJoin(uint64 serviceId, address operator) external view returns (bool) {
        return isAdmitted[serviceId][operator];
    }

    /// @notice This contract itself, which proposes a slash on evidence only.
    function querySlashingOrigin(uint64) external view returns (address) {
        return address(this);
    }

    /// @notice The owner, who can dispute a slash without a bond.
    function queryDisputeOrigin(uint64) external view returns (address) {
        return owner();
    }

    // Hooks that do something

    /// @notice Binds this manager to the one blueprint that its owner creates.
    function onBlueprintCreated(uint64 blueprintId_, address blueprintOwner, address tangle_)
        external
        onlyTangle
    {
        if (bound) revert AlreadyBound(blueprintId);
        if (tangle_ != tangle) revert NotTangle(tangle_);
        if (blueprintOwner != owner()) revert NotOurBlueprint(blueprintOwner);
        bound = true;
        blueprintId = blueprintId_;
        emit BlueprintBound(blueprintId_);
    }

    /// @notice Takes the assurance that a request asks for in its configuration, if any.
    function onRequest(
        uint64 requestId,
        address requester,
        address[] calldata operators,
        bytes calldata configuration,
        uint64,
        address,
        uint256
    ) external onlyTangle {
        _request(requestId, requester, configuration, operators.length);
    }

    /// @notice Gives the service the assurance that its request asked for.
    function onServiceInitialized(
        uint64,
        uint64 requestId,
        uint64 serviceId,
        address serviceOwner,
        address[] calldata,
        uint64
    ) external onlyTangle {
        _activate(requestId, serviceId, serviceOwner);
    }

    /// @notice Notes the job's digest and the assurance that is in force.
    function onJobCall(uint64 serviceId, uint8, uint64 callId, bytes calldata inputs) external onlyTangle {
        _open(serviceId, callId, keccak256(inputs));
    }

    /// @notice Up to 0.18, where the hook is shown the inputs.
    function onJobResult(
        uint64 serviceId,
        uint8 job,
        uint64 callId,
        address operator,
        bytes calldata inputs,
        bytes calldata outputs
    ) external onlyTangle {
        _record(Place(serviceId, callId, operator), job, keccak256(inputs), outputs);
    }

    /// @notice From 0.19 on, where it is shown their hash.
    function onJobResult(
        uint64 serviceId,
        uint8 job,
        uint64 callId,
        address operator,
        bytes32 inputsHash,
        bytes calldata outputs
    ) external onlyTangle {
        _record(Place(serviceId, callId, operator), job, inputsHash, outputs);
    }

    // Hooks that do nothing

    /// @notice Nothing.
    function onRegister(address, bytes calldata) external view onlyTangle {}

    /// @notice Nothing.
    function onServiceTermination(uint64, address) external view onlyTangle {}

    /// @notice Nothing.
    function onApprove(address, uint64, uint8) external view onlyTangle {}

    /// @notice Nothing.
    function onReject(address, uint64) external view onlyTangle {}

    /// @notice Nothing.
    function onUnregister(address) external view onlyTangle {}

    /// @notice Nothing.
    function onUpdatePreferences(address, bytes calldata) external view onlyTangle {}

    /// @notice Nothing.
    function onUnappliedSlash(uint64, bytes calldata, uint8) external view onlyTangle {}

    /// @notice Nothing.
    function onSlash(uint64, bytes calldata, uint8) external view onlyTangle {}
}
