// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {Assurance, Assurances} from "../src/Assurances.sol";
import {Call, CallRecords, Standing} from "../src/CallRecords.sol";
import {Calls} from "../src/Calls.sol";
import {Claim, Place, Receipts} from "../src/Receipts.sol";
import {Answering} from "./Answering.sol";

/// @notice When answers agree, and what becomes of those that do not.
contract AgreementTest is Answering {
    event CallFinalised(
        uint64 indexed serviceId, uint64 indexed callId, bytes32 indexed agreement, uint8 votes
    );
    event OddOneOut(
        uint64 indexed serviceId, uint64 indexed callId, address indexed operator, bytes32 agreement
    );
    event CallUndecided(uint64 indexed serviceId, uint64 indexed callId);

    function setUp() public {
        _deploy();
    }

    function test_the_receipt_is_the_documented_one() public {
        vm.chainId(31337);
        Claim memory claim = Claim(
            bytes32(hex"0101010101010101010101010101010101010101010101010101010101010101"),
            bytes32(hex"0202020202020202020202020202020202020202020202020202020202020202"),
            0,
            0x178d6b7b353477e8198bdfe0ba02d4c2157ce69dd8438cc866f6b0dcfc7ad890,
            0xfa509af297db8650a21abf43f176d0a6226cdfb2a2664e42bb37d1ebbb26a2e9,
            bytes32(hex"0303030303030303030303030303030303030303030303030303030303030303"),
            1_000_000
        );
        Place memory place = Place(1, 7, address(0x5555555555555555555555555555555555555555));
        vm.assertEq(
            Receipts.signingDigest(claim, place, address(0x4444444444444444444444444444444444444444)),
            0xc8ef3177c178e154ee74f42185a11c99975479c5c2f930e5bd5cb65a8de8bc7f
        );
        vm.assertEq(
            Receipts.agreementOf(claim), 0x9c8d25e1bfec36812950fe8f42c2914c5cb7499ec06cfc2fa278c31e7b011ae3
        );
        vm.assertEq(Receipts.TYPE_HASH, 0x53d505f7b1b352bb6fea17e03baf83e31bf658e91077b2323171e43fa1ae7f44);
    }

    function test_one_signed_answer_is_final_unless_chosen_otherwise() public {
        uint64 service = tangle.requestService(CUSTOMER, _operators(3), "");
        uint64 call = _submit(service);
        _post(2, service, call, 42);
        _stands(service, call, Standing.Final);
        vm.assertTrue(_established(service, call, 42));
        vm.assertFalse(_established(service, call, 43));
        vm.assertTrue(tangle.isCompleted(service, call));
        vm.assertTrue(tangle.lastHookGas() < 160_000);
        vm.assertEq(tangle.failedHooks(), 0);
    }

    function test_two_of_three_agree_and_one_lies() public {
        uint64 service = _service(3, _quorum(2, 3));
        uint64 call = _submit(service);
        _post(1, service, call, 42);
        _post(2, service, call, 666);
        _stands(service, call, Standing.Open);
        vm.assertFalse(tangle.isCompleted(service, call));
        bytes32 agreement = Receipts.agreementOf(_claim(42));
        vm.expectEmit(true, true, true, true, address(manager));
        emit CallFinalised(service, call, agreement, 2);
        vm.expectEmit(true, true, true, true, address(manager));
        emit OddOneOut(service, call, keys.addr(2), Receipts.agreementOf(_claim(666)));
        _post(3, service, call, 42);
        _stands(service, call, Standing.Final);
        vm.assertTrue(_established(service, call, 42));
        vm.assertTrue(tangle.isCompleted(service, call));
        vm.assertTrue(manager.isOddOneOut(service, call, keys.addr(2)));
        vm.assertFalse(manager.isOddOneOut(service, call, keys.addr(1)));
        vm.assertFalse(manager.isOddOneOut(service, call, CUSTOMER));
    }

    function test_agreement_needs_no_third_answer() public {
        uint64 service = _service(3, _quorum(2, 3));
        uint64 call = _submit(service);
        _post(1, service, call, 42);
        _post(3, service, call, 42);
        _stands(service, call, Standing.Final);
        vm.assertTrue(tangle.isCompleted(service, call));
        vm.assertEq(manager.answerersOf(service, call).length, 2);
    }

    function test_a_tie_is_undecided_and_does_not_hang() public {
        uint64 service = _service(2, _quorum(2, 3));
        uint64 call = _submit(service);
        _post(1, service, call, 1);
        vm.expectEmit(true, true, false, true, address(manager));
        emit CallUndecided(service, call);
        _post(2, service, call, 2);
        _stands(service, call, Standing.Undecided);
        vm.assertTrue(tangle.isCompleted(service, call));
        vm.assertFalse(_established(service, call, 1));
        vm.assertEq(manager.callOf(service, call).agreement, bytes32(0));
        vm.assertFalse(manager.isOddOneOut(service, call, keys.addr(1)));
    }

    function test_who_never_answers_holds_up_only_what_needs_it() public {
        uint64 service = _service(3, _quorum(2, 3));
        uint64 call = _submit(service);
        _post(1, service, call, 1);
        _post(2, service, call, 2);
        vm.warp(block.timestamp + 365 days); // no clock decides it, and lateness is no fault
        _stands(service, call, Standing.Open);
        vm.expectRevert(abi.encodeWithSelector(CallRecords.WrongStanding.selector, Standing.Open));
        manager.settle(service, call);
        _bring(3, service, call, 2);
        _stands(service, call, Standing.Final);
        vm.assertEq(tangle.slashCount(), 0);
    }

    function test_operators_that_left_are_not_waited_for() public {
        uint64 service = _service(3, _quorum(2, 3));
        uint64 call = _submit(service);
        _post(1, service, call, 1);
        tangle.removeOperator(service);
        _post(2, service, call, 2);
        _stands(service, call, Standing.Undecided);
    }

    function test_answers_after_the_end_change_nothing() public {
        uint64 service = _service(3, _quorum(2, 3));
        uint64 call = _submit(service);
        _bring(1, service, call, 42);
        _bring(2, service, call, 42);
        _stands(service, call, Standing.Final);
        vm.expectEmit(true, true, true, true, address(manager));
        emit OddOneOut(service, call, keys.addr(3), Receipts.agreementOf(_claim(43)));
        _post(3, service, call, 43); // Tangle has not seen any answer yet, and completes with this one
        vm.assertTrue(tangle.isCompleted(service, call));
        vm.assertTrue(_established(service, call, 42));
        vm.assertTrue(manager.isOddOneOut(service, call, keys.addr(3)));
        vm.expectRevert(abi.encodeWithSelector(CallRecords.WrongStanding.selector, Standing.Final));
        _bring(3, service, call, 42);
    }

    function test_an_answer_counts_once_whoever_brings_it() public {
        uint64 service = _service(3, _quorum(2, 3));
        uint64 call = _submit(service);
        _bring(1, service, call, 42); // as seen in the operator's own pending transaction
        vm.expectRevert(abi.encodeWithSelector(Calls.AlreadyAnswered.selector, keys.addr(1)));
        _bring(1, service, call, 42);
        _post(1, service, call, 42);
        _stands(service, call, Standing.Open);
        vm.assertTrue(manager.resultHash(service, call, keys.addr(1)) != 0);
        vm.assertEq(manager.answerersOf(service, call).length, 1);
    }

    function test_an_answer_that_is_not_signed_does_not_count() public {
        uint64 service = _service(3, _quorum(2, 3));
        uint64 call = _submit(service);
        Claim memory claim = _claim(42);
        _postRaw(1, service, call, _result(42, claim, _sign(2, service, call, claim)));
        _postRaw(2, service, call, _result(42, claim, _sign(2, service, call + 1, claim)));
        _stands(service, call, Standing.Open);
        vm.assertEq(manager.agreementOf(service, call, keys.addr(1)), bytes32(0));
        _postRaw(3, service, call, "garbage");
        _stands(service, call, Standing.Undecided);
        vm.assertEq(tangle.failedHooks(), 0);
    }

    function test_an_answer_to_another_job_does_not_count() public {
        uint64 service = _service(1, _quorum(1, 1));
        uint64 call = _submit(service);
        Claim memory claim = _claim(42);
        claim.jobDigest = keccak256("another job");
        bytes memory signature = _sign(1, service, call, claim);
        vm.expectRevert(abi.encodeWithSelector(Calls.AnotherJob.selector, claim.jobDigest));
        manager.bringReceipt(Place(service, call, keys.addr(1)), claim, signature);
        _postRaw(1, service, call, _result(42, claim, signature));
        _stands(service, call, Standing.Undecided);
    }

    function test_only_registered_starts_count_where_the_service_says_so() public {
        uint64 service = _service(2, Assurance(1, 2, 0, true));
        uint64 call = _submit(service);
        _post(1, service, call, 42);
        _stands(service, call, Standing.Open);
        vm.expectRevert(abi.encodeWithSelector(Calls.NotRegistered.selector));
        _bring(2, service, call, 42);
        manager.registerProfile(PROFILE);
        manager.registerSnapshot(SNAPSHOT, PROFILE);
        _post(2, service, call, 42);
        _stands(service, call, Standing.Final);
    }

    // Optimistic

    function _optimistic(uint256 operators) private returns (uint64 service, uint64 call) {
        service = _service(operators, Assurance(1, 1, 1 hours, false));
        call = _submit(service);
        _post(1, service, call, 42);
        _stands(service, call, Standing.Proposed);
        vm.assertTrue(tangle.isCompleted(service, call));
        vm.assertFalse(_established(service, call, 42));
    }

    function test_a_proposal_that_nobody_challenges_is_final_after_its_window() public {
        (uint64 service, uint64 call) = _optimistic(1);
        uint64 deadline = manager.callOf(service, call).deadline;
        vm.expectRevert(abi.encodeWithSelector(Calls.TooEarly.selector, deadline));
        manager.settle(service, call);
        vm.warp(deadline);
        manager.settle(service, call);
        vm.assertTrue(_established(service, call, 42));
        vm.expectRevert(abi.encodeWithSelector(CallRecords.WrongStanding.selector, Standing.Final));
        manager.settle(service, call);
    }

    function test_a_majority_overrules_a_proposal() public {
        (uint64 service, uint64 call) = _optimistic(3);
        vm.warp(block.timestamp + 1 hours - 1);
        _bring(2, service, call, 43);
        _stands(service, call, Standing.Disputed);
        vm.warp(block.timestamp + 1 hours - 1); // the dispute has its own window
        _bring(3, service, call, 43);
        vm.assertTrue(_established(service, call, 43));
        vm.assertTrue(manager.isOddOneOut(service, call, keys.addr(1)));
    }

    function test_a_majority_confirms_a_proposal_early() public {
        (uint64 service, uint64 call) = _optimistic(3);
        _bring(2, service, call, 42);
        vm.assertTrue(_established(service, call, 42));
    }

    function test_a_dispute_without_majority_is_undecided() public {
        (uint64 service, uint64 call) = _optimistic(2);
        _bring(2, service, call, 43);
        vm.warp(block.timestamp + 1 hours);
        manager.settle(service, call);
        _stands(service, call, Standing.Undecided);
    }

    function test_a_challenge_after_the_window_is_too_late() public {
        (uint64 service, uint64 call) = _optimistic(3);
        uint64 deadline = manager.callOf(service, call).deadline;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(Calls.TooLate.selector, deadline));
        _bring(2, service, call, 43);
    }

    function testFuzz_a_stranger_cannot_challenge(uint256 key) public {
        key = 4 + key % 1e30;
        (uint64 service, uint64 call) = _optimistic(3);
        vm.expectRevert(abi.encodeWithSelector(Calls.NotAnOperatorOfTheCall.selector, keys.addr(key)));
        _bring(key, service, call, 43);
        Claim memory claim = _claim(43);
        bytes memory signature = _sign(key, service, call, claim);
        vm.expectRevert(abi.encodeWithSelector(Calls.NotSigned.selector, keys.addr(2)));
        manager.bringReceipt(Place(service, call, keys.addr(2)), claim, signature);
        _stands(service, call, Standing.Proposed);
    }

    // The predecessor's weaknesses, see docs/contracts.md

    function testFuzz_future_calls_cannot_be_taken_beforehand(uint64 call, uint256 key) public {
        uint64 service = _service(3, _quorum(2, 3));
        key = 1 + key % 10; // operators of the service, too
        vm.expectRevert(abi.encodeWithSelector(CallRecords.WrongStanding.selector, Standing.Unknown));
        _bring(key, service, call, 42);
        vm.prank(keys.addr(key));
        vm.expectRevert(abi.encodeWithSelector(CallRecords.WrongStanding.selector, Standing.Unknown));
        manager.requestCallback(service, call, 1);
        vm.expectRevert(abi.encodeWithSelector(CallRecords.WrongStanding.selector, Standing.Unknown));
        manager.settle(service, call);
        vm.assertEq(uint256(_submit(service)), 0);
        _post(1, service, 0, 42);
        _post(2, service, 0, 42);
        vm.assertTrue(_established(service, 0, 42));
    }

    function test_calls_of_two_services_with_one_number_are_two() public {
        uint64 first = _service(2, _quorum(2, 2));
        uint64 second = _service(2, _quorum(1, 1));
        vm.assertEq(uint256(_submit(first)), uint256(_submit(second)));
        _post(1, second, 0, 43);
        _stands(second, 0, Standing.Final);
        _stands(first, 0, Standing.Open);
        _post(1, first, 0, 42);
        _post(2, first, 0, 42);
        vm.assertTrue(_established(first, 0, 42));
        vm.assertTrue(_established(second, 0, 43));
    }

    /// @notice Calls that nobody answers use up nothing that others need.
    function test_dead_calls_do_not_wear_anything_out() public {
        uint64 service = _service(2, _quorum(2, 2));
        for (uint256 number = 0; number < 50; number++) {
            _submit(service);
        }
        uint64 call = _submit(service);
        _post(1, service, call, 42);
        _post(2, service, call, 42);
        vm.assertTrue(_established(service, call, 42));
    }

    // Jobs from quotes

    function test_only_the_quoted_operators_of_a_job_are_waited_for() public {
        uint64 service = _service(3, _quorum(2, 3));
        vm.prank(CUSTOMER);
        uint64 call = tangle.submitJobFromQuotes(service, INPUTS, _operators(2));
        _post(1, service, call, 1); // opens a call that was not announced
        vm.expectRevert(abi.encodeWithSelector(Calls.NotAnOperatorOfTheCall.selector, keys.addr(3)));
        _bring(3, service, call, 1);
        _post(2, service, call, 2);
        _stands(service, call, Standing.Undecided);
    }

    // Assurance

    function testFuzz_an_assurance_is_bounded(Assurance memory assurance, uint256 operators) public {
        operators = 1 + operators % 20;
        bool fits = assurance.agreeing >= 1 && assurance.agreeing <= assurance.answers
            && assurance.answers <= 16 && assurance.agreeing <= operators;
        if (assurance.agreeing > 1) {
            fits = fits && assurance.window == 0 && uint256(assurance.agreeing) * 2 > assurance.answers;
        }
        if (assurance.window != 0) fits = fits && assurance.window >= 60 && assurance.window <= 30 days;
        if (!fits) {
            vm.expectRevert(
                abi.encodeWithSelector(Assurances.InvalidAssurance.selector, assurance, operators)
            );
        }
        uint64 service = _service(operators, assurance);
        if (fits) vm.assertEq(uint256(manager.assuranceOf(service).window), uint256(assurance.window));
    }

    function test_a_quorum_is_more_than_half_and_has_no_window() public {
        Assurance[3] memory refused = [_quorum(2, 4), _quorum(1, 17), Assurance(2, 3, 60, false)];
        for (uint256 number = 0; number < 3; number++) {
            vm.expectRevert(
                abi.encodeWithSelector(Assurances.InvalidAssurance.selector, refused[number], uint256(5))
            );
            _service(5, refused[number]);
        }
        _service(5, _quorum(3, 4));
    }

    function testFuzz_only_the_services_owner_sets_it(address caller) public {
        uint64 service = _service(3, _quorum(1, 1));
        tangle.addForeignService(99, caller, _operators(3));
        Assurance memory assurance = _quorum(2, 3);
        bytes memory data = abi.encodeCall(manager.setAssurance, (99, assurance));
        _refuses(caller, data, abi.encodeWithSelector(Assurances.NotServiceOwner.selector, 99, caller));
        if (caller != CUSTOMER) {
            data = abi.encodeCall(manager.setAssurance, (service, assurance));
            _refuses(
                caller, data, abi.encodeWithSelector(Assurances.NotServiceOwner.selector, service, caller)
            );
        }
        vm.prank(CUSTOMER);
        manager.setAssurance(service, assurance);
        vm.assertEq(uint256(manager.getRequiredResultCount(service, 0)), 2);
    }

    function testFuzz_nobody_joins_unless_the_owner_admits_them(address operator, address caller) public {
        vm.assume(caller != CUSTOMER);
        uint64 service = _service(1, _quorum(1, 1));
        vm.assertFalse(manager.canJoin(service, operator));
        bytes memory data = abi.encodeCall(manager.admitOperator, (service, operator, true));
        _refuses(caller, data, abi.encodeWithSelector(Assurances.NotServiceOwner.selector, service, caller));
        vm.prank(CUSTOMER);
        manager.admitOperator(service, operator, true);
        vm.assertTrue(manager.canJoin(service, operator));
        vm.assertFalse(manager.canJoin(service + 1, operator));
    }

    function test_a_call_keeps_the_assurance_it_was_submitted_under() public {
        uint64 service = _service(3, _quorum(2, 3));
        uint64 call = _submit(service);
        vm.prank(CUSTOMER);
        manager.setAssurance(service, _quorum(1, 1));
        _post(1, service, call, 42);
        _stands(service, call, Standing.Open);
        _post(2, service, call, 42);
        vm.assertTrue(_established(service, call, 42));
    }

    function test_a_service_from_quotes_does_not_take_anothers_request() public {
        tangle.requestOnly(CUSTOMER, _operators(3), abi.encode(_quorum(2, 3)));
        tangle.createFromQuotes(50, address(0xBAD), _operators(3));
        vm.assertEq(uint256(manager.assuranceOf(50).agreeing), 1);
        tangle.createFromQuotes(51, CUSTOMER, _operators(3));
        vm.assertEq(uint256(manager.assuranceOf(51).agreeing), 2);
    }

    function test_a_configuration_that_is_none_is_refused() public {
        vm.expectRevert(abi.encodeWithSelector(Assurances.InvalidConfiguration.selector, uint256(5)));
        tangle.requestService(CUSTOMER, _operators(3), "12345");
    }

    function test_the_hook_fits_its_gas_with_the_most_answers() public {
        uint64 service = _service(16, _quorum(9, 16));
        uint64 call = _submit(service);
        for (uint256 key = 1; key <= 16; key++) {
            if (tangle.isCompleted(service, call)) break;
            cold.cool(address(manager));
            cold.cool(address(tangle));
            _post(key, service, call, key <= 7 ? key : 42);
            vm.assertTrue(tangle.lastHookGas() < 400_000);
        }
        vm.assertTrue(_established(service, call, 42));
        vm.assertEq(tangle.failedHooks(), 0);
        emit Gas(tangle.lastHookGas());
    }

    event Gas(uint256 used);
}
