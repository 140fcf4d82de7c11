// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {Vm} from "forge-std/Vm.sol";

/// @notice Foundry's cheat codes: those that npm's forge-std knows, and the newer assertions. Its `Test` needs
/// a package that npm does not have, so the tests rest on these.
interface Cheats is Vm {
    function assertEq(uint256 left, uint256 right) external pure;
    function assertEq(bytes32 left, bytes32 right) external pure;
    function assertEq(address left, address right) external pure;
    function assertTrue(bool condition) external pure;
    function assertFalse(bool condition) external pure;
}

/// @notice Makes an account's storage as dear to read as in a new transaction.
interface Cold {
    function cool(address account) external;
}

/// @notice Keys, which npm's forge-std declares as changing the state.
interface Keys {
    function addr(uint256 key) external pure returns (address);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
}

/// @notice Base of the tests.
abstract contract Checks {
    Cheats internal constant vm = Cheats(address(uint160(uint256(keccak256("hevm cheat code")))));
    Cold internal constant cold = Cold(address(uint160(uint256(keccak256("hevm cheat code")))));
    Keys internal constant keys = Keys(address(uint160(uint256(keccak256("hevm cheat code")))));
}
