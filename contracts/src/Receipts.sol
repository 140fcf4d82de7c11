// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @notice What a receipt says happened: the part of it that is a function of snapshot and job. Operators
/// agree on a call when their claims are equal; place and signer of a receipt differ by their nature.
struct Claim {
    bytes32 profileId;
    bytes32 snapshot;
    bytes32 toolchain;
    bytes32 jobDigest;
    bytes32 outcomeDigest;
    bytes32 stateRoot;
    uint64 virtualNs;
}

/// @notice Who says it, and of which call of this chain's Tangle.
struct Place {
    uint64 serviceId;
    uint64 callId;
    address operator;
}

/// @title Receipts of version 3 as EIP-712 typed data
/// @dev The domain is Tangle's place, not a contract of ours: a receipt is signed once, whoever reads it.
library Receipts {
    uint256 internal constant VERSION = 3;
    bytes32 internal constant TYPE_HASH = keccak256(
        "Receipt(uint16 version,bytes32 profileId,bytes32 snapshot,bytes32 toolchain,bytes32 jobDigest,bytes32 outcomeDigest,bytes32 stateRoot,uint64 virtualNs,uint256 chainId,address tangle,uint64 serviceId,uint64 callId,address operator)"
    );
    bytes32 private constant DOMAIN_TYPE_HASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant NAME_HASH = keccak256("FaaS Receipt");
    bytes32 private constant VERSION_HASH = keccak256("3");

    /// @notice The agreement digest: Keccak-256 of the claim's seven words.
    function agreementOf(Claim memory claim) internal pure returns (bytes32) {
        return keccak256(abi.encode(claim));
    }

    /// @notice Whether both claims start from the same: profile, snapshot, toolchain and job.
    function sameInputs(Claim memory left, Claim memory right) internal pure returns (bool) {
        return left.profileId == right.profileId && left.snapshot == right.snapshot
            && left.toolchain == right.toolchain && left.jobDigest == right.jobDigest;
    }

    /// @notice Whether one of them must be false: they start from the same and end differently. A failed
    /// outcome, whose state root is zero, contradicts nothing: it says that no machine could be had.
    function contradict(Claim memory left, Claim memory right) internal pure returns (bool) {
        return left.stateRoot != 0 && right.stateRoot != 0 && sameInputs(left, right)
            && agreementOf(left) != agreementOf(right);
    }

    /// @notice The 32 bytes that an operator signs.
    function signingDigest(Claim memory claim, Place memory place, address tangle)
        internal
        view
        returns (bytes32)
    {
        bytes32 domain =
            keccak256(abi.encode(DOMAIN_TYPE_HASH, NAME_HASH, VERSION_HASH, block.chainid, tangle));
        // every field is one word, so the concatenation is the struct's own encoding
        bytes memory words = bytes.concat(
            abi.encode(TYPE_HASH, VERSION),
            abi.encode(claim),
            abi.encode(block.chainid, tangle),
            abi.encode(place)
        );
        return keccak256(abi.encodePacked(bytes2(0x1901), domain, keccak256(words)));
    }

    /// @notice Whether the place's operator signed this; it never reverts.
    function isSigned(Claim memory claim, Place memory place, address tangle, bytes memory signature)
        internal
        view
        returns (bool)
    {
        (address signer, ECDSA.RecoverError failure,) =
            ECDSA.tryRecover(signingDigest(claim, place, tangle), signature);
        return failure == ECDSA.RecoverError.NoError && signer == place.operator;
    }
}
