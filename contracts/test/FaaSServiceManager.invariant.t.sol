// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {Assurance} from "../src/Assurances.sol";
import {Call, Standing} from "../src/CallRecords.sol";
import {Answering} from "./Answering.sol";
import {FaaSServiceManager} from "../src/FaaSServiceManager.sol";
import {TangleDouble} from "./TangleDouble.sol";

/// @notice Plays operators, truthful and lying, customers and strangers against one manager, and remembers
/// what must hold.
contract Play is Answering {
    uint256 private constant OPERATORS = 5;
    uint256 private constant LAST_HONEST = 3;

    uint64[] public services;
    uint64[] public callServices;
    uint64[] public callIds;
    mapping(uint256 => bytes32) public ended;
    bool public strangerGotThrough;
    bool public endChanged;

    constructor() {
        _deploy();
        services.push(_service(OPERATORS, _quorum(3, 5)));
        services.push(_service(OPERATORS, Assurance(1, 1, 1 hours, false)));
        services.push(_service(OPERATORS, _quorum(2, 3)));
    }

    function theManager() external view returns (FaaSServiceManager) {
        return manager;
    }

    function theTangle() external view returns (TangleDouble) {
        return tangle;
    }

    function callCount() external view returns (uint256) {
        return callIds.length;
    }

    function honestAgreement() external pure returns (bytes32) {
        return keccak256(abi.encode(_claim(1)));
    }

    function submit(uint256 number) external {
        uint64 service = services[number % services.length];
        callServices.push(service);
        callIds.push(_submit(service));
    }

    function post(uint256 number, uint256 key, uint256 lie) external noting {
        if (callIds.length == 0) return;
        number %= callIds.length;
        key = 1 + key % OPERATORS;
        _post(key, callServices[number], callIds[number], _word(key, lie));
    }

    function bring(uint256 number, uint256 key, uint256 lie) external noting {
        if (callIds.length == 0) return;
        number %= callIds.length;
        key = 1 + key % OPERATORS;
        _bring(key, callServices[number], callIds[number], _word(key, lie));
    }

    function settle(uint256 number, uint256 time) external noting {
        if (callIds.length == 0) return;
        number %= callIds.length;
        vm.warp(block.timestamp + time % 2 hours);
        manager.settle(callServices[number], callIds[number]);
    }

    function choose(uint256 number, uint8 agreeing, uint8 answers) external {
        vm.prank(CUSTOMER);
        agreeing = 1 + agreeing % 3;
        answers = agreeing + answers % agreeing; // below twice of it
        manager.setAssurance(services[number % services.length], _quorum(agreeing, answers));
    }

    function rebind(uint64 id, address owner) external {
        vm.prank(address(tangle));
        try manager.onBlueprintCreated(id, owner, address(tangle)) {
            strangerGotThrough = true;
        } catch {}
    }

    function intrude(address stranger, bytes calldata data) external {
        if (stranger == address(this) || stranger == address(tangle) || stranger == address(vm)) return;
        vm.prank(stranger);
        (bool done,) = address(manager).call(data);
        done;
        if (manager.owner() != address(this)) strangerGotThrough = true;
    }

    /// @dev Three of five tell the truth, so a majority does; the others may tell the same lie.
    function _word(uint256 key, uint256 lie) private pure returns (uint256) {
        return key <= LAST_HONEST ? 1 : 2 + lie % 2;
    }

    /// @dev Once a call has ended, its end may not change.
    modifier noting() {
        _;
        for (uint256 number = 0; number < callIds.length; number++) {
            Call memory entry = manager.callOf(callServices[number], callIds[number]);
            if (entry.standing < Standing.Final) continue;
            bytes32 end = keccak256(abi.encode(entry.standing, entry.agreement));
            if (ended[number] == 0) ended[number] = end;
            if (ended[number] != end) endChanged = true;
        }
    }
}

contract FaaSServiceManagerInvariants is Answering {
    Play private play;

    function setUp() public {
        play = new Play();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(play);
    }

    function invariant_an_end_is_an_end() public view {
        vm.assertFalse(play.endChanged());
    }

    function invariant_what_is_final_has_its_votes() public view {
        for (uint256 number = 0; number < play.callCount(); number++) {
            (uint64 service, uint64 call) = (play.callServices(number), play.callIds(number));
            Call memory entry = play.theManager().callOf(service, call);
            vm.assertTrue(entry.answers <= 16);
            if (entry.standing != Standing.Final) continue;
            vm.assertTrue(entry.agreement != 0 && entry.votes >= entry.agreeing);
            vm.assertTrue(_equal(service, call, entry.agreement) >= entry.votes);
        }
    }

    /// @notice With a majority of truthful operators asked for, three of five, a lie is never final.
    function invariant_a_minority_never_decides() public view {
        for (uint256 number = 0; number < play.callCount(); number++) {
            Call memory entry = play.theManager().callOf(play.callServices(number), play.callIds(number));
            if (entry.standing == Standing.Final && entry.agreeing >= 3) {
                vm.assertEq(entry.agreement, play.honestAgreement());
            }
        }
    }

    /// @notice Tangle completes, and pays for, no call that we still wait for.
    function invariant_what_is_completed_has_an_answer() public view {
        for (uint256 number = 0; number < play.callCount(); number++) {
            (uint64 service, uint64 call) = (play.callServices(number), play.callIds(number));
            if (!play.theTangle().isCompleted(service, call)) continue;
            vm.assertTrue(play.theManager().callOf(service, call).standing > Standing.Open);
        }
    }

    function invariant_no_hook_fails_and_nobody_is_slashed_without_evidence() public view {
        vm.assertEq(play.theTangle().failedHooks(), 0);
        vm.assertEq(play.theTangle().slashCount(), 0);
    }

    function _equal(uint64 service, uint64 call, bytes32 agreement) private view returns (uint256 count) {
        address[] memory operators = play.theManager().answerersOf(service, call);
        for (uint256 number = 0; number < operators.length; number++) {
            if (play.theManager().agreementOf(service, call, operators[number]) == agreement) count++;
        }
    }
}

/// @notice Any function of the manager, called by anyone with anything.
contract FaaSServiceManagerStrangers is Answering {
    Play private play;
    uint64 private service;
    uint64 private call;

    function setUp() public {
        play = new Play();
        play.submit(0);
        (service, call) = (play.callServices(0), play.callIds(0));
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(play.theManager());
    }

    function excludeSenders() public view returns (address[] memory excluded) {
        excluded = new address[](2);
        (excluded[0], excluded[1]) = (address(play), address(play.theTangle()));
    }

    function invariant_bound_once_and_owned() public view {
        vm.assertTrue(play.theManager().bound());
        vm.assertEq(uint256(play.theManager().blueprintId()), 0);
        vm.assertEq(play.theManager().owner(), address(play));
        vm.assertFalse(play.strangerGotThrough());
    }

    function invariant_strangers_neither_answer_nor_choose_nor_slash() public view {
        Call memory entry = play.theManager().callOf(service, call);
        vm.assertEq(uint256(entry.standing), uint256(Standing.Open));
        vm.assertEq(uint256(entry.answers) + entry.callbackGas, 0);
        vm.assertEq(uint256(play.theManager().assuranceOf(service).agreeing), 3);
        vm.assertEq(play.theTangle().slashCount(), 0);
        vm.assertFalse(play.theManager().isProfile(bytes32(uint256(1))));
    }

    function invariant_holds_no_value() public view {
        vm.assertEq(address(play.theManager()).balance, 0);
    }
}
