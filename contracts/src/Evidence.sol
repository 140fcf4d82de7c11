// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Calls} from "./Calls.sol";
import {ITangle} from "./ITangle.sol";
import {Claim, Place, Receipts} from "./Receipts.sol";

/// @title Proposes slashes, on evidence that anyone can check
/// @notice There are two kinds, and neither has to do with being late or absent. Anyone may bring the
/// evidence; there is nothing to win by it, so nothing to be had by being first.
/// @dev Tangle still lets its service's owner and the blueprint's owner propose slashes as they like, and
/// holds every proposal for its dispute window.
abstract contract Evidence is Calls, EIP712 {
    /// @notice Two claims that contradict each other, both signed: of what the operator committed, all.
    uint16 public constant EQUIVOCATION_BPS = 10_000;

    /// @notice A claim that a quorum refuted; bad hardware can be the cause.
    uint16 public constant REFUTED_BPS = 2_500;

    bytes32 private constant REFUTATION_TYPE_HASH = keccak256(
        "Refutation(uint64 serviceId,uint64 callId,address operator,bytes32 established,bytes32 refuted,bytes32 report)"
    );

    /// @notice Whether a slash has been proposed for an operator's answer to a call; there is one at the most.
    mapping(uint64 serviceId => mapping(uint64 callId => mapping(address operator => bool))) public
        isProposed;

    event EquivocationProven(
        uint64 indexed serviceId,
        uint64 indexed callId,
        address indexed operator,
        bytes32 evidence,
        uint64 slashId
    );
    event RefutationProven(
        uint64 indexed serviceId,
        uint64 indexed callId,
        address indexed operator,
        bytes32 evidence,
        bytes32 report,
        uint64 slashId
    );

    error NoContradiction();
    error AlreadyProposed(address operator);
    error NotEstablished();
    error NoQuorum(uint256 witnesses, uint256 needed);
    error NotAWitness(address signer);
    error WitnessesOutOfOrder();

    constructor() EIP712("FaaS Refutation", "1") {}

    /// @notice Proves that an operator signed two receipts for one call that start from the same profile,
    /// snapshot, toolchain and job, and end differently; one of them is false. Receipts that start
    /// differently are no evidence: both may be true.
    function proveEquivocation(
        Place calldata place,
        Claim calldata first,
        bytes calldata firstSignature,
        Claim calldata second,
        bytes calldata secondSignature
    ) external returns (uint64 slashId) {
        if (!Receipts.contradict(first, second)) revert NoContradiction();
        _checkSigned(place, first, firstSignature);
        _checkSigned(place, second, secondSignature);
        bytes32 evidence = keccak256(abi.encode(Receipts.agreementOf(first), Receipts.agreementOf(second)));
        slashId = _propose(place, EQUIVOCATION_BPS, evidence);
        emit EquivocationProven(place.serviceId, place.callId, place.operator, evidence, slashId);
    }

    /// @notice Proves that the quorum of a final call refuted an operator's signed receipt: as many of those
    /// who gave the final answer as made it final, two at the least, have run the job again, bisected the
    /// runs, and signed the report that says where the receipt's run leaves theirs.
    /// @param established The final answer; it must start from the same as the refuted claim.
    /// @param report Hash of the bisection's report.
    /// @param witnesses Signatures of `refutationDigest`, in ascending order of their signers.
    function proveRefuted(
        Place calldata place,
        Claim calldata refuted,
        bytes calldata signature,
        Claim calldata established,
        bytes32 report,
        bytes[] calldata witnesses
    ) external returns (uint64 slashId) {
        if (!isEstablished(place.serviceId, place.callId, established)) {
            revert NotEstablished();
        }
        if (!Receipts.contradict(established, refuted)) revert NoContradiction();
        _checkSigned(place, refuted, signature);
        bytes32 evidence =
            refutationDigest(place, Receipts.agreementOf(established), Receipts.agreementOf(refuted), report);
        _checkWitnesses(place, Receipts.agreementOf(established), evidence, witnesses);
        slashId = _propose(place, REFUTED_BPS, evidence);
        emit RefutationProven(place.serviceId, place.callId, place.operator, evidence, report, slashId);
    }

    /// @notice What a witness signs: EIP-712, domain `FaaS Refutation` version 1 of this contract.
    function refutationDigest(Place calldata place, bytes32 established, bytes32 refuted, bytes32 report)
        public
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(
            keccak256(
                abi.encode(
                    REFUTATION_TYPE_HASH,
                    place.serviceId,
                    place.callId,
                    place.operator,
                    established,
                    refuted,
                    report
                )
            )
        );
    }

    function _checkSigned(Place calldata place, Claim calldata claim, bytes calldata signature) private view {
        if (!Receipts.isSigned(claim, place, tangle, signature)) revert NotSigned(place.operator);
    }

    function _checkWitnesses(
        Place calldata place,
        bytes32 established,
        bytes32 digest,
        bytes[] calldata witnesses
    ) private view {
        uint256 needed = _votes(place.serviceId, place.callId);
        if (needed < 2 || witnesses.length < needed) revert NoQuorum(witnesses.length, needed);
        address last = address(0);
        for (uint256 number = 0; number < witnesses.length; ++number) {
            address signer = ECDSA.recover(digest, witnesses[number]);
            if (signer <= last) revert WitnessesOutOfOrder();
            if (agreementOf[place.serviceId][place.callId][signer] != established) {
                revert NotAWitness(signer);
            }
            last = signer;
        }
    }

    function _propose(Place calldata place, uint16 share, bytes32 evidence) private returns (uint64) {
        (uint64 serviceId, uint64 callId, address operator) = (place.serviceId, place.callId, place.operator);
        if (isProposed[serviceId][callId][operator]) revert AlreadyProposed(operator);
        isProposed[serviceId][callId][operator] = true;
        return ITangle(tangle).proposeSlash(serviceId, operator, share, evidence);
    }
}
