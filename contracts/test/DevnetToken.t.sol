// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {DevnetToken} from "../src/DevnetToken.sol";
import {Checks} from "./Checks.sol";

contract DevnetTokenTest is Checks {
    uint256 private constant KEY = 77;
    bytes32 private constant NONCE = "nonce";
    address private constant TO = address(0x0B);

    DevnetToken private token;
    address private payer;

    struct Signature {
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    function setUp() public {
        payer = keys.addr(KEY);
        token = new DevnetToken(payer, 100);
        vm.warp(1_000);
    }

    function testFuzz_what_was_signed_moves_once(uint8 amount) public {
        vm.assume(amount <= 100);
        Signature memory signed = _signed(KEY, amount, 0, 2_000);
        _transfer(amount, 0, 2_000, signed);
        vm.assertEq(token.balanceOf(TO), uint256(amount));
        vm.assertTrue(token.authorizationState(payer, NONCE));
        vm.expectRevert(
            abi.encodeWithSelector(DevnetToken.AuthorizationUsedOrCanceled.selector, payer, NONCE)
        );
        _transfer(amount, 0, 2_000, signed);
    }

    function test_only_within_its_time() public {
        Signature memory early = _signed(KEY, 1, 1_000, 2_000);
        vm.expectRevert(abi.encodeWithSelector(DevnetToken.AuthorizationNotYetValid.selector, 1_000));
        _transfer(1, 1_000, 2_000, early);
        Signature memory late = _signed(KEY, 1, 0, 1_000);
        vm.expectRevert(abi.encodeWithSelector(DevnetToken.AuthorizationExpired.selector, 1_000));
        _transfer(1, 0, 1_000, late);
    }

    function test_only_what_the_payer_has_signed() public {
        Signature memory others = _signed(KEY + 1, 1, 0, 2_000);
        address other = keys.addr(KEY + 1);
        vm.expectRevert(
            abi.encodeWithSelector(DevnetToken.InvalidAuthorizationSignature.selector, other, payer)
        );
        _transfer(1, 0, 2_000, others);
        Signature memory signed = _signed(KEY, 1, 0, 2_000);
        vm.expectRevert();
        _transfer(2, 0, 2_000, signed);
        vm.assertEq(token.balanceOf(TO), 0);
    }

    function test_what_is_cancelled_does_not_move() public {
        bytes32 hash = keccak256(abi.encode(token.CANCEL_AUTHORIZATION_TYPEHASH(), payer, NONCE));
        Signature memory cancelled = _sign(KEY, hash);
        token.cancelAuthorization(payer, NONCE, cancelled.v, cancelled.r, cancelled.s);
        Signature memory signed = _signed(KEY, 1, 0, 2_000);
        vm.expectRevert(
            abi.encodeWithSelector(DevnetToken.AuthorizationUsedOrCanceled.selector, payer, NONCE)
        );
        _transfer(1, 0, 2_000, signed);
    }

    function _transfer(uint256 value, uint256 from, uint256 until, Signature memory signed) private {
        token.transferWithAuthorization(payer, TO, value, from, until, NONCE, signed.v, signed.r, signed.s);
    }

    function _signed(uint256 key, uint256 value, uint256 from, uint256 until)
        private
        view
        returns (Signature memory)
    {
        bytes32 typeHash = token.TRANSFER_WITH_AUTHORIZATION_TYPEHASH();
        return _sign(key, keccak256(abi.encode(typeHash, payer, TO, value, from, until, NONCE)));
    }

    function _sign(uint256 key, bytes32 hash) private view returns (Signature memory signed) {
        (, string memory name, string memory version, uint256 chain, address verifier,,) =
            token.eip712Domain();
        bytes32 domain = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256(bytes(name)),
                keccak256(bytes(version)),
                chain,
                verifier
            )
        );
        (signed.v, signed.r, signed.s) = keys.sign(key, keccak256(abi.encodePacked("\x19\x01", domain, hash)));
    }
}
