// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.26;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {FaaSCredits} from "../src/FaaSCredits.sol";

/// @notice A token that anyone can mint.
contract TestToken is ERC20("Test", "TEST") {
    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }
}

/// @notice A token of which a tenth is lost on the way.
contract FeeToken is ERC20("Fee", "FEE") {
    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (from == address(0) || to == address(0)) return super._update(from, to, amount);
        super._update(from, address(0xFEE), amount / 10);
        super._update(from, to, amount - amount / 10);
    }
}

/// @notice A double for faults: when it is paid, it comes back for more.
contract ReentrantPayer {
    FaaSCredits private immutable credits;
    uint256 public reentered;

    constructor(FaaSCredits credits_) {
        credits = credits_;
    }

    function deposit(bytes32 account) external payable {
        credits.deposit{value: msg.value}(account);
    }

    function announce(bytes32 account) external {
        credits.announceRefund(account, address(0));
    }

    function fetch(bytes32 account) external {
        credits.refund(account, address(0));
        credits.withdraw(address(0), payable(address(this)));
    }

    receive() external payable {
        try credits.withdraw(address(0), payable(address(this))) {
            reentered++;
        } catch {}
        try credits.deposit{value: 1}("again") {
            reentered++;
        } catch {}
    }
}

/// @notice A payer that is a contract; its signature is whatever its owner signed.
contract ContractPayer {
    address private immutable signer;

    constructor(address signer_) {
        signer = signer_;
    }

    function deposit(FaaSCredits credits, bytes32 account) external payable {
        credits.deposit{value: msg.value}(account);
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        (bytes32 r, bytes32 s) = abi.decode(signature, (bytes32, bytes32));
        bool valid = ecrecover(digest, uint8(signature[64]), r, s) == signer;
        return valid ? this.isValidSignature.selector : bytes4(0);
    }
}
