// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {Ownable} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {FaaSServiceManager} from "../src/FaaSServiceManager.sol";
import {Measurements} from "../src/Measurements.sol";
import {Claim} from "../src/Receipts.sol";
import {Checks} from "./Checks.sol";
import {TangleDouble} from "./TangleDouble.sol";

contract FaaSServiceManagerTest is Checks {
    bytes32 private constant TOOLCHAIN = bytes32(uint256(3));
    address private constant OPERATOR = address(0x0E);
    bytes32 private constant PROFILE = bytes32(uint256(1));
    bytes32 private constant SNAPSHOT = bytes32(uint256(2));

    FaaSServiceManager private manager;
    address private TANGLE;

    event ResultRecorded(
        uint64 indexed serviceId,
        uint64 indexed callId,
        address indexed operator,
        uint8 job,
        bytes32 resultHash
    );

    function setUp() public {
        TANGLE = address(new TangleDouble());
        manager = new FaaSServiceManager(TANGLE, address(this));
    }

    function test_binds_once_to_the_owners_blueprint() public {
        vm.prank(TANGLE);
        manager.onBlueprintCreated(7, address(this), TANGLE);
        vm.assertTrue(manager.bound());
        vm.assertEq(uint256(manager.blueprintId()), 7);
        vm.expectRevert(abi.encodeWithSelector(FaaSServiceManager.AlreadyBound.selector, uint64(7)));
        vm.prank(TANGLE);
        manager.onBlueprintCreated(8, address(this), TANGLE);
    }

    /// @notice The devnet has no limit, every other chain has.
    function test_it_fits_a_chains_limit_on_code() public view {
        vm.assertTrue(address(manager).code.length <= 24_576);
    }

    function testFuzz_a_strangers_blueprint_cannot_bind(address stranger) public {
        vm.assume(stranger != address(this));
        vm.expectRevert(abi.encodeWithSelector(FaaSServiceManager.NotOurBlueprint.selector, stranger));
        vm.prank(TANGLE);
        manager.onBlueprintCreated(7, stranger, TANGLE);
        vm.assertFalse(manager.bound());
    }

    function test_another_tangle_cannot_bind() public {
        vm.expectRevert(abi.encodeWithSelector(FaaSServiceManager.NotTangle.selector, OPERATOR));
        vm.prank(TANGLE);
        manager.onBlueprintCreated(7, address(this), OPERATOR);
    }

    function testFuzz_only_tangle_may_call_hooks(address caller, bytes calldata data) public {
        vm.assume(caller != TANGLE && caller != address(vm));
        bytes memory refused = abi.encodeWithSelector(FaaSServiceManager.NotTangle.selector, caller);
        address[] memory none = new address[](0);
        _refused(caller, refused, abi.encodeCall(manager.onBlueprintCreated, (1, address(this), TANGLE)));
        _refused(caller, refused, abi.encodeCall(manager.onRegister, (OPERATOR, data)));
        _refused(
            caller, refused, abi.encodeCall(manager.onRequest, (1, OPERATOR, none, data, 0, OPERATOR, 0))
        );
        _refused(caller, refused, abi.encodeCall(manager.onJobCall, (1, 0, 1, data)));
        _refused(caller, refused, abi.encodeCall(manager.onServiceTermination, (1, OPERATOR)));
        _refused(caller, refused, _result(1, 1, OPERATOR, bytes32(0), data));
        _refused(caller, refused, _oldResult(1, 1, OPERATOR, data, data));
    }

    function testFuzz_records_results_of_both_epochs(
        uint64 service,
        uint64 call,
        address operator,
        bytes calldata output
    ) public {
        vm.expectEmit(true, true, true, true, address(manager));
        emit ResultRecorded(service, call, operator, 0, keccak256(output));
        _asTangle(_result(service, call, operator, bytes32(uint256(3)), output));
        vm.assertEq(manager.resultHash(service, call, operator), keccak256(output));
        vm.assertTrue(manager.hasPosted(service, call, operator, output));
        vm.assertFalse(manager.hasPosted(service, call, operator, abi.encode(output)));

        FaaSServiceManager old = new FaaSServiceManager(TANGLE, address(this));
        vm.prank(TANGLE);
        (bool done,) = address(old).call(_oldResult(service, call, operator, "inputs", output));
        vm.assertTrue(done);
        vm.assertEq(old.resultHash(service, call, operator), keccak256(output));
    }

    function test_the_first_result_stands() public {
        _asTangle(_result(1, 2, OPERATOR, 0, "first"));
        _asTangle(_result(1, 2, OPERATOR, 0, "second"));
        vm.assertEq(manager.resultHash(1, 2, OPERATOR), keccak256("first"));
    }

    function test_a_snapshot_counts_while_its_profile_does() public {
        vm.expectRevert(abi.encodeWithSelector(Measurements.UnknownProfile.selector, PROFILE));
        manager.registerSnapshot(SNAPSHOT, PROFILE);
        manager.registerProfile(PROFILE);
        manager.registerSnapshot(SNAPSHOT, PROFILE);
        vm.assertTrue(manager.isSnapshot(SNAPSHOT));
        manager.retireProfile(PROFILE);
        vm.assertFalse(manager.isSnapshot(SNAPSHOT));
        manager.registerProfile(PROFILE);
        manager.retireSnapshot(SNAPSHOT);
        vm.assertFalse(manager.isSnapshot(SNAPSHOT));
        vm.expectRevert(abi.encodeWithSelector(Measurements.UnknownSnapshot.selector, SNAPSHOT));
        manager.retireSnapshot(SNAPSHOT);
    }

    function test_zero_is_nothing() public {
        vm.assertFalse(manager.isSnapshot(0));
        vm.expectRevert(abi.encodeWithSelector(Measurements.ZeroValue.selector));
        manager.registerProfile(0);
    }

    function test_a_claim_is_registered_with_all_it_started_from() public {
        manager.registerProfile(PROFILE);
        manager.registerSnapshot(SNAPSHOT, PROFILE);
        Claim memory claim = Claim(PROFILE, SNAPSHOT, 0, 0, 0, 0, 0);
        vm.assertTrue(manager.isRegistered(claim));
        claim.toolchain = TOOLCHAIN;
        vm.assertFalse(manager.isRegistered(claim));
        manager.registerToolchain(TOOLCHAIN, PROFILE);
        vm.assertTrue(manager.isToolchain(TOOLCHAIN));
        vm.assertTrue(manager.isRegistered(claim));
        claim.profileId = TOOLCHAIN;
        vm.assertFalse(manager.isRegistered(claim));
        manager.retireToolchain(TOOLCHAIN);
        vm.assertFalse(manager.isToolchain(TOOLCHAIN));
        vm.expectRevert(abi.encodeWithSelector(Measurements.UnknownToolchain.selector, TOOLCHAIN));
        manager.retireToolchain(TOOLCHAIN);
    }

    function testFuzz_only_the_owner_sets(address caller) public {
        vm.assume(caller != address(this));
        bytes memory refused = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, caller);
        _refused(caller, refused, abi.encodeCall(manager.registerProfile, (PROFILE)));
        _refused(caller, refused, abi.encodeCall(manager.retireProfile, (PROFILE)));
        _refused(caller, refused, abi.encodeCall(manager.registerSnapshot, (SNAPSHOT, PROFILE)));
        _refused(caller, refused, abi.encodeCall(manager.retireSnapshot, (SNAPSHOT)));
        _refused(caller, refused, abi.encodeCall(manager.registerToolchain, (TOOLCHAIN, PROFILE)));
        _refused(caller, refused, abi.encodeCall(manager.retireToolchain, (TOOLCHAIN)));
        _refused(caller, refused, abi.encodeCall(manager.transferOwnership, (caller)));
    }

    function test_there_is_always_an_owner() public {
        vm.expectRevert(abi.encodeWithSelector(Measurements.OwnerRequired.selector));
        manager.renounceOwnership();
        vm.assertEq(manager.queryDeveloperPaymentAddress(1), address(this));
        vm.assertEq(manager.querySlashingOrigin(1), address(manager));
        vm.assertEq(manager.queryDisputeOrigin(1), address(this));
    }

    function testFuzz_takes_no_value(uint96 amount) public {
        vm.assume(amount > 0);
        vm.deal(TANGLE, amount);
        vm.prank(TANGLE);
        (bool bare,) = address(manager).call{value: amount}("");
        vm.assertFalse(bare);
        vm.assertTrue(manager.queryIsPaymentAssetAllowed(1, address(0)));
        vm.assertFalse(manager.queryIsPaymentAssetAllowed(1, OPERATOR));
        vm.assertFalse(manager.requiresAggregation(1, 0));
    }

    function _asTangle(bytes memory data) private {
        vm.prank(TANGLE);
        (bool done,) = address(manager).call(data);
        vm.assertTrue(done);
    }

    function _refused(address caller, bytes memory reason, bytes memory data) private {
        vm.prank(caller);
        (bool done, bytes memory answer) = address(manager).call(data);
        vm.assertFalse(done);
        vm.assertEq(keccak256(answer), keccak256(reason));
    }

    function _result(uint64 service, uint64 call, address operator, bytes32 inputs, bytes memory output)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSignature(
            "onJobResult(uint64,uint8,uint64,address,bytes32,bytes)",
            service,
            0,
            call,
            operator,
            inputs,
            output
        );
    }

    function _oldResult(
        uint64 service,
        uint64 call,
        address operator,
        bytes memory inputs,
        bytes memory output
    ) private pure returns (bytes memory) {
        return abi.encodeWithSignature(
            "onJobResult(uint64,uint8,uint64,address,bytes,bytes)", service, 0, call, operator, inputs, output
        );
    }
}
