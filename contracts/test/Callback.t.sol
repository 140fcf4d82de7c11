// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {Assurance} from "../src/Assurances.sol";
import {CallRecords, Standing} from "../src/CallRecords.sol";
import {Callbacks} from "../src/Callbacks.sol";
import {FaaSServiceManager} from "../src/FaaSServiceManager.sol";
import {IResultReceiver} from "../src/IResultReceiver.sol";
import {Claim, Receipts} from "../src/Receipts.sol";
import {Answering} from "./Answering.sol";
import {TangleDouble} from "./TangleDouble.sol";

/// @notice A contract that submits jobs and remembers how they ended.
contract Subscriber is IResultReceiver {
    TangleDouble internal immutable tangle;
    FaaSServiceManager internal immutable manager;
    uint256 public told;
    bool public decided;
    bytes32 public agreement;

    constructor(TangleDouble tangle_, FaaSServiceManager manager_) {
        (tangle, manager) = (tangle_, manager_);
    }

    function submit(uint64 service, bytes calldata inputs, uint32 gasLimit) external returns (uint64 call) {
        call = tangle.submitJob(service, inputs);
        manager.requestCallback(service, call, gasLimit);
    }

    function onExecutionResult(uint64 service, uint64 call, bool decided_, bytes32 agreement_)
        external
        virtual
    {
        require(msg.sender == address(manager));
        (told, decided, agreement) = (told + 1, decided_, agreement_);
        (service, call);
    }
}

/// @notice A double for faults: it does whatever could hurt who calls it back.
contract MaliciousSubscriber is Subscriber {
    uint256 public immutable mischief;

    constructor(TangleDouble tangle_, FaaSServiceManager manager_, uint256 mischief_)
        Subscriber(tangle_, manager_)
    {
        mischief = mischief_;
    }

    function onExecutionResult(uint64 service, uint64 call, bool, bytes32) external override {
        if (mischief == 0) revert("no");
        if (mischief == 1) while (true) {}
        if (mischief == 2) {
            assembly {
                return(0, 60000) // a large answer
            }
        }
        if (mischief == 3) manager.deliverCallback(service, call);
        if (mischief == 4) manager.requestCallback(service, call, 1);
        if (mischief == 5) manager.settle(service, call);
        if (mischief == 6) {
            assembly {
                revert(0, 60000)
            }
        }
    }
}

contract CallbackTest is Answering {
    function setUp() public {
        _deploy();
    }

    function test_the_submitter_is_told() public {
        uint64 service = _service(3, _quorum(2, 3));
        Subscriber subscriber = new Subscriber(tangle, manager);
        uint64 call = subscriber.submit(service, INPUTS, 100_000);
        _post(1, service, call, 42);
        vm.assertEq(subscriber.told(), 0);
        _post(2, service, call, 42);
        vm.assertEq(subscriber.told(), 1);
        vm.assertTrue(subscriber.decided());
        vm.assertEq(subscriber.agreement(), Receipts.agreementOf(_claim(42)));
        vm.expectRevert(abi.encodeWithSelector(Callbacks.NoCallbackDue.selector));
        manager.deliverCallback(service, call);
    }

    function test_the_submitter_is_told_of_a_tie_too() public {
        uint64 service = _service(2, _quorum(2, 2));
        Subscriber subscriber = new Subscriber(tangle, manager);
        uint64 call = subscriber.submit(service, INPUTS, 100_000);
        _post(1, service, call, 42);
        _post(2, service, call, 43);
        vm.assertEq(subscriber.told(), 1);
        vm.assertFalse(subscriber.decided());
        vm.assertEq(subscriber.agreement(), bytes32(0));
    }

    function test_the_submitter_is_told_after_the_window() public {
        uint64 service = _service(1, Assurance(1, 1, 1 hours, false));
        Subscriber subscriber = new Subscriber(tangle, manager);
        uint64 call = subscriber.submit(service, INPUTS, 100_000);
        _post(1, service, call, 42);
        vm.assertEq(subscriber.told(), 0);
        vm.warp(block.timestamp + 1 hours);
        manager.settle(service, call);
        vm.assertEq(subscriber.told(), 1);
    }

    function testFuzz_a_malicious_receiver_stops_nothing(uint256 mischief, uint32 gasLimit) public {
        mischief %= 7;
        gasLimit = 1 + gasLimit % 100_000;
        uint64 service = _service(3, _quorum(1, 1));
        MaliciousSubscriber subscriber = new MaliciousSubscriber(tangle, manager, mischief);
        uint64 call = subscriber.submit(service, INPUTS, gasLimit);
        _post(1, service, call, 42);
        _stands(service, call, Standing.Final);
        vm.assertTrue(_established(service, call, 42));
        vm.assertTrue(tangle.isCompleted(service, call));
        vm.assertEq(tangle.failedHooks(), 0);
        vm.assertTrue(tangle.lastHookGas() < 300_000);
        if (manager.callOf(service, call).callbackGas != 0) {
            manager.deliverCallback(service, call); // fails again, and is due still
            vm.assertEq(uint256(manager.callOf(service, call).callbackGas), uint256(gasLimit));
        }
    }

    function test_a_callback_that_failed_can_be_fetched() public {
        uint64 service = _service(1, _quorum(1, 1));
        Subscriber subscriber = new Subscriber(tangle, manager);
        uint64 call = subscriber.submit(service, INPUTS, 10_000); // too little for what it does
        _post(1, service, call, 42);
        vm.assertEq(subscriber.told(), 0);
        bytes memory fetch = abi.encodeCall(manager.deliverCallback, (service, call));
        (bool done,) = address(manager).call{gas: 30_000}(fetch);
        vm.assertFalse(done);
        manager.deliverCallback(service, call);
        vm.assertEq(subscriber.told(), 0);
        vm.assertEq(uint256(manager.callOf(service, call).callbackGas), 10_000);
    }

    function testFuzz_only_the_submitter_asks_for_it(address stranger) public {
        vm.assume(stranger != CUSTOMER);
        uint64 service = _service(1, _quorum(1, 1));
        uint64 call = _submit(service);
        bytes memory data = abi.encodeCall(manager.requestCallback, (service, call, 50_000));
        _refuses(stranger, data, abi.encodeWithSelector(Callbacks.NotTheCaller.selector, stranger));
        vm.prank(CUSTOMER);
        manager.requestCallback(service, call, 50_000);
        _post(1, service, call, 42); // an account without code: nothing happens, and nothing is due
        vm.assertEq(uint256(manager.callOf(service, call).callbackGas), 0);
        vm.prank(CUSTOMER);
        vm.expectRevert(abi.encodeWithSelector(CallRecords.WrongStanding.selector, Standing.Final));
        manager.requestCallback(service, call, 50_000);
    }

    function test_its_gas_is_bounded() public {
        uint64 service = _service(1, _quorum(1, 1));
        uint64 call = _submit(service);
        vm.prank(CUSTOMER);
        vm.expectRevert(abi.encodeWithSelector(Callbacks.CallbackGasOutOfRange.selector, uint32(100_001)));
        manager.requestCallback(service, call, 100_001);
    }
}
