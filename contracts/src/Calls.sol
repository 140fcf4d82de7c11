// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {TransientSlot} from "@openzeppelin/contracts/utils/TransientSlot.sol";
import {Assurance} from "./Assurances.sol";
import {Call, Standing} from "./CallRecords.sol";
import {Callbacks} from "./Callbacks.sol";
import {PostedResult} from "./PostedResult.sol";
import {Claim, Place, Receipts} from "./Receipts.sol";

/// @title Counts the operators' answers to a call until enough are equal
/// @notice An answer is a claim that an operator of the service signed. It counts once per operator and call,
/// whether the operator posted it through Tangle or somebody else brings the receipt: the first one stands.
/// No clock decides an open call, so nobody is out for being late.
abstract contract Calls is Callbacks {
    using TransientSlot for *;

    uint256 private constant COMPLETE = 1;
    uint256 private constant WAIT = 2;

    error NotAnOperatorOfTheCall(address operator);
    error AlreadyAnswered(address operator);
    error AnotherJob(bytes32 jobDigest);
    error NotRegistered();
    error NotSigned(address operator);
    error TooEarly(uint64 deadline);
    error TooLate(uint64 deadline);

    // For everyone

    /// @notice Brings an operator's signed receipt as its answer: how operators challenge a proposed result
    /// and settle the dispute, and how an answer counts whose posting failed. Its place is the call's, its
    /// version 3. Only operators of the service have an answer, so a stranger can carry but not speak.
    function bringReceipt(Place calldata place, Claim calldata claim, bytes calldata signature) external {
        Call storage entry = _calls[place.serviceId][place.callId];
        _checkTakesReceipts(entry);
        address operator = place.operator;
        if (_hasAnswered(place)) revert AlreadyAnswered(operator);
        if (!_mayAnswer(place)) revert NotAnOperatorOfTheCall(operator);
        if (claim.jobDigest != entry.jobDigest) revert AnotherJob(claim.jobDigest);
        if (entry.registeredOnly && !isRegistered(claim)) revert NotRegistered();
        if (!Receipts.isSigned(claim, place, tangle, signature)) revert NotSigned(operator);
        _answer(entry, place, Receipts.agreementOf(claim));
        _callBackIfDue(entry, place.serviceId, place.callId);
    }

    /// @notice Ends a window: a proposed result that nobody challenged is final, a disputed one undecided.
    function settle(uint64 serviceId, uint64 callId) external {
        Call storage entry = _calls[serviceId][callId];
        Standing standing = entry.standing;
        if (standing != Standing.Proposed && standing != Standing.Disputed) revert WrongStanding(standing);
        if (block.timestamp < entry.deadline) revert TooEarly(entry.deadline);
        if (standing == Standing.Proposed) _finalise(entry, serviceId, callId, entry.agreement);
        else _giveUp(entry, serviceId, callId);
        _callBackIfDue(entry, serviceId, callId);
    }

    /// @notice How many results complete a call for Tangle. It asks right after showing us a result, without
    /// naming the call: then the answer is 1 when that call has ended, and otherwise more than there can be.
    /// So Tangle completes, and pays for, a call when its answers agree or no more can come. A result that we
    /// were not shown, because its sender gave the hook too little gas, completes nothing.
    function getRequiredResultCount(uint64 serviceId, uint8) public view virtual returns (uint32) {
        if (msg.sender != tangle) return assuranceOf(serviceId).agreeing;
        return _shown(serviceId).tload() == COMPLETE ? 1 : type(uint32).max;
    }

    // For hooks

    /// @dev A call begins; one that Tangle did not announce begins with its first result.
    function _open(uint64 serviceId, uint64 callId, bytes32 jobDigest) internal {
        Call storage entry = _calls[serviceId][callId];
        if (entry.standing != Standing.Unknown) return;
        Assurance memory assurance = assuranceOf(serviceId);
        entry.standing = Standing.Open;
        entry.agreeing = assurance.agreeing;
        entry.awaited = assurance.answers;
        entry.registeredOnly = assurance.registeredOnly;
        entry.window = assurance.window;
        entry.jobDigest = jobDigest;
    }

    /// @dev Tangle takes one result per operator and call; should it ever call twice, the first one stands.
    function _record(Place memory place, uint8 job, bytes32 jobDigest, bytes calldata outputs) internal {
        (uint64 serviceId, uint64 callId) = (place.serviceId, place.callId);
        _open(serviceId, callId, jobDigest);
        Call storage entry = _calls[serviceId][callId];
        if (resultHash[serviceId][callId][place.operator] == 0) {
            bool answered = _hasAnswered(place);
            bytes32 hash = keccak256(outputs);
            resultHash[serviceId][callId][place.operator] = hash;
            emit ResultRecorded(serviceId, callId, place.operator, job, hash);
            if (!answered) _answer(entry, place, _agreementOf(entry, place, outputs));
            _callBackIfDue(entry, serviceId, callId);
        }
        _shown(serviceId).tstore(entry.standing == Standing.Open ? WAIT : COMPLETE);
    }

    // Answers

    /// @dev Zero unless the posted result is a receipt of this job by this operator that may count.
    function _agreementOf(Call storage entry, Place memory place, bytes calldata outputs)
        private
        view
        returns (bytes32)
    {
        (bool fits, Claim memory claim, bytes calldata signature) = PostedResult.read(outputs);
        if (!fits || claim.jobDigest != entry.jobDigest) return 0;
        if (entry.registeredOnly && !isRegistered(claim)) return 0;
        return Receipts.isSigned(claim, place, tangle, signature) ? Receipts.agreementOf(claim) : bytes32(0);
    }

    function _answer(Call storage entry, Place memory place, bytes32 agreement) private {
        uint256 number = entry.answers;
        if (number == MAX_ANSWERS) return;
        _operators[place.serviceId][place.callId][number] = place.operator;
        agreementOf[place.serviceId][place.callId][place.operator] = agreement;
        // forge-lint: disable-next-line(unsafe-typecast) -- below MAX_ANSWERS
        entry.answers = uint8(number + 1);
        emit Answered(place.serviceId, place.callId, place.operator, agreement);
        _weigh(entry, place, agreement);
    }

    /// @dev What an answer changes, by where the call stands.
    function _weigh(Call storage entry, Place memory place, bytes32 agreement) private {
        (uint64 serviceId, uint64 callId, Standing standing) = (place.serviceId, place.callId, entry.standing);
        if (standing == Standing.Final) {
            if (agreement != entry.agreement) emit OddOneOut(serviceId, callId, place.operator, agreement);
        } else if (standing == Standing.Undecided) {
            return;
        } else if (agreement != 0 && _isEnough(entry, serviceId, callId, agreement)) {
            _finalise(entry, serviceId, callId, agreement);
        } else if (standing == Standing.Open) {
            if (agreement != 0 && entry.window != 0) _propose(entry, serviceId, callId, agreement);
            else if (_isExhausted(entry, serviceId, callId)) _giveUp(entry, serviceId, callId);
        } else if (standing == Standing.Proposed && agreement != 0 && agreement != entry.agreement) {
            _dispute(entry, serviceId, callId, agreement);
        }
    }

    function _propose(Call storage entry, uint64 serviceId, uint64 callId, bytes32 agreement) private {
        entry.standing = Standing.Proposed;
        entry.agreement = agreement;
        entry.deadline = uint64(block.timestamp) + entry.window;
        emit ResultProposed(serviceId, callId, agreement, entry.deadline);
    }

    /// @dev A dispute runs for as long again, so that a challenge at the last moment can be answered.
    function _dispute(Call storage entry, uint64 serviceId, uint64 callId, bytes32 agreement) private {
        entry.standing = Standing.Disputed;
        entry.deadline = uint64(block.timestamp) + entry.window;
        emit ResultDisputed(serviceId, callId, agreement, entry.deadline);
    }

    function _finalise(Call storage entry, uint64 serviceId, uint64 callId, bytes32 agreement) private {
        // forge-lint: disable-next-line(unsafe-typecast) -- of MAX_ANSWERS at the most
        uint8 votes = uint8(_equal(entry, serviceId, callId, agreement));
        entry.standing = Standing.Final;
        entry.agreement = agreement;
        entry.votes = votes;
        emit CallFinalised(serviceId, callId, agreement, votes);
        uint256 answers = entry.answers;
        if (votes == answers) return;
        for (uint256 number = 0; number < answers; ++number) {
            address operator = _operators[serviceId][callId][number];
            bytes32 theirs = agreementOf[serviceId][callId][operator];
            if (theirs != agreement) emit OddOneOut(serviceId, callId, operator, theirs);
        }
    }

    function _giveUp(Call storage entry, uint64 serviceId, uint64 callId) private {
        entry.standing = Standing.Undecided;
        entry.agreement = 0;
        emit CallUndecided(serviceId, callId);
    }

    /// @dev With a window, more than half of the operators overrule or confirm the proposal.
    function _isEnough(Call storage entry, uint64 serviceId, uint64 callId, bytes32 agreement)
        private
        view
        returns (bool)
    {
        uint256 needed = entry.agreeing;
        if (entry.window != 0) {
            needed = _least(_present(serviceId, callId), MAX_ANSWERS) / 2 + 1;
            if (needed == 1 && entry.standing == Standing.Open) return false; // one operator: the window stays
        }
        return needed == 1 || _equal(entry, serviceId, callId, agreement) >= needed;
    }

    function _isExhausted(Call storage entry, uint64 serviceId, uint64 callId) private view returns (bool) {
        return entry.answers >= _least(entry.awaited, _present(serviceId, callId));
    }

    function _equal(Call storage entry, uint64 serviceId, uint64 callId, bytes32 agreement)
        private
        view
        returns (uint256 count)
    {
        uint256 answers = entry.answers;
        for (uint256 number = 0; number < answers; ++number) {
            address operator = _operators[serviceId][callId][number];
            if (agreementOf[serviceId][callId][operator] == agreement) ++count;
        }
    }

    // Small words

    function _checkTakesReceipts(Call storage entry) private view {
        Standing standing = entry.standing;
        if (standing == Standing.Unknown || _hasEnded(standing)) revert WrongStanding(standing);
        if (standing != Standing.Open && block.timestamp >= entry.deadline) revert TooLate(entry.deadline);
    }

    function _least(uint256 left, uint256 right) private pure returns (uint256) {
        return left < right ? left : right;
    }

    /// @dev Whether the result that Tangle last showed us in this transaction ended its call, by service.
    function _shown(uint64 serviceId) private pure returns (TransientSlot.Uint256Slot) {
        return keccak256(abi.encode("faas shown result", serviceId)).asUint256();
    }
}
