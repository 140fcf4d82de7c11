// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Calls} from "../src/Calls.sol";
import {Evidence} from "../src/Evidence.sol";
import {Claim, Place, Receipts} from "../src/Receipts.sol";
import {Answering} from "./Answering.sol";
import {TangleDouble} from "./TangleDouble.sol";

/// @notice What an operator can be slashed for, and what not.
contract EvidenceTest is Answering {
    bytes32 private constant REPORT = keccak256("where the runs part");

    uint64 private service;
    uint64 private call;

    function setUp() public {
        _deploy();
        service = _service(3, _quorum(2, 3));
        call = _submit(service);
    }

    function _equivocation(uint256 key, Claim memory first, Claim memory second) private returns (uint64) {
        Place memory place = Place(service, call, keys.addr(2));
        bytes memory left = _sign(key, service, call, first);
        return manager.proveEquivocation(place, first, left, second, _sign(2, service, call, second));
    }

    function test_two_receipts_that_contradict_are_slashed() public {
        vm.assertEq(uint256(_equivocation(2, _claim(1), _claim(2))), 0);
        (uint64 slashed, address operator, uint16 bps, bytes32 evidence) = tangle.slashes(0);
        vm.assertEq(uint256(slashed), uint256(service));
        vm.assertEq(operator, keys.addr(2));
        vm.assertEq(uint256(bps), 10_000);
        vm.assertEq(
            evidence, keccak256(abi.encode(Receipts.agreementOf(_claim(1)), Receipts.agreementOf(_claim(2))))
        );
    }

    function test_the_same_answer_is_slashed_once() public {
        _equivocation(2, _claim(1), _claim(2));
        vm.expectRevert(abi.encodeWithSelector(Evidence.AlreadyProposed.selector, keys.addr(2)));
        _equivocation(2, _claim(1), _claim(3));
        vm.assertEq(tangle.slashCount(), 1);
    }

    function test_one_receipt_twice_is_no_evidence() public {
        vm.expectRevert(abi.encodeWithSelector(Evidence.NoContradiction.selector));
        _equivocation(2, _claim(1), _claim(1));
    }

    /// @notice After a reorganisation a call may be another job; after an upgrade, another snapshot.
    function testFuzz_receipts_that_start_differently_are_no_evidence(uint8 part, bytes32 other) public {
        Claim memory second = _claim(2);
        part %= 4;
        if (part == 0) second.profileId = other;
        else if (part == 1) second.snapshot = other;
        else if (part == 2) second.toolchain = other;
        else second.jobDigest = other;
        vm.assume(!Receipts.sameInputs(_claim(1), second));
        vm.expectRevert(abi.encodeWithSelector(Evidence.NoContradiction.selector));
        _equivocation(2, _claim(1), second);
    }

    /// @notice Trouble with machines is no lie.
    function test_a_failed_outcome_is_no_evidence() public {
        Claim memory failed = _claim(2);
        (failed.stateRoot, failed.virtualNs) = (0, 0);
        vm.expectRevert(abi.encodeWithSelector(Evidence.NoContradiction.selector));
        _equivocation(2, _claim(1), failed);
        vm.expectRevert(abi.encodeWithSelector(Evidence.NoContradiction.selector));
        _equivocation(2, failed, _claim(1));
    }

    function testFuzz_nobody_else_can_sign(uint256 key) public {
        key = 1 + key % 1e30;
        vm.assume(key != 2);
        vm.expectRevert(abi.encodeWithSelector(Calls.NotSigned.selector, keys.addr(2)));
        _equivocation(key, _claim(1), _claim(2));
    }

    function test_both_receipts_must_be_signed() public {
        Place memory place = Place(service, call, keys.addr(2));
        bytes memory own = _sign(2, service, call, _claim(1));
        bytes memory foreign = _sign(3, service, call, _claim(2));
        vm.expectRevert(abi.encodeWithSelector(Calls.NotSigned.selector, keys.addr(2)));
        manager.proveEquivocation(place, _claim(1), own, _claim(2), foreign);
    }

    function testFuzz_another_place_does_not_count(uint64 otherService, uint64 otherCall, uint64 chain)
        public
    {
        vm.assume(otherService != service || otherCall != call);
        Claim memory claim = _claim(1);
        bytes memory elsewhere = _sign(2, otherService, otherCall, claim);
        Place memory place = Place(service, call, keys.addr(2));
        vm.assertFalse(Receipts.isSigned(claim, place, address(tangle), elsewhere));
        bytes memory here = _sign(2, service, call, claim);
        vm.assertTrue(Receipts.isSigned(claim, place, address(tangle), here));
        vm.assertFalse(Receipts.isSigned(claim, place, address(manager), here));
        vm.assume(chain != block.chainid && chain != 0);
        vm.chainId(chain);
        vm.assertFalse(Receipts.isSigned(claim, place, address(tangle), here));
    }

    function test_a_signature_in_its_other_form_does_not_count() public view {
        Claim memory claim = _claim(1);
        bytes memory signature = _sign(2, service, call, claim);
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        (bytes32 r, uint256 s, uint8 v) =
            (_word(signature, 0), uint256(_word(signature, 32)), uint8(signature[64]));
        bytes memory other = abi.encodePacked(r, order - s, uint8(55 - v));
        Place memory place = Place(service, call, keys.addr(2));
        vm.assertTrue(Receipts.isSigned(claim, place, address(tangle), signature));
        vm.assertFalse(Receipts.isSigned(claim, place, address(tangle), other));
    }

    // Refuted by the quorum

    function _refute(uint256 truth, uint256 lie, bytes[] memory witnesses) private returns (uint64) {
        Place memory place = Place(service, call, keys.addr(2));
        bytes memory signature = _sign(2, service, call, _claim(lie));
        return manager.proveRefuted(place, _claim(lie), signature, _claim(truth), REPORT, witnesses);
    }

    function _witnesses(uint256 truth, uint256 lie, uint256 first, uint256 second)
        private
        view
        returns (bytes[] memory witnesses)
    {
        if (keys.addr(first) > keys.addr(second)) (first, second) = (second, first);
        bytes32 digest = manager.refutationDigest(
            Place(service, call, keys.addr(2)),
            Receipts.agreementOf(_claim(truth)),
            Receipts.agreementOf(_claim(lie)),
            REPORT
        );
        witnesses = new bytes[](2);
        (witnesses[0], witnesses[1]) = (_signature(first, digest), _signature(second, digest));
    }

    function _finalWithLiar() private {
        _post(1, service, call, 42);
        _post(2, service, call, 666);
        _post(3, service, call, 42);
    }

    function test_a_refuted_receipt_is_slashed() public {
        _finalWithLiar();
        bytes[] memory witnesses = _witnesses(42, 666, 1, 3);
        vm.assertEq(uint256(_refute(42, 666, witnesses)), 0);
        (, address operator, uint16 bps,) = tangle.slashes(0);
        vm.assertEq(operator, keys.addr(2));
        vm.assertEq(uint256(bps), 2_500);
        vm.expectRevert(abi.encodeWithSelector(Evidence.AlreadyProposed.selector, keys.addr(2)));
        _refute(42, 666, witnesses);
    }

    function test_being_odd_alone_is_not_slashed() public {
        _finalWithLiar();
        vm.assertEq(tangle.slashCount(), 0);
        vm.expectRevert(abi.encodeWithSelector(Evidence.NoQuorum.selector, 0, 2));
        _refute(42, 666, new bytes[](0));
    }

    function test_witnesses_are_those_who_agreed() public {
        _finalWithLiar();
        bytes[] memory witnesses = _witnesses(42, 666, 1, 2);
        vm.expectRevert(abi.encodeWithSelector(Evidence.NotAWitness.selector, keys.addr(2)));
        _refute(42, 666, witnesses);
        witnesses = _witnesses(42, 666, 1, 1);
        vm.expectRevert(abi.encodeWithSelector(Evidence.WitnessesOutOfOrder.selector));
        _refute(42, 666, witnesses);
        witnesses = _witnesses(42, 667, 1, 3); // they refuted something else
        vm.prank(CUSTOMER);
        (bool done,) = address(manager)
            .call(
                abi.encodeCall(
                    manager.proveRefuted,
                    (
                        Place(service, call, keys.addr(2)),
                        _claim(666),
                        _sign(2, service, call, _claim(666)),
                        _claim(42),
                        REPORT,
                        witnesses
                    )
                )
            );
        vm.assertFalse(done);
    }

    function test_a_garbled_witness_is_refused() public {
        _finalWithLiar();
        bytes[] memory witnesses = new bytes[](2);
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 0));
        _refute(42, 666, witnesses);
    }

    function test_nothing_is_refuted_before_it_is_established() public {
        _post(1, service, call, 42);
        _post(2, service, call, 666);
        vm.expectRevert(abi.encodeWithSelector(Evidence.NotEstablished.selector));
        _refute(42, 666, new bytes[](2));
    }

    function test_one_operators_word_is_no_quorum() public {
        service = tangle.requestService(CUSTOMER, _operators(3), "");
        call = _submit(service);
        _post(1, service, call, 42);
        bytes[] memory witnesses = _witnesses(42, 666, 1, 3);
        vm.expectRevert(abi.encodeWithSelector(Evidence.NoQuorum.selector, 2, 1));
        _refute(42, 666, witnesses);
    }

    function testFuzz_time_alone_slashes_nobody(uint32 time, uint8 answered) public {
        if (answered % 2 == 1) _post(1, service, call, 42);
        vm.warp(block.timestamp + time);
        vm.assertEq(tangle.slashCount(), 0);
    }

    function _word(bytes memory data, uint256 start) private pure returns (bytes32 word) {
        for (uint256 place = 0; place < 32; place++) {
            word |= bytes32(data[start + place]) >> (8 * place);
        }
    }
}
