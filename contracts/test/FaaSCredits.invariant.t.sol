// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Account, FaaSCredits, Purse} from "../src/FaaSCredits.sol";
import {Checks} from "./Checks.sol";
import {FeeToken, TestToken} from "./Tokens.sol";

/// @notice Payers, operator and owner at work with three currencies, and what each got in and out.
contract Trade is Checks {
    uint256 private constant PAYERS = 2;

    FaaSCredits public immutable credits;
    address[3] public tokens;
    mapping(address payer => mapping(address token => uint256)) public signed;
    mapping(address payer => mapping(address token => uint256)) public taken;
    mapping(address token => uint256) public deposited;
    mapping(address token => uint256) public withdrawn;

    constructor() {
        credits = new FaaSCredits(address(this), address(this), 1 days);
        TestToken plain = new TestToken();
        FeeToken fee = new FeeToken();
        tokens = [address(0), address(plain), address(fee)];
        for (uint256 key = 1; key <= PAYERS; key++) {
            address payer = keys.addr(key);
            vm.deal(payer, 1e30);
            plain.mint(payer, 1e30);
            fee.mint(payer, 1e30);
            vm.startPrank(payer);
            plain.approve(address(credits), type(uint256).max);
            fee.approve(address(credits), type(uint256).max);
            vm.stopPrank();
        }
        credits.allowToken(address(plain), true);
        credits.allowToken(address(fee), true);
    }

    function deposit(uint256 key, uint256 kind, uint96 amount) external {
        (address payer, address token) = _pick(key, kind);
        if (credits.paused()) credits.unpause();
        uint256 before = holding(token);
        vm.prank(payer);
        if (token == address(0)) credits.deposit{value: amount}("account");
        else credits.depositToken("account", IERC20(token), amount);
        deposited[token] += holding(token) - before;
    }

    /// @notice The payer signs for some more, and the operator tries to settle anything.
    function settle(uint256 key, uint256 kind, uint96 more, uint96 total, bool byUsage) external {
        (address payer, address token) = _pick(key, kind);
        Purse memory purse = Purse("account", payer, token);
        Account memory account = credits.accountOf(purse);
        more = uint96(1 + uint256(more) % (uint256(account.balance) / 2 + 2)); // now and then too much
        uint128 limit = account.settled + more;
        uint128 target = byUsage ? limit : account.settled + uint128(total) % (uint128(more) * 2 + 1);
        bytes32 digest = byUsage
            ? credits.usageDigest(purse, account.series, limit, "usage")
            : credits.limitDigest(purse, account.series, limit, type(uint64).max);
        bytes memory signature = _sign(1 + key % PAYERS, digest);
        if (byUsage) credits.settleUsage(purse, target, "usage", signature);
        else credits.settleWithinLimit(purse, limit, type(uint64).max, signature, target, "usage");
        signed[payer][token] += more;
        taken[payer][token] += target - account.settled;
    }

    function announce(uint256 key, uint256 kind) external {
        (address payer, address token) = _pick(key, kind);
        vm.prank(payer);
        credits.announceRefund("account", token);
    }

    function refund(uint256 key, uint256 kind, uint256 time) external {
        (address payer, address token) = _pick(key, kind);
        vm.warp(block.timestamp + 12 hours + time % 2 days);
        vm.prank(payer);
        credits.refund("account", token);
    }

    function withdraw(uint256 key, uint256 kind) external {
        (address payer, address token) = _pick(key, kind);
        _withdraw(payer, token);
    }

    function withdrawAsOwner(uint256 kind) external {
        _withdraw(address(this), tokens[kind % 3]);
    }

    /// @notice Paused for one step in four.
    function pauseOrNot(uint256 dice) external {
        if (credits.paused()) credits.unpause();
        else if (dice % 2 == 0) credits.pause();
    }

    /// @notice Value that was never deposited changes no debt.
    function force(uint96 amount) external {
        vm.deal(address(credits), address(credits).balance + amount);
    }

    function holding(address token) public view returns (uint256) {
        return token == address(0) ? address(credits).balance : IERC20(token).balanceOf(address(credits));
    }

    /// @notice Everything that the contract owes, counted up from outside.
    function debts(address token) external view returns (uint256 sum) {
        sum = credits.owed(address(this), token);
        for (uint256 key = 1; key <= PAYERS; key++) {
            address payer = keys.addr(key);
            sum += credits.owed(payer, token) + credits.accountOf(Purse("account", payer, token)).balance;
        }
    }

    function _withdraw(address creditor, address token) private {
        uint256 before = holding(token);
        vm.prank(creditor);
        credits.withdraw(token, payable(address(0xD00D)));
        withdrawn[token] += before - holding(token);
    }

    function _pick(uint256 key, uint256 kind) private view returns (address, address) {
        return (keys.addr(1 + key % PAYERS), tokens[kind % 3]);
    }

    function _sign(uint256 key, bytes32 digest) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = keys.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }
}

contract FaaSCreditsInvariants is Checks {
    Trade private trade;

    function setUp() public {
        trade = new Trade();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(trade);
    }

    function invariant_it_holds_what_it_owes() public view {
        for (uint256 kind = 0; kind < 3; kind++) {
            address token = trade.tokens(kind);
            vm.assertEq(trade.credits().liabilities(token), trade.debts(token));
            vm.assertTrue(trade.holding(token) >= trade.debts(token));
        }
    }

    function invariant_what_went_in_is_there_or_went_out() public view {
        for (uint256 kind = 0; kind < 3; kind++) {
            address token = trade.tokens(kind);
            vm.assertEq(trade.deposited(token), trade.debts(token) + trade.withdrawn(token));
        }
    }

    function invariant_no_more_is_taken_than_was_signed_for() public view {
        for (uint256 key = 1; key <= 2; key++) {
            for (uint256 kind = 0; kind < 3; kind++) {
                (address payer, address token) = (keys.addr(key), trade.tokens(kind));
                vm.assertTrue(trade.taken(payer, token) <= trade.signed(payer, token));
            }
        }
    }
}
