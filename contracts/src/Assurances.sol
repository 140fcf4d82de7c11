// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {ITangle} from "./ITangle.sol";
import {Measurements} from "./Measurements.sol";

/// @notice How sure a service wants to be of a result.
/// @param agreeing So many equal answers make a result final; 1 takes one operator's signed word.
/// @param answers When so many have answered without agreement, the call is undecided; fewer when the service
/// has fewer operators.
/// @param window Seconds for which a single answer can be challenged before it is final; 0 for no window.
/// @param registeredOnly Whether only answers on registered profile, snapshot and toolchain count.
struct Assurance {
    uint8 agreeing;
    uint8 answers;
    uint32 window;
    bool registeredOnly;
}

/// @title The tunable assurance of each service
/// @notice Chosen by who requests a service, in the request's configuration, and by the service's owner later.
/// A call keeps the assurance that was in force when it was submitted.
abstract contract Assurances is Measurements {
    /// @notice More executions of one job than this are not counted; it bounds every loop.
    uint8 public constant MAX_ANSWERS = 16;

    /// @notice Bounds of a window other than none.
    uint32 public constant MIN_WINDOW = 1 minutes;
    uint32 public constant MAX_WINDOW = 30 days;

    /// @notice The one Tangle router that is trusted.
    address public immutable tangle;

    /// @notice Whether the blueprint exists, and with which id.
    bool public bound;
    uint64 public blueprintId;

    /// @notice Who may join a running service: otherwise anyone with a stake could, and answer first.
    mapping(uint64 serviceId => mapping(address operator => bool)) public isAdmitted;

    mapping(uint64 serviceId => Assurance) private _assurances;

    /// @dev A service from signed quotes is initialised with request 0, which it has nothing to do with; so
    /// what a request chose is only for a service of the same owner.
    struct Requested {
        Assurance assurance;
        address requester;
    }

    mapping(uint64 requestId => Requested) private _requested;

    event AssuranceSet(uint64 indexed serviceId, Assurance assurance);
    event OperatorAdmitted(uint64 indexed serviceId, address indexed operator, bool admitted);

    error InvalidAssurance(Assurance assurance, uint256 operators);
    error InvalidConfiguration(uint256 size);
    error NotServiceOwner(uint64 serviceId, address caller);

    constructor(address tangle_) {
        if (tangle_ == address(0)) revert ZeroValue();
        tangle = tangle_;
    }

    /// @notice Sets what calls of a service submitted from now on need. Only for the service's owner, as
    /// Tangle names it.
    function setAssurance(uint64 serviceId, Assurance calldata assurance) external {
        uint256 operators = _asServiceOwner(serviceId);
        _check(assurance, operators);
        _setAssurance(serviceId, assurance);
    }

    /// @notice Lets an operator join a running service, or no longer. Only for the service's owner. The
    /// operators that the owner requested need no admission.
    function admitOperator(uint64 serviceId, address operator, bool admitted) external {
        _asServiceOwner(serviceId);
        isAdmitted[serviceId][operator] = admitted;
        emit OperatorAdmitted(serviceId, operator, admitted);
    }

    /// @notice The assurance of a service: unless chosen otherwise, the first valid answer is final.
    function assuranceOf(uint64 serviceId) public view returns (Assurance memory assurance) {
        assurance = _assurances[serviceId];
        if (assurance.agreeing == 0) assurance = Assurance(1, MAX_ANSWERS, 0, false);
    }

    /// @dev An empty configuration chooses nothing; anything but an ABI-encoded assurance is refused.
    function _request(uint64 requestId, address requester, bytes calldata configuration, uint256 operators)
        internal
    {
        if (configuration.length == 0) return;
        if (configuration.length != 128) revert InvalidConfiguration(configuration.length);
        Assurance memory assurance = abi.decode(configuration, (Assurance));
        _check(assurance, operators);
        _requested[requestId] = Requested(assurance, requester);
    }

    /// @dev The request is approved and has become a service.
    function _activate(uint64 requestId, uint64 serviceId, address owner_) internal {
        Requested memory requested = _requested[requestId];
        if (requested.assurance.agreeing == 0 || requested.requester != owner_) return;
        delete _requested[requestId];
        _setAssurance(serviceId, requested.assurance);
    }

    function _setAssurance(uint64 serviceId, Assurance memory assurance) private {
        _assurances[serviceId] = assurance;
        emit AssuranceSet(serviceId, assurance);
    }

    /// @dev How many operators the service has.
    function _asServiceOwner(uint64 serviceId) private view returns (uint256) {
        (uint64 blueprint, address owner_,,,,, uint32 operators) = ITangle(tangle).getService(serviceId);
        if (!bound || blueprint != blueprintId || owner_ != msg.sender) {
            revert NotServiceOwner(serviceId, msg.sender);
        }
        return operators;
    }

    /// @dev More than half of the answers, so that no two groups can both be enough; a window goes with one.
    function _check(Assurance memory assurance, uint256 operators) private pure {
        (uint256 agreeing, uint256 answers, uint256 window) =
            (assurance.agreeing, assurance.answers, assurance.window);
        bool fits = agreeing > 0 && agreeing <= answers && answers <= MAX_ANSWERS && agreeing <= operators;
        fits = fits && (agreeing == 1 || (2 * agreeing > answers && window == 0));
        fits = fits && (window == 0 || (window >= MIN_WINDOW && window <= MAX_WINDOW));
        if (!fits) revert InvalidAssurance(assurance, operators);
    }
}
