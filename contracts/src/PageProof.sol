// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

/// @title Proof of one page of a snapshot's memory
/// @notice Lets a contract check, against the measurement that a result carries as its state root, what one
/// 4 KiB page of that machine's memory holds.
/// @dev Leaf `sha256(0x00 ‖ page)`, node `sha256(0x01 ‖ four children)`, measurement
/// `sha256(domain ‖ profile ‖ RAM root ‖ devices)`: the blueprint's own tree. Leaf and node begin differently,
/// so a root fixes the height of its tree and a proof for another height leads elsewhere.
library PageProof {
    uint256 internal constant PAGE_SIZE = 4096;
    /// @dev Three siblings a level.
    uint256 internal constant SIBLINGS_SIZE = 96;
    bytes private constant DOMAIN = "faas machine state 1\x00";

    /// @notice Whether page `pageIndex` of the machine with this measurement is `page`.
    /// @param siblings Per level from the leaves up, the three siblings in their order; 864 bytes for 1 GiB.
    /// @return False for whatever does not fit, too; it never reverts.
    function verifyPage(
        bytes32 measurement,
        bytes32 profileId,
        bytes32 deviceHash,
        uint256 pageIndex,
        bytes calldata page,
        bytes calldata siblings
    ) internal pure returns (bool) {
        (bool fits, bytes32 root) = ramRoot(pageIndex, page, siblings);
        return fits && measurementOf(profileId, root, deviceHash) == measurement;
    }

    /// @notice The measurement of a machine from its three parts.
    function measurementOf(bytes32 profileId, bytes32 root, bytes32 deviceHash)
        internal
        pure
        returns (bytes32)
    {
        return sha256(abi.encodePacked(DOMAIN, profileId, root, deviceHash));
    }

    /// @notice The RAM root that a page and its siblings lead to.
    /// @return fits False when page or siblings have the wrong length, or there is no page with this index.
    /// @return root Zero when they do not fit.
    function ramRoot(uint256 pageIndex, bytes calldata page, bytes calldata siblings)
        internal
        pure
        returns (bool fits, bytes32 root)
    {
        if (page.length != PAGE_SIZE || siblings.length % SIBLINGS_SIZE != 0) return (false, 0);
        uint256 height = siblings.length / SIBLINGS_SIZE;
        if (height < 128 && pageIndex >> (2 * height) != 0) return (false, 0);
        root = sha256(abi.encodePacked(bytes1(0x00), page));
        for (uint256 level = 0; level < height; level++) {
            root = _parent(root, pageIndex % 4, siblings[level * SIBLINGS_SIZE:(level + 1) * SIBLINGS_SIZE]);
            pageIndex /= 4;
        }
        return (true, root);
    }

    function _parent(bytes32 node, uint256 place, bytes calldata siblings) private pure returns (bytes32) {
        uint256 cut = place * 32;
        return sha256(abi.encodePacked(bytes1(0x01), siblings[:cut], node, siblings[cut:]));
    }
}
