// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @notice Whose money it is, for which account of the node, in which token; the zero token is the native one.
/// @dev The payer is part of it, so whoever deposits for an account keeps command of what they deposited, and
/// nobody gains any by being the first to name an account.
struct Purse {
    bytes32 accountId;
    address payer;
    address token;
}

/// @notice What a purse holds.
/// @param balance Deposited and neither settled nor refunded.
/// @param settled Settled so far in this series.
/// @param series Goes up with every refund; limits and statements of earlier series are void.
/// @param refundableAt From when the payer may take the balance back; zero when nothing is announced.
struct Account {
    uint128 balance;
    uint128 settled;
    uint64 series;
    uint64 refundableAt;
}

/// @title Prepaid credits for off-chain work
/// @notice Customers deposit; the node's ledger turns deposits into credits; the operator takes no more than
/// the payer has signed for; the payer gets the rest back after a notice period.
/// @dev Nothing is pushed: settlements and refunds are owed first and fetched by who is owed. Per token, what
/// the contract holds is never less than its balances and debts. A token that shrinks balances by itself
/// breaks that for itself alone; tokens have to be allowed by the owner.
contract FaaSCredits is Ownable2Step, Pausable, ReentrancyGuardTransient, EIP712 {
    using SafeERC20 for IERC20;

    /// @notice Bounds of the notice.
    uint64 public constant LEAST_NOTICE = 1 days;
    uint64 public constant LONGEST_NOTICE = 30 days;

    /// @notice Once refundable, so long; then it has to be announced again, so that a notice given long ago
    /// does not allow a refund without one.
    uint64 public constant REFUND_PERIOD = 7 days;

    bytes32 private constant LIMIT_TYPE_HASH = keccak256(
        "SpendingLimit(bytes32 accountId,address payer,address token,uint64 series,uint128 total,uint64 expiry)"
    );
    bytes32 private constant USAGE_TYPE_HASH = keccak256(
        "UsageStatement(bytes32 accountId,address payer,address token,uint64 series,uint128 total,bytes32 usage)"
    );

    /// @notice Seconds between a refund's announcement and the refund: the time to settle what was used.
    uint64 public immutable notice;

    /// @notice The account that settles. What it settles is owed to the owner, so this key holds nothing.
    address public operator;

    /// @notice Tokens that can be deposited.
    mapping(address token => bool) public isAllowed;

    /// @notice What can be fetched by whom.
    mapping(address creditor => mapping(address token => uint256)) public owed;

    /// @notice All balances and debts in a token: what the contract must hold.
    mapping(address token => uint256) public liabilities;

    mapping(bytes32 purseId => Account) private _accounts;

    event OperatorSet(address indexed operator);
    event TokenAllowed(address indexed token, bool allowed);
    /// @notice What the node's ledger credits; `amount` is what arrived.
    event Deposited(
        bytes32 indexed accountId, address indexed payer, address indexed token, uint256 amount, uint64 series
    );
    event Settled(
        bytes32 indexed accountId,
        address indexed payer,
        address indexed token,
        uint256 amount,
        uint256 total,
        bytes32 usage
    );
    event RefundAnnounced(
        bytes32 indexed accountId, address indexed payer, address indexed token, uint64 refundableAt
    );
    event RefundCancelled(bytes32 indexed accountId, address indexed payer, address indexed token);
    event Refunded(
        bytes32 indexed accountId, address indexed payer, address indexed token, uint256 amount, uint64 series
    );
    event Withdrawn(
        address indexed creditor, address indexed token, address indexed recipient, uint256 amount
    );

    error ZeroValue();
    error NoticeOutOfRange(uint64 notice);
    error NotOperator(address caller);
    error TokenNotAllowed(address token);
    error AmountTooLarge(uint256 amount);
    error NotSigned(address payer);
    error LimitExpired(uint64 expiry);
    error OverLimit(uint128 total, uint128 limit);
    error NothingNew(uint128 total, uint128 settled);
    error OverBalance(uint128 amount, uint128 balance);
    error NotRefundable(uint64 refundableAt);
    error NothingOwed();
    error OwnerRequired();

    modifier onlyOperator() {
        if (msg.sender != operator) revert NotOperator(msg.sender);
        _;
    }

    constructor(address owner_, address operator_, uint64 notice_)
        Ownable(owner_)
        EIP712("FaaS Credits", "1")
    {
        if (notice_ < LEAST_NOTICE || notice_ > LONGEST_NOTICE) {
            revert NoticeOutOfRange(notice_);
        }
        notice = notice_;
        isAllowed[address(0)] = true;
        emit TokenAllowed(address(0), true);
        _setOperator(operator_);
    }

    // Owner

    /// @notice Names the account that settles.
    function setOperator(address operator_) external onlyOwner {
        _setOperator(operator_);
    }

    /// @notice Allows deposits in a token, or ends them; what is there stays as it is.
    function allowToken(address token, bool allowed) external onlyOwner {
        isAllowed[token] = allowed;
        emit TokenAllowed(token, allowed);
    }

    /// @notice Stops deposits and settlements. Refunds, their notice and withdrawals go on: a pause cannot
    /// keep a customer's money.
    function pause() external onlyOwner {
        _pause();
    }

    /// @notice Ends a pause.
    function unpause() external onlyOwner {
        _unpause();
    }

    /// @notice Settlements are owed to the owner, so there has to be one.
    function renounceOwnership() public view override onlyOwner {
        revert OwnerRequired();
    }

    // Payer

    /// @notice Deposits the value sent along for an account of the node.
    function deposit(bytes32 accountId) external payable whenNotPaused nonReentrant {
        if (!isAllowed[address(0)]) revert TokenNotAllowed(address(0));
        _deposit(Purse(accountId, msg.sender, address(0)), msg.value);
    }

    /// @notice Deposits tokens that the payer has approved; what arrives counts, which may be less.
    function depositToken(bytes32 accountId, IERC20 token, uint256 amount)
        external
        whenNotPaused
        nonReentrant
    {
        if (address(token) == address(0) || !isAllowed[address(token)]) {
            revert TokenNotAllowed(address(token));
        }
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        _deposit(Purse(accountId, msg.sender, address(token)), token.balanceOf(address(this)) - before);
    }

    /// @notice Announces that the payer wants the rest back. The operator has the notice period to settle.
    function announceRefund(bytes32 accountId, address token) external {
        Account storage account = _accounts[_id(Purse(accountId, msg.sender, token))];
        account.refundableAt = uint64(block.timestamp) + notice;
        emit RefundAnnounced(accountId, msg.sender, token, account.refundableAt);
    }

    /// @notice Takes the announcement back.
    function cancelRefund(bytes32 accountId, address token) external {
        _cancelRefund(Purse(accountId, msg.sender, token));
    }

    /// @notice After the notice, owes the payer all that is left and ends the series: nothing that the payer
    /// signed before can draw on what is deposited later.
    function refund(bytes32 accountId, address token) external nonReentrant {
        Account storage account = _accounts[_id(Purse(accountId, msg.sender, token))];
        uint64 from = account.refundableAt;
        if (from == 0 || block.timestamp < from || block.timestamp > from + REFUND_PERIOD) {
            revert NotRefundable(from);
        }
        uint128 amount = account.balance;
        uint64 series = account.series + 1;
        _accounts[_id(Purse(accountId, msg.sender, token))] = Account(0, 0, series, 0);
        owed[msg.sender][token] += amount;
        emit Refunded(accountId, msg.sender, token, amount, series);
    }

    /// @notice Fetches what is owed to the caller.
    function withdraw(address token, address payable recipient) external nonReentrant {
        if (recipient == address(0)) revert ZeroValue();
        uint256 amount = owed[msg.sender][token];
        if (amount == 0) revert NothingOwed();
        owed[msg.sender][token] = 0;
        liabilities[token] -= amount;
        emit Withdrawn(msg.sender, token, recipient, amount);
        if (token == address(0)) Address.sendValue(recipient, amount);
        else IERC20(token).safeTransfer(recipient, amount);
    }

    // Operator

    /// @notice Settles within a limit that the payer signed. `total` and the limit count from the start of
    /// the series, so a signature cannot be used twice for the same amount.
    /// @param usage Names the usage that is settled, for the books; the payer has not signed it.
    function settleWithinLimit(
        Purse calldata purse,
        uint128 limit,
        uint64 expiry,
        bytes calldata signature,
        uint128 total,
        bytes32 usage
    ) external whenNotPaused onlyOperator nonReentrant {
        if (block.timestamp > expiry) revert LimitExpired(expiry);
        if (total > limit) revert OverLimit(total, limit);
        _checkSigned(purse, limitDigest(purse, seriesOf(purse), limit, expiry), signature);
        _settle(purse, total, usage);
    }

    /// @notice Settles a usage statement that the payer signed; `total` counts from the start of the series.
    function settleUsage(Purse calldata purse, uint128 total, bytes32 usage, bytes calldata signature)
        external
        whenNotPaused
        onlyOperator
        nonReentrant
    {
        _checkSigned(purse, usageDigest(purse, seriesOf(purse), total, usage), signature);
        _settle(purse, total, usage);
    }

    // Views

    /// @notice What a purse holds.
    function accountOf(Purse calldata purse) external view returns (Account memory) {
        return _accounts[_id(purse)];
    }

    /// @notice The series that limits and statements must name now.
    function seriesOf(Purse calldata purse) public view returns (uint64) {
        return _accounts[_id(purse)].series;
    }

    /// @notice What a payer signs to allow settlements up to a total in a series, until the expiry.
    function limitDigest(Purse calldata purse, uint64 series, uint128 total, uint64 expiry)
        public
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(
            keccak256(
                abi.encode(LIMIT_TYPE_HASH, purse.accountId, purse.payer, purse.token, series, total, expiry)
            )
        );
    }

    /// @notice What a payer signs to acknowledge usage up to a total in a series.
    function usageDigest(Purse calldata purse, uint64 series, uint128 total, bytes32 usage)
        public
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(
            keccak256(
                abi.encode(USAGE_TYPE_HASH, purse.accountId, purse.payer, purse.token, series, total, usage)
            )
        );
    }

    // Inner part

    function _setOperator(address operator_) private {
        if (operator_ == address(0)) revert ZeroValue();
        operator = operator_;
        emit OperatorSet(operator_);
    }

    /// @dev A deposit says that the payer goes on, so it takes an announced refund back.
    function _deposit(Purse memory purse, uint256 amount) private {
        if (amount == 0) revert ZeroValue();
        Account storage account = _accounts[_id(purse)];
        if (amount > type(uint128).max - account.balance) revert AmountTooLarge(amount);
        // forge-lint: disable-next-line(unsafe-typecast) -- compared with the largest right above
        account.balance += uint128(amount);
        liabilities[purse.token] += amount;
        if (account.refundableAt != 0) _cancelRefund(purse);
        emit Deposited(purse.accountId, purse.payer, purse.token, amount, account.series);
    }

    function _cancelRefund(Purse memory purse) private {
        _accounts[_id(purse)].refundableAt = 0;
        emit RefundCancelled(purse.accountId, purse.payer, purse.token);
    }

    function _settle(Purse calldata purse, uint128 total, bytes32 usage) private {
        Account storage account = _accounts[_id(purse)];
        if (total <= account.settled) revert NothingNew(total, account.settled);
        uint128 amount = total - account.settled;
        if (amount > account.balance) revert OverBalance(amount, account.balance);
        account.balance -= amount;
        account.settled = total;
        owed[owner()][purse.token] += amount;
        emit Settled(purse.accountId, purse.payer, purse.token, amount, total, usage);
    }

    /// @dev A payer that is a contract is asked by ERC-1271.
    function _checkSigned(Purse calldata purse, bytes32 digest, bytes calldata signature) private view {
        if (!SignatureChecker.isValidSignatureNow(purse.payer, digest, signature)) {
            revert NotSigned(purse.payer);
        }
    }

    function _id(Purse memory purse) private pure returns (bytes32) {
        return keccak256(abi.encode(purse));
    }
}
