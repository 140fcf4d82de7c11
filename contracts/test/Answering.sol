// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {Assurance} from "../src/Assurances.sol";
import {Call, Standing} from "../src/CallRecords.sol";
import {FaaSServiceManager} from "../src/FaaSServiceManager.sol";
import {Claim, Place, Receipts} from "../src/Receipts.sol";
import {Checks} from "./Checks.sol";
import {TangleDouble} from "./TangleDouble.sol";

/// @notice A manager on a Tangle, and operators with keys who post signed results.
abstract contract Answering is Checks {
    bytes internal constant INPUTS = "a job's payload";
    bytes32 internal constant PROFILE = bytes32(uint256(1));
    bytes32 internal constant SNAPSHOT = bytes32(uint256(2));
    address internal constant CUSTOMER = address(0xC0);

    TangleDouble internal tangle;
    FaaSServiceManager internal manager;

    function _deploy() internal {
        tangle = new TangleDouble();
        manager = new FaaSServiceManager(address(tangle), address(this));
        tangle.bind(manager, address(this));
    }

    /// @dev Operators are keys 1 to `count`.
    function _service(uint256 count, Assurance memory assurance) internal returns (uint64) {
        return tangle.requestService(CUSTOMER, _operators(count), abi.encode(assurance));
    }

    function _operators(uint256 count) internal pure returns (address[] memory operators) {
        operators = new address[](count);
        for (uint256 number = 0; number < count; number++) {
            operators[number] = keys.addr(number + 1);
        }
    }

    function _submit(uint64 service) internal returns (uint64) {
        vm.prank(CUSTOMER);
        return tangle.submitJob(service, INPUTS);
    }

    /// @dev Claims differ by their outcome.
    function _claim(uint256 outcome) internal pure returns (Claim memory) {
        bytes memory encoded = _outcome(outcome);
        return
            Claim(
                PROFILE, SNAPSHOT, 0, keccak256(INPUTS), keccak256(encoded), bytes32(outcome), uint64(outcome)
            );
    }

    /// @dev 181 bytes as the outcome's fields are laid out.
    function _outcome(uint256 outcome) internal pure returns (bytes memory) {
        bytes memory stream = abi.encodePacked(uint8(3), uint64(2), bytes32(outcome), false);
        bytes memory files = abi.encodePacked(uint8(4), uint32(0), uint64(0), bytes32(outcome), false);
        bytes memory trace = abi.encodePacked(uint8(2), uint32(0), bytes32(outcome));
        bytes memory head = abi.encodePacked(uint8(0), int32(0), uint8(0), uint64(outcome));
        return bytes.concat(head, stream, stream, files, trace);
    }

    function _sign(uint256 key, uint64 service, uint64 call, Claim memory claim)
        internal
        view
        returns (bytes memory)
    {
        Place memory place = Place(service, call, keys.addr(key));
        return _signature(key, Receipts.signingDigest(claim, place, address(tangle)));
    }

    function _signature(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = keys.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function _result(uint256 outcome, Claim memory claim, bytes memory signature)
        internal
        pure
        returns (bytes memory)
    {
        bytes memory head = abi.encodePacked(
            uint16(3), claim.profileId, claim.snapshot, claim.toolchain, claim.jobDigest, claim.stateRoot
        );
        bytes memory output = hex"05020168690100"; // some inline output; not part of the claim
        return bytes.concat(head, hex"08", _outcome(outcome), output, hex"41", signature);
    }

    function _post(uint256 key, uint64 service, uint64 call, uint256 outcome) internal {
        Claim memory claim = _claim(outcome);
        _postRaw(key, service, call, _result(outcome, claim, _sign(key, service, call, claim)));
    }

    function _postRaw(uint256 key, uint64 service, uint64 call, bytes memory result) internal {
        vm.prank(keys.addr(key));
        tangle.submitResult(service, call, result);
    }

    function _bring(uint256 key, uint64 service, uint64 call, uint256 outcome) internal {
        Claim memory claim = _claim(outcome);
        manager.bringReceipt(Place(service, call, keys.addr(key)), claim, _sign(key, service, call, claim));
    }

    function _stands(uint64 service, uint64 call, Standing standing) internal view {
        Call memory entry = manager.callOf(service, call);
        vm.assertEq(uint256(entry.standing), uint256(standing));
    }

    function _established(uint64 service, uint64 call, uint256 outcome) internal view returns (bool) {
        return manager.isEstablished(service, call, _claim(outcome));
    }

    function _quorum(uint8 agreeing, uint8 answers) internal pure returns (Assurance memory) {
        return Assurance(agreeing, answers, 0, false);
    }

    function _refuses(address caller, bytes memory data, bytes memory reason) internal {
        vm.prank(caller);
        (bool done, bytes memory answer) = address(manager).call(data);
        vm.assertFalse(done);
        vm.assertEq(keccak256(answer), keccak256(reason));
    }
}
