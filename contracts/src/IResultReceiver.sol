// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

/// @title A contract that submits jobs and wants to be told how they end
interface IResultReceiver {
    /// @notice Called once by the service manager, after the call's state is settled.
    /// @param decided False when the answers did not agree; `agreement` is then zero.
    /// @param agreement The agreement digest, see `FaaSServiceManager.isEstablished`.
    function onExecutionResult(uint64 serviceId, uint64 callId, bool decided, bytes32 agreement) external;
}
