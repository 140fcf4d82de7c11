// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

/// @title What our contracts ask of Tangle
/// @notice The same in protocol 0.10.6 and from 0.19.1 on. The two views that answer a tuple are declared with
/// the words that the epochs share; what follows them is not read.
interface ITangle {
    /// @notice A service; zeros when there is none.
    function getService(uint64 serviceId)
        external
        view
        returns (
            uint64 blueprintId,
            address owner,
            uint64 createdAt,
            uint64 ttl,
            uint64 terminatedAt,
            uint64 lastPaymentAt,
            uint32 operatorCount
        );
    /// @notice A job call.
    function getJobCall(uint64 serviceId, uint64 callId)
        external
        view
        returns (uint8 jobIndex, address caller, uint64 createdAt, uint32 resultCount);
    /// @notice Who may answer a job from quotes; nobody when it is none.
    function getJobQuotedOperators(uint64 serviceId, uint64 callId) external view returns (address[] memory);
    /// @notice Whether an operator serves a service now.
    function isServiceOperator(uint64 serviceId, address operator) external view returns (bool);
    /// @notice Proposes a slash, which can be executed after the dispute window.
    function proposeSlash(uint64 serviceId, address operator, uint16 slashBps, bytes32 evidence)
        external
        returns (uint64 slashId);
}
