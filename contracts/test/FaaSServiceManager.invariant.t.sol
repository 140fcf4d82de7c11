// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {FaaSServiceManager} from "../src/FaaSServiceManager.sol";
import {Checks} from "./Checks.sol";

/// @notice Plays Tangle and strangers against one manager, and remembers what must hold.
contract Play is Checks {
    FaaSServiceManager public immutable manager;
    bytes32 public first;
    bool public strangerGotThrough;

    constructor() {
        manager = new FaaSServiceManager(address(this), address(this));
        manager.onBlueprintCreated(0, address(this), address(this));
    }

    /// @notice Any number of results for one call of one operator, in both epochs' forms.
    function post(bytes calldata output, bool old) external {
        if (first == 0) first = keccak256(output);
        if (old) manager.onJobResult(1, 0, 1, address(1), bytes(""), output);
        else manager.onJobResult(1, 0, 1, address(1), bytes32(0), output);
    }

    function require_(uint32 count) external {
        uint256 bounded = 1 + uint256(count) % manager.MAX_REQUIRED_RESULTS();
        manager.setRequiredResults(1, uint32(bounded));
    }

    function rebind(uint64 id, address owner) external {
        try manager.onBlueprintCreated(id, owner, address(this)) {
            strangerGotThrough = true;
        } catch {}
    }

    function intrude(address stranger, bytes calldata data) external {
        if (stranger == address(this)) return;
        bytes32 before = manager.resultHash(1, 1, address(1));
        vm.prank(stranger);
        (bool done,) = address(manager).call(data);
        done;
        if (manager.resultHash(1, 1, address(1)) != before || manager.owner() != address(this)) {
            strangerGotThrough = true;
        }
    }
}

contract FaaSServiceManagerInvariants is Checks {
    Play private play;

    function setUp() public {
        play = new Play();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](2);
        targets[0] = address(play);
        targets[1] = address(play.manager());
    }

    function invariant_the_first_result_stands() public view {
        vm.assertEq(play.manager().resultHash(1, 1, address(1)), play.first());
    }

    function invariant_bound_once_and_owned() public view {
        vm.assertTrue(play.manager().bound());
        vm.assertEq(uint256(play.manager().blueprintId()), 0);
        vm.assertEq(play.manager().owner(), address(play));
        vm.assertFalse(play.strangerGotThrough());
    }

    function invariant_a_job_can_always_complete() public view {
        uint256 required = play.manager().getRequiredResultCount(1, 0);
        vm.assertTrue(required >= 1 && required <= play.manager().MAX_REQUIRED_RESULTS());
    }

    function invariant_holds_no_value() public view {
        vm.assertEq(address(play.manager()).balance, 0);
    }
}
