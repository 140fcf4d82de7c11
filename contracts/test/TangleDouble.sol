// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {FaaSServiceManager} from "../src/FaaSServiceManager.sol";

/// @notice Tangle as far as a service manager can tell it from the real one: it calls hooks in the real order,
/// swallows their failures where Tangle does, and completes calls by the count that the manager asks for. The
/// real protocol is what tests/operator runs against; this one makes room for fuzzing and faults.
contract TangleDouble {
    uint256 private constant HOOK_GAS = 500_000;

    struct Service {
        uint64 blueprintId;
        address owner;
        address[] operators;
        uint64 calls;
    }

    struct JobCall {
        address caller;
        bytes inputs;
        uint32 results;
        bool completed;
        address[] quoted;
    }

    struct Slash {
        uint64 serviceId;
        address operator;
        uint16 bps;
        bytes32 evidence;
    }

    FaaSServiceManager public manager;
    uint256 public failedHooks;
    uint256 public lastHookGas;
    Slash[] public slashes;
    uint64 private requests;
    mapping(uint64 => Service) private services;
    mapping(uint64 => mapping(uint64 => JobCall)) private calls;
    mapping(uint64 => mapping(uint64 => mapping(address => bool))) public hasPosted;

    error NotAuthorised();
    error Closed();

    function bind(FaaSServiceManager manager_, address owner) external {
        manager = manager_;
        manager.onBlueprintCreated(0, owner, address(this));
    }

    // Services

    function requestService(address owner, address[] calldata operators, bytes calldata configuration)
        external
        returns (uint64 serviceId)
    {
        uint64 requestId = requests++;
        manager.onRequest(requestId, owner, operators, configuration, 0, address(0), 0);
        serviceId = requestId + 1; // never the request's own number
        services[serviceId] = Service(0, owner, operators, 0);
        manager.onServiceInitialized(0, requestId, serviceId, owner, new address[](0), 0);
    }

    /// @notice A request that waits for approval.
    function requestOnly(address owner, address[] calldata operators, bytes calldata configuration) external {
        manager.onRequest(requests++, owner, operators, configuration, 0, address(0), 0);
    }

    /// @notice A service from signed quotes comes without a request, and its hook names request 0.
    function createFromQuotes(uint64 serviceId, address owner, address[] calldata operators) external {
        services[serviceId] = Service(0, owner, operators, 0);
        manager.onServiceInitialized(0, 0, serviceId, owner, new address[](0), 0);
    }

    function addForeignService(uint64 serviceId, address owner, address[] calldata operators) external {
        services[serviceId] = Service(77, owner, operators, 0);
    }

    function removeOperator(uint64 serviceId) external {
        services[serviceId].operators.pop();
    }

    // Jobs

    function submitJob(uint64 serviceId, bytes calldata inputs) external returns (uint64 callId) {
        callId = services[serviceId].calls++;
        calls[serviceId][callId].caller = msg.sender;
        calls[serviceId][callId].inputs = inputs;
        manager.onJobCall(serviceId, 0, callId, inputs);
    }

    function submitJobFromQuotes(uint64 serviceId, bytes calldata inputs, address[] calldata quoted)
        external
        returns (uint64 callId)
    {
        callId = services[serviceId].calls++;
        calls[serviceId][callId].caller = msg.sender;
        calls[serviceId][callId].inputs = inputs;
        calls[serviceId][callId].quoted = quoted;
    }

    function submitResult(uint64 serviceId, uint64 callId, bytes calldata output) external {
        JobCall storage call_ = calls[serviceId][callId];
        if (call_.completed || hasPosted[serviceId][callId][msg.sender]) revert Closed();
        if (!isServiceOperator(serviceId, msg.sender)) revert NotAuthorised();
        hasPosted[serviceId][callId][msg.sender] = true;
        call_.results++;
        _hook(serviceId, callId, call_.inputs, output);
        if (call_.results >= manager.getRequiredResultCount(serviceId, 0)) call_.completed = true;
    }

    function _hook(uint64 serviceId, uint64 callId, bytes memory inputs, bytes calldata output) private {
        bytes memory data = abi.encodeWithSignature(
            "onJobResult(uint64,uint8,uint64,address,bytes,bytes)",
            serviceId,
            0,
            callId,
            msg.sender,
            inputs,
            output
        );
        uint256 before = gasleft();
        (bool done,) = address(manager).call{gas: HOOK_GAS}(data);
        lastHookGas = before - gasleft();
        if (!done) failedHooks++;
    }

    function proposeSlash(uint64 serviceId, address operator, uint16 bps, bytes32 evidence)
        external
        returns (uint64)
    {
        if (msg.sender != manager.querySlashingOrigin(serviceId)) revert NotAuthorised();
        slashes.push(Slash(serviceId, operator, bps, evidence));
        manager.onUnappliedSlash(serviceId, abi.encodePacked(operator), uint8(bps / 100));
        return uint64(slashes.length - 1);
    }

    // Views, shaped as the real ones

    function slashCount() external view returns (uint256) {
        return slashes.length;
    }

    function isCompleted(uint64 serviceId, uint64 callId) external view returns (bool) {
        return calls[serviceId][callId].completed;
    }

    function isServiceOperator(uint64 serviceId, address operator) public view returns (bool) {
        address[] storage operators = services[serviceId].operators;
        for (uint256 number = 0; number < operators.length; number++) {
            if (operators[number] == operator) return true;
        }
        return false;
    }

    function getJobQuotedOperators(uint64 serviceId, uint64 callId) external view returns (address[] memory) {
        return calls[serviceId][callId].quoted;
    }

    function getJobCall(uint64 serviceId, uint64 callId)
        external
        view
        returns (uint8, address, uint64, uint32, uint256, bool, bool)
    {
        JobCall storage call_ = calls[serviceId][callId];
        return (0, call_.caller, 1, call_.results, 0, call_.completed, call_.quoted.length != 0);
    }

    /// @notice Thirteen words; the manager reads the first, second and seventh.
    function getService(uint64 serviceId) external view returns (uint256[13] memory words) {
        Service storage service = services[serviceId];
        words[0] = service.blueprintId;
        words[1] = uint160(service.owner);
        words[6] = service.operators.length;
    }
}
