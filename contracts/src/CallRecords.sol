// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {Assurances} from "./Assurances.sol";
import {ITangle} from "./ITangle.sol";
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

/// @title What is kept of calls and of the operators' answers to them
abstract contract CallRecords is Assurances {
    /// @notice Keccak-256 of what an operator posted as result of a call; zero when it posted nothing.
    mapping(uint64 serviceId => mapping(uint64 callId => mapping(address operator => bytes32))) public
        resultHash;

    /// @notice The agreement digest of an operator's answer; zero when it gave none or none that counts.
    mapping(uint64 serviceId => mapping(uint64 callId => mapping(address operator => bytes32))) public
        agreementOf;

    mapping(uint64 serviceId => mapping(uint64 callId => Call)) internal _calls;
    mapping(uint64 serviceId => mapping(uint64 callId => mapping(uint256 number => address operator)))
        internal _operators;

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

    error WrongStanding(Standing standing);

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

    // Inner questions

    /// @dev How many operators gave the final answer before it was final; zero while there is none.
    function _votes(uint64 serviceId, uint64 callId) internal view returns (uint256) {
        Call storage entry = _calls[serviceId][callId];
        return entry.standing == Standing.Final ? entry.votes : 0;
    }

    /// @dev How many may answer: the quoted operators of a job from quotes, otherwise those of the service.
    function _present(uint64 serviceId, uint64 callId) internal view returns (uint256) {
        uint256 quoted = ITangle(tangle).getJobQuotedOperators(serviceId, callId).length;
        if (quoted != 0) return quoted;
        (,,,,,, uint32 operators) = ITangle(tangle).getService(serviceId);
        return operators;
    }

    function _mayAnswer(Place memory place) internal view returns (bool) {
        if (!ITangle(tangle).isServiceOperator(place.serviceId, place.operator)) return false;
        address[] memory quoted = ITangle(tangle).getJobQuotedOperators(place.serviceId, place.callId);
        for (uint256 number = 0; number < quoted.length; ++number) {
            if (quoted[number] == place.operator) return true;
        }
        return quoted.length == 0;
    }

    function _hasAnswered(Place memory place) internal view returns (bool) {
        return resultHash[place.serviceId][place.callId][place.operator] != 0
            || agreementOf[place.serviceId][place.callId][place.operator] != 0;
    }

    function _hasEnded(Standing standing) internal pure returns (bool) {
        return standing == Standing.Final || standing == Standing.Undecided;
    }
}
