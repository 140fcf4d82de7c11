// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {Claim} from "./Receipts.sol";

/// @title Reads what an operator posts for job 0
/// @dev Tangle has checked the payload against the result schema, so its fixed part has one layout. The output
/// that may stand inline before the signature is bound by its hashes inside the outcome and is not read.
library PostedResult {
    uint256 private constant OUTCOME = 163;
    uint256 private constant OUTCOME_END = 344;
    uint256 private constant SIGNATURE_SIZE = 65;
    /// @dev The fixed part, an absent output, the signature's length and the signature.
    uint256 private constant LEAST_SIZE = OUTCOME_END + 1 + 1 + SIGNATURE_SIZE;

    /// @notice The claim and its signature. It never reverts.
    /// @return fits False when the bytes are no result of receipt version 3; the rest is then zero.
    function read(bytes calldata result)
        internal
        pure
        returns (bool fits, Claim memory claim, bytes calldata signature)
    {
        signature = result[0:0];
        if (!_fits(result)) return (false, claim, signature);
        claim.profileId = bytes32(result[2:34]);
        claim.snapshot = bytes32(result[34:66]);
        claim.toolchain = bytes32(result[66:98]);
        claim.jobDigest = bytes32(result[98:130]);
        claim.stateRoot = bytes32(result[130:162]);
        claim.outcomeDigest = keccak256(result[OUTCOME:OUTCOME_END]);
        claim.virtualNs = uint64(bytes8(result[169:177]));
        return (true, claim, result[result.length - SIGNATURE_SIZE:]);
    }

    /// @dev Version, field counts of the five structures, and the signature's length.
    function _fits(bytes calldata result) private pure returns (bool) {
        return result.length >= LEAST_SIZE && bytes2(result[0:2]) == 0x0003 && result[162] == 0x08
            && result[177] == 0x03 && result[219] == 0x03 && result[261] == 0x04 && result[307] == 0x02
            && result[result.length - SIGNATURE_SIZE - 1] == 0x41;
    }
}
