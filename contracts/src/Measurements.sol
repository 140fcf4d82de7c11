// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Claim} from "./Receipts.sol";

/// @title Which machine profiles, base snapshots and toolchains count
/// @notice Kept by the blueprint's owner. A snapshot or toolchain counts while its profile does.
abstract contract Measurements is Ownable2Step {
    /// @notice Machine profiles that receipts may name.
    mapping(bytes32 profileId => bool) public isProfile;

    /// @notice The machine profile of a base snapshot by its measurement; zero when it is not registered.
    mapping(bytes32 measurement => bytes32 profileId) public profileOfSnapshot;

    /// @notice The machine profile of a toolchain by its measurement; zero when it is not registered.
    mapping(bytes32 measurement => bytes32 profileId) public profileOfToolchain;

    event ProfileRegistered(bytes32 indexed profileId);
    event ProfileRetired(bytes32 indexed profileId);
    event SnapshotRegistered(bytes32 indexed measurement, bytes32 indexed profileId);
    event SnapshotRetired(bytes32 indexed measurement);
    event ToolchainRegistered(bytes32 indexed measurement, bytes32 indexed profileId);
    event ToolchainRetired(bytes32 indexed measurement);

    error ZeroValue();
    error UnknownProfile(bytes32 profileId);
    error UnknownSnapshot(bytes32 measurement);
    error UnknownToolchain(bytes32 measurement);
    error OwnerRequired();

    constructor(address owner_) Ownable(owner_) {}

    /// @notice Registers a machine profile. Registering again changes nothing but says so once more.
    function registerProfile(bytes32 profileId) external onlyOwner {
        if (profileId == 0) revert ZeroValue();
        isProfile[profileId] = true;
        emit ProfileRegistered(profileId);
    }

    /// @notice Retires a machine profile; its snapshots and toolchains no longer count either.
    function retireProfile(bytes32 profileId) external onlyOwner {
        if (!isProfile[profileId]) revert UnknownProfile(profileId);
        isProfile[profileId] = false;
        emit ProfileRetired(profileId);
    }

    /// @notice Registers the measurement of a base snapshot of a registered profile.
    function registerSnapshot(bytes32 measurement, bytes32 profileId) external onlyOwner {
        _checkMeasurement(measurement, profileId);
        profileOfSnapshot[measurement] = profileId;
        emit SnapshotRegistered(measurement, profileId);
    }

    /// @notice Retires a base snapshot.
    function retireSnapshot(bytes32 measurement) external onlyOwner {
        if (profileOfSnapshot[measurement] == 0) revert UnknownSnapshot(measurement);
        delete profileOfSnapshot[measurement];
        emit SnapshotRetired(measurement);
    }

    /// @notice Registers the measurement of a toolchain's snapshot of a registered profile.
    function registerToolchain(bytes32 measurement, bytes32 profileId) external onlyOwner {
        _checkMeasurement(measurement, profileId);
        profileOfToolchain[measurement] = profileId;
        emit ToolchainRegistered(measurement, profileId);
    }

    /// @notice Retires a toolchain.
    function retireToolchain(bytes32 measurement) external onlyOwner {
        if (profileOfToolchain[measurement] == 0) revert UnknownToolchain(measurement);
        delete profileOfToolchain[measurement];
        emit ToolchainRetired(measurement);
    }

    /// @notice Somebody has to keep the register, and the developer's share of payments goes to the owner.
    function renounceOwnership() public view override onlyOwner {
        revert OwnerRequired();
    }

    /// @notice Whether a receipt may name this snapshot: it is registered and its profile still counts.
    function isSnapshot(bytes32 measurement) public view returns (bool) {
        return isProfile[profileOfSnapshot[measurement]];
    }

    /// @notice Whether a receipt may name this toolchain: it is registered and its profile still counts.
    function isToolchain(bytes32 measurement) public view returns (bool) {
        return isProfile[profileOfToolchain[measurement]];
    }

    /// @notice Whether all that a claim started from is registered; a zero toolchain is none and always counts.
    function isRegistered(Claim memory claim) public view returns (bool) {
        return profileOfSnapshot[claim.snapshot] == claim.profileId && isSnapshot(claim.snapshot)
            && (claim.toolchain == 0 || isToolchain(claim.toolchain));
    }

    function _checkMeasurement(bytes32 measurement, bytes32 profileId) private view {
        if (measurement == 0) revert ZeroValue();
        if (!isProfile[profileId]) revert UnknownProfile(profileId);
    }
}
