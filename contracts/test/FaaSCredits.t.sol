// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {Account, FaaSCredits, Purse} from "../src/FaaSCredits.sol";
import {Checks} from "./Checks.sol";
import {ContractPayer, FeeToken, ReentrantPayer, TestToken} from "./Tokens.sol";

contract FaaSCreditsTest is Checks {
    address private constant OWNER = address(0x0A);
    address private constant OPERATOR = address(0x0B);
    bytes32 private constant ACCOUNT = "account";
    bytes32 private constant USAGE = "usage";
    uint256 private constant KEY = 77;

    FaaSCredits private credits;
    TestToken private token;
    address private payer;

    event Deposited(
        bytes32 indexed accountId, address indexed payer, address indexed token, uint256 amount, uint64 series
    );

    function setUp() public {
        credits = new FaaSCredits(OWNER, OPERATOR, 3 days);
        token = new TestToken();
        payer = keys.addr(KEY);
        vm.prank(OWNER);
        credits.allowToken(address(token), true);
        vm.deal(payer, 100 ether);
        token.mint(payer, 100 ether);
    }

    // Deposits

    function testFuzz_deposits_are_announced_and_held(uint96 amount) public {
        vm.assume(amount > 0);
        vm.deal(payer, amount);
        vm.expectEmit(true, true, true, true, address(credits));
        emit Deposited(ACCOUNT, payer, address(0), amount, 0);
        vm.prank(payer);
        credits.deposit{value: amount}(ACCOUNT);
        vm.assertEq(uint256(_account(address(0)).balance), amount);
        vm.assertEq(credits.liabilities(address(0)), amount);
    }

    function test_tokens_are_deposited() public {
        _depositToken(10 ether);
        vm.assertEq(uint256(_account(address(token)).balance), 10 ether);
        vm.assertEq(token.balanceOf(address(credits)), 10 ether);
    }

    function test_what_arrives_counts() public {
        FeeToken fee = new FeeToken();
        fee.mint(payer, 100);
        vm.prank(OWNER);
        credits.allowToken(address(fee), true);
        vm.startPrank(payer);
        fee.approve(address(credits), 100);
        credits.depositToken(ACCOUNT, fee, 100);
        vm.stopPrank();
        vm.assertEq(uint256(_account(address(fee)).balance), 90);
        vm.assertEq(fee.balanceOf(address(credits)), credits.liabilities(address(fee)));
    }

    function test_other_tokens_and_nothing_are_refused() public {
        TestToken other = new TestToken();
        vm.expectRevert(abi.encodeWithSelector(FaaSCredits.TokenNotAllowed.selector, address(other)));
        credits.depositToken(ACCOUNT, other, 1);
        vm.expectRevert(abi.encodeWithSelector(FaaSCredits.TokenNotAllowed.selector, address(0)));
        credits.depositToken(ACCOUNT, TestToken(address(0)), 1);
        vm.expectRevert(abi.encodeWithSelector(FaaSCredits.ZeroValue.selector));
        credits.deposit(ACCOUNT);
        (bool bare,) = address(credits).call{value: 1}("");
        vm.assertFalse(bare);
    }

    /// @notice Naming an account first, or paying into it, gives no command over another's deposit.
    function testFuzz_purses_are_the_payers(address stranger) public {
        vm.assume(stranger != payer && stranger != address(0));
        _deposit(5 ether);
        vm.prank(stranger);
        credits.announceRefund(ACCOUNT, address(0));
        vm.warp(block.timestamp + 3 days);
        vm.prank(stranger);
        credits.refund(ACCOUNT, address(0));
        vm.assertEq(credits.owed(stranger, address(0)), 0);
        vm.assertEq(uint256(_account(address(0)).balance), 5 ether);
        vm.assertEq(uint256(_account(address(0)).refundableAt), 0);
    }

    // Settlement

    function test_within_a_signed_limit() public {
        _deposit(5 ether);
        bytes memory signature = _signLimit(KEY, 0, 3 ether, 1 days);
        _settleWithin(3 ether, 1 days, signature, 1 ether);
        _settleWithin(3 ether, 1 days, signature, 3 ether);
        vm.assertEq(credits.owed(OWNER, address(0)), 3 ether);
        vm.assertEq(uint256(_account(address(0)).balance), 2 ether);
        uint256 before = address(0xBE).balance;
        vm.prank(OWNER);
        credits.withdraw(address(0), payable(address(0xBE)));
        vm.assertEq(address(0xBE).balance - before, 3 ether);
        vm.assertEq(credits.liabilities(address(0)), 2 ether);
    }

    function test_the_same_signature_settles_no_more() public {
        _deposit(5 ether);
        bytes memory signature = _signLimit(KEY, 0, 3 ether, 1 days);
        _settleWithin(3 ether, 1 days, signature, 3 ether);
        vm.expectRevert(
            abi.encodeWithSelector(FaaSCredits.NothingNew.selector, uint128(3 ether), uint128(3 ether))
        );
        _settleWithin(3 ether, 1 days, signature, 3 ether);
        vm.expectRevert(
            abi.encodeWithSelector(FaaSCredits.OverLimit.selector, uint128(4 ether), uint128(3 ether))
        );
        _settleWithin(3 ether, 1 days, signature, 4 ether);
    }

    function testFuzz_never_over_limit_or_balance(uint64 amount, uint64 limit, uint64 total) public {
        vm.assume(amount > 0 && total > 0);
        vm.deal(payer, amount);
        _deposit(amount);
        bytes memory signature = _signLimit(KEY, 0, limit, 1 days);
        vm.prank(OPERATOR);
        (bool done,) = address(credits)
            .call(
                abi.encodeCall(
                    credits.settleWithinLimit, (_purse(address(0)), limit, 1 days, signature, total, USAGE)
                )
            );
        vm.assertTrue(done == (total <= limit && total <= amount));
    }

    function testFuzz_only_what_the_payer_signed(uint256 key, uint128 limit, uint64 expiry) public {
        key = 1 + key % 1e30;
        vm.assume(limit > 0 && expiry >= block.timestamp);
        vm.assume(key != KEY);
        _deposit(5 ether);
        bytes memory foreign = _signLimit(key, 0, limit, expiry);
        vm.expectRevert(abi.encodeWithSelector(FaaSCredits.NotSigned.selector, payer));
        _settleWithin(limit, expiry, foreign, 1);
        vm.assume(limit < type(uint128).max);
        bytes memory own = _signLimit(KEY, 0, limit, expiry);
        vm.expectRevert(abi.encodeWithSelector(FaaSCredits.NotSigned.selector, payer));
        _settleWithin(limit + 1, expiry, own, 1);
    }

    function test_a_limit_expires() public {
        _deposit(5 ether);
        vm.warp(10 days);
        bytes memory signature = _signLimit(KEY, 0, 3 ether, 9 days);
        vm.expectRevert(abi.encodeWithSelector(FaaSCredits.LimitExpired.selector, uint64(9 days)));
        _settleWithin(3 ether, 9 days, signature, 1 ether);
    }

    function test_by_a_signed_usage_statement() public {
        _depositToken(5 ether);
        Purse memory purse = _purse(address(token));
        bytes memory signature = _sign(KEY, credits.usageDigest(purse, 0, 2 ether, USAGE));
        vm.expectRevert(abi.encodeWithSelector(FaaSCredits.NotSigned.selector, payer));
        vm.prank(OPERATOR);
        credits.settleUsage(purse, 3 ether, USAGE, signature);
        vm.prank(OPERATOR);
        credits.settleUsage(purse, 2 ether, USAGE, signature);
        vm.prank(OWNER);
        credits.withdraw(address(token), payable(OWNER));
        vm.assertEq(token.balanceOf(OWNER), 2 ether);
    }

    function test_a_limit_is_no_usage_statement() public {
        _deposit(5 ether);
        bytes memory limit = _sign(KEY, credits.limitDigest(_purse(address(0)), 0, 1 ether, 0));
        vm.expectRevert(abi.encodeWithSelector(FaaSCredits.NotSigned.selector, payer));
        vm.prank(OPERATOR);
        credits.settleUsage(_purse(address(0)), 1 ether, 0, limit);
    }

    function testFuzz_only_the_operator_settles(address caller) public {
        vm.assume(caller != OPERATOR);
        _deposit(5 ether);
        bytes memory signature = _signLimit(KEY, 0, 3 ether, 1 days);
        vm.expectRevert(abi.encodeWithSelector(FaaSCredits.NotOperator.selector, caller));
        vm.prank(caller);
        credits.settleWithinLimit(_purse(address(0)), 3 ether, 1 days, signature, 1, USAGE);
    }

    function test_a_payer_that_is_a_contract() public {
        ContractPayer contractPayer = new ContractPayer(payer);
        contractPayer.deposit{value: 1 ether}(credits, ACCOUNT);
        Purse memory purse = Purse(ACCOUNT, address(contractPayer), address(0));
        bytes memory signature = _sign(KEY, credits.usageDigest(purse, 0, 1 ether, USAGE));
        vm.prank(OPERATOR);
        credits.settleUsage(purse, 1 ether, USAGE, signature);
        vm.assertEq(credits.owed(OWNER, address(0)), 1 ether);
    }

    // Refunds

    function test_the_rest_comes_back_after_the_notice() public {
        _deposit(5 ether);
        uint64 from = uint64(block.timestamp) + 3 days;
        _refuseRefund(0);
        vm.prank(payer);
        credits.announceRefund(ACCOUNT, address(0));
        _settleWithin(5 ether, 9 days, _signLimit(KEY, 0, 5 ether, 9 days), 2 ether);
        vm.warp(from - 1);
        _refuseRefund(from);
        vm.warp(from);
        uint256 before = payer.balance;
        vm.startPrank(payer);
        credits.refund(ACCOUNT, address(0));
        credits.withdraw(address(0), payable(payer));
        vm.stopPrank();
        vm.assertEq(payer.balance - before, 3 ether);
        vm.assertEq(uint256(_account(address(0)).series), 1);
    }

    function test_a_notice_does_not_last_for_ever() public {
        _deposit(5 ether);
        vm.prank(payer);
        credits.announceRefund(ACCOUNT, address(0));
        uint64 from = uint64(block.timestamp) + 3 days;
        vm.warp(from + 7 days + 1);
        _refuseRefund(from);
    }

    function test_a_deposit_takes_the_notice_back() public {
        _deposit(5 ether);
        vm.prank(payer);
        credits.announceRefund(ACCOUNT, address(0));
        vm.warp(block.timestamp + 3 days);
        _deposit(1 ether);
        _refuseRefund(0);
        vm.prank(payer);
        credits.announceRefund(ACCOUNT, address(0));
        vm.prank(payer);
        credits.cancelRefund(ACCOUNT, address(0));
        vm.warp(block.timestamp + 3 days);
        _refuseRefund(0);
    }

    function test_old_signatures_do_not_reach_later_deposits() public {
        _deposit(5 ether);
        bytes memory signature = _signLimit(KEY, 0, 5 ether, 99 days);
        vm.prank(payer);
        credits.announceRefund(ACCOUNT, address(0));
        vm.warp(block.timestamp + 3 days);
        vm.prank(payer);
        credits.refund(ACCOUNT, address(0));
        _deposit(5 ether);
        vm.expectRevert(abi.encodeWithSelector(FaaSCredits.NotSigned.selector, payer));
        _settleWithin(5 ether, 99 days, signature, 5 ether);
        _settleWithin(5 ether, 99 days, _signLimit(KEY, 1, 5 ether, 99 days), 5 ether);
    }

    function test_reentering_gets_nothing() public {
        ReentrantPayer reentrant = new ReentrantPayer(credits);
        _deposit(5 ether);
        reentrant.deposit{value: 1 ether}(ACCOUNT);
        reentrant.announce(ACCOUNT);
        vm.warp(block.timestamp + 3 days);
        reentrant.fetch(ACCOUNT);
        vm.assertEq(reentrant.reentered(), 0);
        vm.assertEq(address(reentrant).balance, 1 ether);
        vm.assertEq(address(credits).balance, 5 ether);
    }

    function test_nothing_owed_is_refused() public {
        vm.expectRevert(abi.encodeWithSelector(FaaSCredits.NothingOwed.selector));
        credits.withdraw(address(0), payable(address(this)));
        vm.expectRevert(abi.encodeWithSelector(FaaSCredits.ZeroValue.selector));
        credits.withdraw(address(0), payable(address(0)));
    }

    // Pause and owner

    function test_a_pause_keeps_nobodys_money() public {
        _deposit(5 ether);
        bytes memory signature = _signLimit(KEY, 0, 3 ether, 9 days);
        vm.prank(OWNER);
        credits.pause();
        vm.expectRevert(abi.encodeWithSelector(Pausable.EnforcedPause.selector));
        vm.prank(payer);
        credits.deposit{value: 1}(ACCOUNT);
        vm.expectRevert(abi.encodeWithSelector(Pausable.EnforcedPause.selector));
        _settleWithin(3 ether, 9 days, signature, 1 ether);
        vm.prank(payer);
        credits.announceRefund(ACCOUNT, address(0));
        vm.warp(block.timestamp + 3 days);
        vm.startPrank(payer);
        credits.refund(ACCOUNT, address(0));
        credits.withdraw(address(0), payable(payer));
        vm.stopPrank();
        vm.assertEq(payer.balance, 100 ether);
        vm.prank(OWNER);
        credits.unpause();
        _deposit(1 ether);
    }

    function testFuzz_only_the_owner_governs(address caller) public {
        vm.assume(caller != OWNER);
        bytes memory refused = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, caller);
        bytes[4] memory calls = [
            abi.encodeCall(credits.setOperator, (caller)),
            abi.encodeCall(credits.allowToken, (address(token), false)),
            abi.encodeCall(credits.pause, ()),
            abi.encodeCall(credits.unpause, ())
        ];
        for (uint256 number = 0; number < 4; number++) {
            vm.prank(caller);
            (bool done, bytes memory answer) = address(credits).call(calls[number]);
            vm.assertFalse(done);
            vm.assertEq(keccak256(answer), keccak256(refused));
        }
    }

    function test_there_is_always_an_owner_and_an_operator() public {
        vm.startPrank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(FaaSCredits.OwnerRequired.selector));
        credits.renounceOwnership();
        vm.expectRevert(abi.encodeWithSelector(FaaSCredits.ZeroValue.selector));
        credits.setOperator(address(0));
        credits.setOperator(payer);
        vm.stopPrank();
        vm.assertEq(credits.operator(), payer);
        vm.expectRevert(abi.encodeWithSelector(FaaSCredits.NoticeOutOfRange.selector, uint64(1 hours)));
        new FaaSCredits(OWNER, OPERATOR, 1 hours);
    }

    function _deposit(uint256 amount) private {
        vm.prank(payer);
        credits.deposit{value: amount}(ACCOUNT);
    }

    function _depositToken(uint256 amount) private {
        vm.startPrank(payer);
        token.approve(address(credits), amount);
        credits.depositToken(ACCOUNT, token, amount);
        vm.stopPrank();
    }

    function _purse(address token_) private view returns (Purse memory) {
        return Purse(ACCOUNT, payer, token_);
    }

    function _account(address token_) private view returns (Account memory) {
        return credits.accountOf(_purse(token_));
    }

    function _signLimit(uint256 key, uint64 series, uint128 limit, uint64 expiry)
        private
        view
        returns (bytes memory)
    {
        return _sign(key, credits.limitDigest(_purse(address(0)), series, limit, expiry));
    }

    function _sign(uint256 key, bytes32 digest) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = keys.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function _settleWithin(uint128 limit, uint64 expiry, bytes memory signature, uint128 total) private {
        vm.prank(OPERATOR);
        credits.settleWithinLimit(_purse(address(0)), limit, expiry, signature, total, USAGE);
    }

    function _refuseRefund(uint64 from) private {
        vm.expectRevert(abi.encodeWithSelector(FaaSCredits.NotRefundable.selector, from));
        vm.prank(payer);
        credits.refund(ACCOUNT, address(0));
    }
}
