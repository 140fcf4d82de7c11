// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ITangleHooks} from "./ITangleHooks.sol";

/// @title The service manager of the verified execution blueprint
/// @notice Says which machine profiles and base snapshots count, how many results a job needs, and keeps the
/// hash of every result that an operator posted, so that a contract can check a result that it is shown.
/// @dev Only the Tangle named at deployment may call hooks, and only for one blueprint, created by this
/// contract's owner: a stranger can neither bind the manager nor write to it. No function takes or holds
/// value, none loops over anything that a stranger can grow, and no hook refuses a job, a registration or a
/// request: that is the protocol's business.
contract FaaSServiceManager is ITangleHooks, Ownable2Step {
    /// @notice A required result count lies between 1 and this, Tangle's own cap on operators of a service.
    uint32 public constant MAX_REQUIRED_RESULTS = 128;

    /// @notice The one Tangle router that is trusted.
    address public immutable tangle;

    /// @notice Whether the blueprint exists, and with which id.
    bool public bound;
    uint64 public blueprintId;

    /// @notice Machine profiles that receipts may name.
    mapping(bytes32 profileId => bool) public isProfile;

    /// @notice The machine profile of a base snapshot by its measurement; zero when it is not registered.
    mapping(bytes32 measurement => bytes32 profileId) public profileOfSnapshot;

    /// @notice Keccak-256 of what an operator posted as result of a call; zero when it posted nothing.
    mapping(uint64 serviceId => mapping(uint64 callId => mapping(address operator => bytes32))) public
        resultHash;

    mapping(uint64 serviceId => uint32) private _requiredResults;

    event BlueprintBound(uint64 indexed blueprintId);
    event ProfileRegistered(bytes32 indexed profileId);
    event ProfileRetired(bytes32 indexed profileId);
    event SnapshotRegistered(bytes32 indexed measurement, bytes32 indexed profileId);
    event SnapshotRetired(bytes32 indexed measurement);
    event RequiredResultsSet(uint64 indexed serviceId, uint32 count);
    event ResultRecorded(
        uint64 indexed serviceId,
        uint64 indexed callId,
        address indexed operator,
        uint8 job,
        bytes32 resultHash
    );

    error NotTangle(address caller);
    error AlreadyBound(uint64 blueprintId);
    error NotOurBlueprint(address blueprintOwner);
    error ZeroValue();
    error UnknownProfile(bytes32 profileId);
    error UnknownSnapshot(bytes32 measurement);
    error RequiredResultsOutOfRange(uint32 count);
    error OwnerRequired();

    modifier onlyTangle() {
        if (msg.sender != tangle) revert NotTangle(msg.sender);
        _;
    }

    constructor(address tangle_, address owner_) Ownable(owner_) {
        if (tangle_ == address(0)) revert ZeroValue();
        tangle = tangle_;
    }

    // Owner

    /// @notice Registers a machine profile. Registering again changes nothing but says so once more.
    function registerProfile(bytes32 profileId) external onlyOwner {
        if (profileId == 0) revert ZeroValue();
        isProfile[profileId] = true;
        emit ProfileRegistered(profileId);
    }

    /// @notice Retires a machine profile; its snapshots no longer count either.
    function retireProfile(bytes32 profileId) external onlyOwner {
        if (!isProfile[profileId]) revert UnknownProfile(profileId);
        isProfile[profileId] = false;
        emit ProfileRetired(profileId);
    }

    /// @notice Registers the measurement of a base snapshot of a registered profile.
    function registerSnapshot(bytes32 measurement, bytes32 profileId) external onlyOwner {
        if (measurement == 0) revert ZeroValue();
        if (!isProfile[profileId]) revert UnknownProfile(profileId);
        profileOfSnapshot[measurement] = profileId;
        emit SnapshotRegistered(measurement, profileId);
    }

    /// @notice Retires a base snapshot.
    function retireSnapshot(bytes32 measurement) external onlyOwner {
        if (profileOfSnapshot[measurement] == 0) revert UnknownSnapshot(measurement);
        delete profileOfSnapshot[measurement];
        emit SnapshotRetired(measurement);
    }

    /// @notice Sets how many results complete a job of a service.
    function setRequiredResults(uint64 serviceId, uint32 count) external onlyOwner {
        if (count == 0 || count > MAX_REQUIRED_RESULTS) revert RequiredResultsOutOfRange(count);
        _requiredResults[serviceId] = count;
        emit RequiredResultsSet(serviceId, count);
    }

    /// @notice The developer's share of payments goes to the owner, so there has to be one.
    function renounceOwnership() public view override onlyOwner {
        revert OwnerRequired();
    }

    // Views

    /// @notice Whether a receipt may name this snapshot: it is registered and its profile still counts.
    function isSnapshot(bytes32 measurement) external view returns (bool) {
        return isProfile[profileOfSnapshot[measurement]];
    }

    /// @notice Whether an operator posted exactly these bytes as result of a call.
    function hasPosted(uint64 serviceId, uint64 callId, address operator, bytes calldata result)
        external
        view
        returns (bool)
    {
        return resultHash[serviceId][callId][operator] == keccak256(result);
    }

    function getRequiredResultCount(uint64 serviceId, uint8) external view returns (uint32) {
        uint32 count = _requiredResults[serviceId];
        return count == 0 ? 1 : count;
    }

    /// @notice Never: Tangle's aggregation cannot add up more than one signer's key.
    function requiresAggregation(uint64, uint8) external pure returns (bool) {
        return false;
    }

    function queryDeveloperPaymentAddress(uint64) external view returns (address payable) {
        return payable(owner());
    }

    /// @notice Native payments only.
    function queryIsPaymentAssetAllowed(uint64, address asset) external pure returns (bool) {
        return asset == address(0);
    }

    function querySlashingOrigin(uint64) external view returns (address) {
        return owner();
    }

    function queryDisputeOrigin(uint64) external view returns (address) {
        return owner();
    }

    // Hooks

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

    /// @notice Up to 0.18, where the hook is shown the inputs.
    function onJobResult(
        uint64 serviceId,
        uint8 job,
        uint64 callId,
        address operator,
        bytes calldata,
        bytes calldata outputs
    ) external onlyTangle {
        _record(serviceId, job, callId, operator, outputs);
    }

    /// @notice From 0.19 on, where it is shown their hash.
    function onJobResult(
        uint64 serviceId,
        uint8 job,
        uint64 callId,
        address operator,
        bytes32,
        bytes calldata outputs
    ) external onlyTangle {
        _record(serviceId, job, callId, operator, outputs);
    }

    function onRegister(address, bytes calldata) external view onlyTangle {}

    function onRequest(uint64, address, address[] calldata, bytes calldata, uint64, address, uint256)
        external
        view
        onlyTangle
    {}

    function onJobCall(uint64, uint8, uint64, bytes calldata) external view onlyTangle {}

    function onServiceInitialized(uint64, uint64, uint64, address, address[] calldata, uint64)
        external
        view
        onlyTangle
    {}

    function onServiceTermination(uint64, address) external view onlyTangle {}

    function onApprove(address, uint64, uint8) external view onlyTangle {}

    function onReject(address, uint64) external view onlyTangle {}

    function onUnregister(address) external view onlyTangle {}

    function onUpdatePreferences(address, bytes calldata) external view onlyTangle {}

    function onUnappliedSlash(uint64, bytes calldata, uint8) external view onlyTangle {}

    function onSlash(uint64, bytes calldata, uint8) external view onlyTangle {}

    /// @dev Tangle takes one result per operator and call; should it ever call twice, the first one stands.
    function _record(uint64 serviceId, uint8 job, uint64 callId, address operator, bytes calldata outputs)
        private
    {
        if (resultHash[serviceId][callId][operator] != 0) return;
        bytes32 hash = keccak256(outputs);
        resultHash[serviceId][callId][operator] = hash;
        emit ResultRecorded(serviceId, callId, operator, job, hash);
    }
}
