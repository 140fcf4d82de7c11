"""Puts our blueprint, its operator and an active service on a chain that has Tangle on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from eth_abi.abi import encode
from eth_account import Account
from eth_account.signers.local import LocalAccount

from faas_blueprint.definition import BlueprintDefinition
from faas_blueprint.digests import Digest, sha256
from faas_blueprint.errors import FatalError
from faas_blueprint.receipt import Address, address
from faas_blueprint.tangle import protocol, service_manager, staking
from faas_blueprint.tlv import encode_schema
from faas_operator import keystore
from faas_operator.chain.epochs import probe_epoch
from faas_operator.chain.rpc import Rpc
from faas_operator.chain.sender import TransactionSender
from faas_operator.contract_artifacts import Artifact, load_artifact
from faas_operator.devnet.deployment import Deployment
from faas_operator.devnet.fixture import Fixture
from faas_operator.registration import Registration

Progress = Callable[[str], None]

MNEMONIC = " ".join(["test"] * 11 + ["junk"])
"""Of anvil's default accounts."""
OWNER_ACCOUNT = 0
CUSTOMER_ACCOUNT = 5
GAS_ACCOUNT = 6
TOKEN_ACCOUNT = 9

OPERATOR_PASSWORD = "devnet"
OPERATOR_STAKE = 100 * 10**18
OPERATOR_ETHER = 100 * 10**18
OPERATOR_RPC_ADDRESS = "http://127.0.0.1:8080"

PAYMENT_SUPPLY = 10**6 * 10**6
"""Of the payment token: a million, in its smallest unit."""

REFUND_NOTICE_SECONDS = 86_400
"""Of the credits contract: the least that it takes."""


@dataclass(frozen=True, slots=True)
class Contracts:
    """Our own contracts, compiled."""

    manager: Artifact
    credits: Artifact
    payment_token: Artifact

    @classmethod
    def load(cls) -> Self:
        """As they are in `contracts/artifacts`. Raises MissingPrerequisite."""
        return cls(*(load_artifact(name) for name in ("FaaSServiceManager", "FaaSCredits", "DevnetToken")))

    def artifacts(self) -> tuple[Artifact, ...]:
        """All of them, in one order."""
        return self.manager, self.credits, self.payment_token


@dataclass(frozen=True, slots=True)
class BaseSnapshot:
    """A snapshot to be registered with the service manager."""

    profile_id: Digest
    measurement: Digest


def anvil_account(index: int) -> LocalAccount:
    """One of anvil's ten default accounts."""
    Account.enable_unaudited_hdwallet_features()
    account: LocalAccount = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    return account


def software_digest(definition: BlueprintDefinition) -> Digest:
    """Stands for the binary that Tangle wants named: the operator is Python, so its schemas are hashed."""
    schemas = (encode_schema(fields) for job in definition.jobs for fields in (job.parameters, job.result))
    return sha256(b"".join(schemas))


async def provision(
    rpc: Rpc,
    fixture: Fixture,
    contracts: Contracts,
    definition: BlueprintDefinition,
    keystore_path: Path,
    progress: Progress,
    base_snapshot: BaseSnapshot | None = None,
) -> Deployment:
    """Deploy, stake, register, request and approve; the operator's new key goes to `keystore_path`."""
    chain_id = await rpc.chain_id()
    tangle = fixture.tangle
    epoch = await probe_epoch(rpc, tangle)
    owner, customer = anvil_account(OWNER_ACCOUNT), anvil_account(CUSTOMER_ACCOUNT)
    owner_sends = TransactionSender(rpc, owner, chain_id)

    arguments = encode(["address", "address"], [tangle, owner.address])
    manager_address = await _deploy(owner_sends, contracts.manager, arguments)
    progress(f"deployed the service manager at {manager_address}")
    if base_snapshot is not None:
        await register_base_snapshot(owner_sends, manager_address, base_snapshot)

    call = epoch.create_blueprint(definition, manager_address, software_digest(definition))
    created = await owner_sends.send(tangle, call)
    blueprint_id = epoch.created_blueprint(created.logs)
    progress(f"created blueprint {blueprint_id}")

    operator = keystore.create(keystore_path, OPERATOR_PASSWORD, keystore.NO_SECRET_WORK)
    await fund_operator(rpc, fixture.staking, address(operator.address), OPERATOR_STAKE)
    sends = TransactionSender(rpc, operator, chain_id)
    registration = Registration(rpc, sends, epoch, tangle, fixture.staking)
    await registration.stake(OPERATOR_STAKE)
    await registration.register(blueprint_id, keystore.public_key(operator), OPERATOR_RPC_ADDRESS)
    progress(f"registered operator {sends.address}")
    arguments = encode(
        ["address", "address", "uint64"], [owner.address, sends.address, REFUND_NOTICE_SECONDS]
    )
    credits_address = await _deploy(owner_sends, contracts.credits, arguments)
    progress(f"deployed the credits contract at {credits_address}")

    request = protocol.request_service(blueprint_id, (sends.address,), (address(customer.address),))
    requested = await TransactionSender(rpc, customer, chain_id).send(tangle, request)
    request_id = protocol.decode_service_requested(
        next(log for log in requested.logs if protocol.SERVICE_REQUESTED.matches(log))
    ).request_id
    approved = await registration.approve(request_id)
    activated = protocol.decode_service_activated(
        next(log for log in approved.logs if protocol.SERVICE_ACTIVATED.matches(log))
    )
    progress(f"service {activated.service_id} is active")
    arguments = encode(["address", "uint256"], [customer.address, PAYMENT_SUPPLY])
    payment_token = await _deploy(owner_sends, contracts.payment_token, arguments)
    progress(f"deployed the devnet's payment token at {payment_token}")
    return Deployment(
        rpc_url=rpc.url,
        chain_id=chain_id,
        epoch=epoch.name,
        tangle=tangle,
        staking=fixture.staking,
        status_registry=await rpc.read(tangle, protocol.operator_status_registry()),
        bond_token=fixture.bond_token,
        manager=manager_address,
        credits=credits_address,
        payment_token=payment_token,
        blueprint_id=blueprint_id,
        service_id=activated.service_id,
        event_rate_wei=await rpc.read(tangle, protocol.job_event_rate(blueprint_id, 0)),
        first_block=approved.block.number,
        owner=address(owner.address),
        owner_key="0x" + owner.key.hex(),
        customer=address(customer.address),
        customer_key="0x" + customer.key.hex(),
        gas_key="0x" + anvil_account(GAS_ACCOUNT).key.hex(),
        operator=sends.address,
        operator_keystore=str(keystore_path),
        operator_password=OPERATOR_PASSWORD,
    )


async def _deploy(sends: TransactionSender, artifact: Artifact, arguments: bytes) -> Address:
    contract = (await sends.send(None, artifact.bytecode + arguments)).contract
    if contract is None:
        raise FatalError(f"the deployment of {artifact.name} created no contract")
    return contract


async def register_base_snapshot(sends: TransactionSender, manager: Address, snapshot: BaseSnapshot) -> None:
    """Profile and base snapshot, as the manager's owner."""
    await sends.send(manager, service_manager.register_profile(snapshot.profile_id))
    register = service_manager.register_snapshot(snapshot.measurement, snapshot.profile_id)
    await sends.send(manager, register)


async def fund_operator(rpc: Rpc, staking_router: Address, operator: Address, stake: int) -> None:
    """Give an account of a devnet what an operator needs, unless it has it: ether and bond tokens."""
    chain_id = await rpc.chain_id()
    if int(str(await rpc.request("eth_getBalance", operator, "latest")), 16) < OPERATOR_ETHER // 2:
        await TransactionSender(rpc, anvil_account(OWNER_ACCOUNT), chain_id).send(
            operator, b"", OPERATOR_ETHER
        )
    token = await rpc.read(staking_router, staking.operator_bond_token())
    if await rpc.read(token, staking.balance_of(operator)) < stake:
        holder = TransactionSender(rpc, anvil_account(TOKEN_ACCOUNT), chain_id)
        await holder.send(token, staking.transfer(operator, stake))
