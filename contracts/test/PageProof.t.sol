// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {PageProof} from "../src/PageProof.sol";
import {Checks} from "./Checks.sol";

/// @notice Cheat codes that read the vectors.
interface Files {
    function readFile(string calldata path) external view returns (string memory);
    function parseJsonBytes32(string calldata json, string calldata key) external pure returns (bytes32);
    function parseJsonUintArray(string calldata json, string calldata key)
        external
        pure
        returns (uint256[] memory);
    function parseJsonBytesArray(string calldata json, string calldata key)
        external
        pure
        returns (bytes[] memory);
}

/// @notice A contract that uses the library, as another would.
contract PageReader {
    function verifyPage(
        bytes32 measurement,
        bytes32 profileId,
        bytes32 deviceHash,
        uint256 pageIndex,
        bytes calldata page,
        bytes calldata siblings
    ) external pure returns (bool) {
        return PageProof.verifyPage(measurement, profileId, deviceHash, pageIndex, page, siblings);
    }

    function ramRoot(uint256 pageIndex, bytes calldata page, bytes calldata siblings)
        external
        pure
        returns (bool, bytes32)
    {
        return PageProof.ramRoot(pageIndex, page, siblings);
    }
}

/// @notice Against proofs that the blueprint's Python made (tests/vectors/page_proofs.json).
contract PageProofTest is Checks {
    uint256 private constant PAGE_COUNT = 1 << 18;

    PageReader private reader;
    bytes32 private measurement;
    bytes32 private profileId;
    bytes32 private root;
    bytes32 private deviceHash;
    uint256[] private indices;
    bytes[] private pages;
    bytes[] private siblings;

    function setUp() public {
        Files files = Files(address(vm));
        string memory json = files.readFile("../tests/vectors/page_proofs.json");
        reader = new PageReader();
        measurement = files.parseJsonBytes32(json, ".measurement");
        profileId = files.parseJsonBytes32(json, ".profileId");
        root = files.parseJsonBytes32(json, ".ramRoot");
        deviceHash = files.parseJsonBytes32(json, ".deviceHash");
        indices = files.parseJsonUintArray(json, ".indices");
        pages = files.parseJsonBytesArray(json, ".pages");
        siblings = files.parseJsonBytesArray(json, ".siblings");
    }

    function test_every_vector_holds() public view {
        vm.assertTrue(indices.length > 0);
        for (uint256 number = 0; number < indices.length; number++) {
            (bool fits, bytes32 found) = reader.ramRoot(indices[number], pages[number], siblings[number]);
            vm.assertTrue(fits);
            vm.assertEq(found, root);
            vm.assertTrue(_holds(indices[number], pages[number], siblings[number]));
        }
    }

    function test_gas_of_one_page() public {
        (bytes memory page, bytes memory path) = (pages[5], siblings[5]);
        uint256 before = gasleft();
        bool holds = reader.verifyPage(measurement, profileId, deviceHash, indices[5], page, path);
        uint256 used = before - gasleft();
        vm.assertTrue(holds);
        vm.assertTrue(used < 45_000);
        emit Gas(used);
    }

    event Gas(uint256 used);

    function testFuzz_another_index_does_not_hold(uint256 number, uint256 index) public {
        number %= 9; // those that are not zero: equal pages side by side would hold at both places
        vm.assume(index != indices[number]);
        vm.assertFalse(_holds(index, pages[number], siblings[number]));
        index %= PAGE_COUNT;
        vm.assertFalse(index != indices[number] && _holds(index, pages[number], siblings[number]));
    }

    function testFuzz_an_index_outside_does_not_hold(uint256 number, uint256 times) public view {
        number %= indices.length;
        unchecked {
            uint256 index = indices[number] + PAGE_COUNT * times;
            vm.assertTrue(_holds(index, pages[number], siblings[number]) == (index < PAGE_COUNT));
        }
        vm.assertFalse(_holds(indices[number] + PAGE_COUNT, pages[number], siblings[number]));
    }

    function testFuzz_a_flipped_bit_does_not_hold(uint256 number, uint256 place, uint8 bit) public view {
        number %= indices.length;
        bytes memory page = pages[number];
        bytes memory path = siblings[number];
        bytes1 mask = bytes1(uint8(1) << (bit % 8));
        page[place % page.length] ^= mask;
        vm.assertFalse(_holds(indices[number], page, path));
        page[place % page.length] ^= mask;
        path[place % path.length] ^= mask;
        vm.assertFalse(_holds(indices[number], page, path));
        path[place % path.length] ^= mask;
        vm.assertTrue(_holds(indices[number], page, path));
    }

    function testFuzz_a_wrong_length_does_not_hold(uint256 number, uint256 size) public view {
        number %= indices.length;
        bytes memory page = pages[number];
        bytes memory path = siblings[number];
        uint256 other = size % 8192;
        if (other != page.length) vm.assertFalse(_holds(indices[number], _resized(page, other), path));
        other = size % 2048;
        if (other != path.length) vm.assertFalse(_holds(indices[number], page, _resized(path, other)));
    }

    function testFuzz_other_parts_do_not_hold(bytes32 other, uint256 number) public {
        number %= indices.length;
        (uint256 index, bytes memory page, bytes memory path) =
            (indices[number], pages[number], siblings[number]);
        vm.assume(other != measurement && other != profileId && other != deviceHash);
        vm.assertFalse(reader.verifyPage(other, profileId, deviceHash, index, page, path));
        vm.assertFalse(reader.verifyPage(measurement, other, deviceHash, index, page, path));
        vm.assertFalse(reader.verifyPage(measurement, profileId, other, index, page, path));
    }

    function testFuzz_it_never_reverts(bytes32 word, uint256 index, bytes calldata page, bytes calldata path)
        public
        view
    {
        vm.assertFalse(reader.verifyPage(word, word, word, index, page, path));
        vm.assertFalse(reader.verifyPage(word, word, word, index, pages[0], path));
    }

    function test_no_siblings_are_a_tree_of_one_page() public view {
        (bool fits, bytes32 found) = reader.ramRoot(0, pages[0], "");
        vm.assertTrue(fits);
        vm.assertEq(found, sha256(abi.encodePacked(bytes1(0x00), pages[0])));
        (fits,) = reader.ramRoot(1, pages[0], "");
        vm.assertFalse(fits);
    }

    function test_more_levels_than_an_index_has_bits() public view {
        (bool fits, bytes32 found) = reader.ramRoot(type(uint256).max, pages[0], new bytes(96 * 130));
        vm.assertTrue(fits);
        vm.assertTrue(found != root);
        (fits,) = reader.ramRoot(type(uint256).max, pages[0], new bytes(96 * 127));
        vm.assertFalse(fits);
    }

    function _holds(uint256 index, bytes memory page, bytes memory path) private view returns (bool) {
        return reader.verifyPage(measurement, profileId, deviceHash, index, page, path);
    }

    /// @dev Cut, or filled up with zeros.
    function _resized(bytes memory data, uint256 size) private pure returns (bytes memory resized) {
        resized = new bytes(size);
        for (uint256 place = 0; place < size && place < data.length; place++) {
            resized[place] = data[place];
        }
    }
}
