// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {TransientSlot} from "@openzeppelin/contracts/utils/TransientSlot.sol";
import {Assurance, Assurances} from "./Assurances.sol";
import {IResultReceiver} from "./IResultReceiver.sol";
import {ITangle} from "./ITangle.sol";
import {PostedResult} from "./PostedResult.sol";
import {Claim, Place, Receipts} from "./Receipts.sol";

/// @notice Where a call stands. `Final` and `Undecided` are the ends.
enum Standing {
    Unknown,
    Open,
    Proposed,
    Disputed,
    Final,
    Undecided
}

/// @notice One call; its assurance is that of the service when it was submitted.
/// @param answers Operators that have answered; no more than `MAX_ANSWERS` are counted.
/// @param votes Of a final call: how many answers were equal when it became final.
/// @param deadline Of a proposed or disputed call: until when receipts are taken.
/// @param callbackGas What the caller's callback may use; zero when none is due.
struct Call {
    Standing standing;
    uint8 agreeing;
    uint8 awaited;
    bool registeredOnly;
    uint8 answers;
    uint8 votes;
    uint32 window;
    uint64 deadline;
    uint32 callbackGas;
    bytes32 jobDigest;
    bytes32 agreement;
}

/// @title Counts the operators' answers to a call until enough are equal
/// @notice An answer is a claim that an operator of the service signed. It counts once per operator and call,
/// whether the operator posted it through Tangle or somebody else brings the receipt: the first one stands.
/// No clock decides an open call, so nobody is out for being late.
abstract contract Calls is Assurances {
    using TransientSlot for *;

    /// @notice The most that a caller's callback may use.
    uint32 public constant MAX_CALLBACK_GAS = 100_000;

    /// @dev What a callback in a hook leaves for the rest of the hook.
    uint256 private constant CALLBACK_RESERVE = 30_000;

    uint256 private constant COMPLETE = 1;
    uint256 private constant WAIT = 2;

    /// @notice Keccak-256 of what an operator posted as result of a call; zero when it posted nothing.
    mapping(uint64 serviceId => mapping(uint64 callId => mapping(address operator => bytes32))) public
        resultHash;

    /// @notice The agreement digest of an operator's answer; zero when it gave none or none that counts.
    mapping(uint64 serviceId => mapping(uint64 callId => mapping(address operator => bytes32))) public
        agreementOf;

    mapping(uint64 serviceId => mapping(uint64 callId => Call)) private _calls;
    mapping(uint64 serviceId => mapping(uint64 callId => mapping(uint256 number => address operator))) private
        _operators;

    event ResultRecorded(
        uint64 indexed serviceId,
        uint64 indexed callId,
        address indexed operator,
        uint8 job,
        bytes32 resultHash
    );
    /// @notice An operator's answer; `agreement` is zero when it does not count.
    event Answered(
        uint64 indexed serviceId, uint64 indexed callId, address indexed operator, bytes32 agreement
    );
    event ResultProposed(
        uint64 indexed serviceId, uint64 indexed callId, bytes32 indexed agreement, uint64 deadline
    );
    event ResultDisputed(
        uint64 indexed serviceId, uint64 indexed callId, bytes32 indexed agreement, uint64 deadline
    );
    event CallFinalised(
        uint64 indexed serviceId, uint64 indexed callId, bytes32 indexed agreement, uint8 votes
    );
    event CallUndecided(uint64 indexed serviceId, uint64 indexed callId);
    /// @notice This operator's answer is not the final one; zero when it did not count.
    event OddOneOut(
        uint64 indexed serviceId, uint64 indexed callId, address indexed operator, bytes32 agreement
    );
    event CallbackRequested(uint64 indexed serviceId, uint64 indexed callId, uint32 gasLimit);
    event CallbackAttempted(
        uint64 indexed serviceId, uint64 indexed callId, address indexed receiver, bool succeeded
    );

    error WrongStanding(Standing standing);
    error NotAnOperatorOfTheCall(address operator);
    error AlreadyAnswered(address operator);
    error AnotherJob(bytes32 jobDigest);
    error NotRegistered();
    error NotSigned(address operator);
    error TooEarly(uint64 deadline);
    error TooLate(uint64 deadline);
    error NotTheCaller(address caller);
    error CallbackGasOutOfRange(uint32 gasLimit);
    error NoCallbackDue();
    error NotEnoughGas(uint256 needed);

    // For everyone

    /// @notice Brings an operator's signed receipt as its answer: how operators challenge a proposed result
    /// and settle the dispute, and how an answer counts whose posting failed. Its place is the call's, its
    /// version 2. Only operators of the service have an answer, so a stranger can carry but not speak.
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

    /// @notice Asks for a callback when the call has ended. Only for the contract that submitted the job,
    /// best in the same transaction.
    function requestCallback(uint64 serviceId, uint64 callId, uint32 gasLimit) external {
        if (gasLimit == 0 || gasLimit > MAX_CALLBACK_GAS) revert CallbackGasOutOfRange(gasLimit);
        Call storage entry = _calls[serviceId][callId];
        Standing standing = entry.standing;
        if (standing == Standing.Unknown || _hasEnded(standing)) revert WrongStanding(standing);
        if (_callerOf(serviceId, callId) != msg.sender) revert NotTheCaller(msg.sender);
        entry.callbackGas = gasLimit;
        emit CallbackRequested(serviceId, callId, gasLimit);
    }

    /// @notice Makes a callback that is due still: it failed, or there was too little gas left for it.
    function deliverCallback(uint64 serviceId, uint64 callId) external {
        Call storage entry = _calls[serviceId][callId];
        if (!_hasEnded(entry.standing) || entry.callbackGas == 0) revert NoCallbackDue();
        if (!_hasGasFor(entry.callbackGas)) revert NotEnoughGas(entry.callbackGas);
        _callBack(entry, serviceId, callId);
    }

    // Views

    /// @notice Everything that is kept of a call but the answers.
    function callOf(uint64 serviceId, uint64 callId) external view returns (Call memory) {
        return _calls[serviceId][callId];
    }

    /// @notice The operators that have answered a call, in order.
    function answerersOf(uint64 serviceId, uint64 callId) external view returns (address[] memory operators) {
        operators = new address[](_calls[serviceId][callId].answers);
        for (uint256 number = 0; number < operators.length; ++number) {
            operators[number] = _operators[serviceId][callId][number];
        }
    }

    /// @notice Whether an operator answered a call that is final, and not with the final answer.
    function isOddOneOut(uint64 serviceId, uint64 callId, address operator) external view returns (bool) {
        Call storage entry = _calls[serviceId][callId];
        return entry.standing == Standing.Final && _hasAnswered(Place(serviceId, callId, operator))
            && agreementOf[serviceId][callId][operator] != entry.agreement;
    }

    /// @notice Whether exactly this is the final answer of a call: what a contract checks that is shown one.
    function isEstablished(uint64 serviceId, uint64 callId, Claim calldata claim) public view returns (bool) {
        Call storage entry = _calls[serviceId][callId];
        return entry.standing == Standing.Final && entry.agreement == Receipts.agreementOf(claim);
    }

    /// @notice Whether an operator posted exactly these bytes as result of a call.
    function hasPosted(uint64 serviceId, uint64 callId, address operator, bytes calldata result)
        external
        view
        returns (bool)
    {
        return resultHash[serviceId][callId][operator] == keccak256(result);
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

    /// @dev How many operators gave the final answer before it was final; zero while there is none.
    function _votes(uint64 serviceId, uint64 callId) internal view returns (uint256) {
        Call storage entry = _calls[serviceId][callId];
        return entry.standing == Standing.Final ? entry.votes : 0;
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

    // Questions to Tangle

    /// @dev How many may answer: the quoted operators of a job from quotes, otherwise those of the service.
    function _present(uint64 serviceId, uint64 callId) private view returns (uint256) {
        uint256 quoted = ITangle(tangle).getJobQuotedOperators(serviceId, callId).length;
        if (quoted != 0) return quoted;
        (,,,,,, uint32 operators) = ITangle(tangle).getService(serviceId);
        return operators;
    }

    function _mayAnswer(Place memory place) private view returns (bool) {
        if (!ITangle(tangle).isServiceOperator(place.serviceId, place.operator)) return false;
        address[] memory quoted = ITangle(tangle).getJobQuotedOperators(place.serviceId, place.callId);
        for (uint256 number = 0; number < quoted.length; ++number) {
            if (quoted[number] == place.operator) return true;
        }
        return quoted.length == 0;
    }

    function _callerOf(uint64 serviceId, uint64 callId) private view returns (address caller) {
        (, caller,,) = ITangle(tangle).getJobCall(serviceId, callId);
    }

    // Callbacks

    function _callBackIfDue(Call storage entry, uint64 serviceId, uint64 callId) private {
        uint256 gasLimit = entry.callbackGas;
        if (gasLimit == 0 || !_hasEnded(entry.standing) || !_hasGasFor(gasLimit)) return;
        _callBack(entry, serviceId, callId);
    }

    /// @dev Whatever the receiver does, it costs no more than it may, and what it answers is not looked at.
    /// The callback is not due while it runs; when it fails, it is due again, for `deliverCallback`.
    function _callBack(Call storage entry, uint64 serviceId, uint64 callId) private {
        uint32 gasLimit = entry.callbackGas;
        entry.callbackGas = 0;
        address receiver = _callerOf(serviceId, callId);
        bool decided = entry.standing == Standing.Final;
        bytes memory data =
            abi.encodeCall(IResultReceiver.onExecutionResult, (serviceId, callId, decided, entry.agreement));
        bool succeeded;
        assembly ("memory-safe") {
            // no answer is copied: its size is the receiver's choice
            succeeded := call(gasLimit, receiver, 0, add(data, 0x20), mload(data), 0, 0)
        }
        if (!succeeded) entry.callbackGas = gasLimit;
        emit CallbackAttempted(serviceId, callId, receiver, succeeded);
    }

    /// @dev A call passes on 63 of 64 parts at the most.
    function _hasGasFor(uint256 gasLimit) private view returns (bool) {
        return gasleft() > gasLimit + gasLimit / 63 + CALLBACK_RESERVE;
    }

    // Small words

    function _checkTakesReceipts(Call storage entry) private view {
        Standing standing = entry.standing;
        if (standing == Standing.Unknown || _hasEnded(standing)) revert WrongStanding(standing);
        if (standing != Standing.Open && block.timestamp >= entry.deadline) revert TooLate(entry.deadline);
    }

    function _hasAnswered(Place memory place) private view returns (bool) {
        return resultHash[place.serviceId][place.callId][place.operator] != 0
            || agreementOf[place.serviceId][place.callId][place.operator] != 0;
    }

    function _hasEnded(Standing standing) private pure returns (bool) {
        return standing == Standing.Final || standing == Standing.Undecided;
    }

    function _least(uint256 left, uint256 right) private pure returns (uint256) {
        return left < right ? left : right;
    }

    /// @dev Whether the result that Tangle last showed us in this transaction ended its call, by service.
    function _shown(uint64 serviceId) private pure returns (TransientSlot.Uint256Slot) {
        return keccak256(abi.encode("faas shown result", serviceId)).asUint256();
    }
}
