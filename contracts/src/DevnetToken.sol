// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @title The devnet's money: a token with EIP-3009's transfers by signature, for paying by request.
/// @notice Worth nothing and meant for no other chain. The names and events are EIP-3009's, as real tokens have
/// them; of its functions only those that paying by request needs are here.
contract DevnetToken is ERC20, EIP712 {
    string private constant NAME = "Devnet Dollar";
    string private constant VERSION = "1";

    bytes32 public constant TRANSFER_WITH_AUTHORIZATION_TYPEHASH = keccak256(
        "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
    bytes32 public constant CANCEL_AUTHORIZATION_TYPEHASH =
        keccak256("CancelAuthorization(address authorizer,bytes32 nonce)");

    /// @notice Whether an authorization was used or cancelled.
    mapping(address authorizer => mapping(bytes32 nonce => bool)) public authorizationState;

    event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce);
    event AuthorizationCanceled(address indexed authorizer, bytes32 indexed nonce);

    error AuthorizationNotYetValid(uint256 validAfter);
    error AuthorizationExpired(uint256 validBefore);
    error AuthorizationUsedOrCanceled(address authorizer, bytes32 nonce);
    error InvalidAuthorizationSignature(address signer, address authorizer);

    /// @param holder has all there is.
    constructor(address holder, uint256 supply) ERC20(NAME, "DEVD") EIP712(NAME, VERSION) {
        _mint(holder, supply);
    }

    /// @notice Of the domain that authorizations are signed for.
    function version() external pure returns (string memory) {
        return VERSION;
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    /// @notice Moves what `from` has signed, once, within its time; anyone may send it.
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        if (block.timestamp <= validAfter) revert AuthorizationNotYetValid(validAfter);
        if (block.timestamp >= validBefore) revert AuthorizationExpired(validBefore);
        bytes32 typeHash = TRANSFER_WITH_AUTHORIZATION_TYPEHASH;
        _use(
            from,
            nonce,
            keccak256(abi.encode(typeHash, from, to, value, validAfter, validBefore, nonce)),
            v,
            r,
            s
        );
        emit AuthorizationUsed(from, nonce);
        _transfer(from, to, value);
    }

    /// @notice An authorization that is not to be used any more.
    function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external {
        _use(
            authorizer,
            nonce,
            keccak256(abi.encode(CANCEL_AUTHORIZATION_TYPEHASH, authorizer, nonce)),
            v,
            r,
            s
        );
        emit AuthorizationCanceled(authorizer, nonce);
    }

    function _use(address authorizer, bytes32 nonce, bytes32 hash, uint8 v, bytes32 r, bytes32 s) private {
        if (authorizationState[authorizer][nonce]) revert AuthorizationUsedOrCanceled(authorizer, nonce);
        address signer = ECDSA.recover(_hashTypedDataV4(hash), v, r, s);
        if (signer != authorizer) revert InvalidAuthorizationSignature(signer, authorizer);
        authorizationState[authorizer][nonce] = true;
    }
}
