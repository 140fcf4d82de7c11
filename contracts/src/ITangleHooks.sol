// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

/// @title What Tangle calls on a blueprint's service manager
/// @notice Hooks of protocol 0.10.6 and of 0.19.1 to 0.20.0 side by side; `onJobResult` differs between them.
/// Tangle reverts the user's transaction when a hook of the first group reverts, ignores failures of the
/// second, and takes a default when a view of the third fails (but for asset and origin, which fail closed).
interface ITangleHooks {
    function onBlueprintCreated(uint64 blueprintId, address owner, address tangle) external;
    function onRegister(address operator, bytes calldata inputs) external;
    function onRequest(
        uint64 requestId,
        address requester,
        address[] calldata operators,
        bytes calldata inputs,
        uint64 ttl,
        address asset,
        uint256 amount
    ) external;
    function onJobCall(uint64 serviceId, uint8 job, uint64 callId, bytes calldata inputs) external;

    function onJobResult(
        uint64 serviceId,
        uint8 job,
        uint64 callId,
        address operator,
        bytes calldata inputs,
        bytes calldata outputs
    ) external;
    function onJobResult(
        uint64 serviceId,
        uint8 job,
        uint64 callId,
        address operator,
        bytes32 inputsHash,
        bytes calldata outputs
    ) external;
    function onServiceInitialized(
        uint64 blueprintId,
        uint64 requestId,
        uint64 serviceId,
        address owner,
        address[] calldata callers,
        uint64 ttl
    ) external;
    function onServiceTermination(uint64 serviceId, address owner) external;
    function onApprove(address operator, uint64 requestId, uint8 stakingPercent) external;
    function onReject(address operator, uint64 requestId) external;
    function onUnregister(address operator) external;
    function onUpdatePreferences(address operator, bytes calldata preferences) external;
    function onUnappliedSlash(uint64 serviceId, bytes calldata offender, uint8 percent) external;
    function onSlash(uint64 serviceId, bytes calldata offender, uint8 percent) external;

    function getRequiredResultCount(uint64 serviceId, uint8 job) external view returns (uint32);
    function requiresAggregation(uint64 serviceId, uint8 job) external view returns (bool);
    function queryDeveloperPaymentAddress(uint64 serviceId) external view returns (address payable);
    function queryIsPaymentAssetAllowed(uint64 serviceId, address asset) external view returns (bool);
    function canJoin(uint64 serviceId, address operator) external view returns (bool);
    function querySlashingOrigin(uint64 serviceId) external view returns (address);
    function queryDisputeOrigin(uint64 serviceId) external view returns (address);
}
