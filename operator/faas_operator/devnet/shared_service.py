"""A service that several operators serve, on a devnet that runs: for the demo and for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount

from faas_blueprint.receipt import address
from faas_blueprint.tangle import protocol, service_manager
from faas_blueprint.tangle.service_manager import Assurance
from faas_operator import keystore
from faas_operator.chain.epochs import probe_epoch
from faas_operator.chain.rpc import Rpc
from faas_operator.chain.sender import TransactionSender
from faas_operator.devnet.deployment import Deployment
from faas_operator.devnet.provision import (
    OPERATOR_PASSWORD,
    OPERATOR_RPC_ADDRESS,
    OPERATOR_STAKE,
    BaseSnapshot,
    fund_operator,
    register_base_snapshot,
)
from faas_operator.registration import Registration


async def share_service(
    rpc: Rpc, deployment: Deployment, count: int, assurance: Assurance, folder: Path
) -> tuple[Deployment, ...]:
    """Request a service of `count` operators as the customer: the deployment's own and new ones.

    Answers the deployment as each of them sees it, with that service's id; the new keystores are in `folder`.
    """
    accounts = [keystore.load(Path(deployment.operator_keystore), deployment.operator_password)]
    paths = [Path(deployment.operator_keystore)]
    for number in range(1, count):
        paths.append(folder / f"operator-{number}.json")
        accounts.append(keystore.create(paths[-1], OPERATOR_PASSWORD, keystore.NO_SECRET_WORK))
        await register_operator(rpc, deployment, accounts[-1])
    names = [address(account.address) for account in accounts]
    service_id, block = await request_service(rpc, deployment, accounts, assurance)
    return tuple(
        replace(
            deployment,
            service_id=service_id,
            first_block=block,
            operator=name,
            operator_keystore=str(path),
            operator_password=deployment.operator_password if number == 0 else OPERATOR_PASSWORD,
        )
        for number, (name, path) in enumerate(zip(names, paths, strict=True))
    )


async def register_operator(rpc: Rpc, deployment: Deployment, account: LocalAccount) -> None:
    """Make an account an operator of the blueprint, with a stake."""
    await fund_operator(rpc, deployment.staking, address(account.address), OPERATOR_STAKE)
    registration = await _registration(rpc, deployment, account)
    await registration.stake(OPERATOR_STAKE)
    await registration.register(deployment.blueprint_id, keystore.public_key(account), OPERATOR_RPC_ADDRESS)


async def register_snapshot(rpc: Rpc, deployment: Deployment, snapshot: BaseSnapshot) -> None:
    """Register a base snapshot with the service manager, as its owner."""
    owner = TransactionSender(rpc, Account.from_key(deployment.owner_key), deployment.chain_id)
    await register_base_snapshot(owner, deployment.manager, snapshot)


async def request_service(
    rpc: Rpc, deployment: Deployment, accounts: Sequence[LocalAccount], assurance: Assurance
) -> tuple[int, int]:
    """A service of these operators, requested by the customer and approved by all; its id and first block."""
    customer = TransactionSender(rpc, Account.from_key(deployment.customer_key), deployment.chain_id)
    request = protocol.request_service(
        deployment.blueprint_id,
        tuple(address(account.address) for account in accounts),
        (deployment.customer,),
        configuration=service_manager.service_configuration(assurance),
    )
    requested = await customer.send(deployment.tangle, request)
    log = next(log for log in requested.logs if protocol.SERVICE_REQUESTED.matches(log))
    request_id = protocol.decode_service_requested(log).request_id
    for account in accounts:
        approved = await (await _registration(rpc, deployment, account)).approve(request_id)
    log = next(log for log in approved.logs if protocol.SERVICE_ACTIVATED.matches(log))
    return protocol.decode_service_activated(log).service_id, approved.block.number


async def _registration(rpc: Rpc, deployment: Deployment, account: LocalAccount) -> Registration:
    epoch = await probe_epoch(rpc, deployment.tangle)
    sender = TransactionSender(rpc, account, deployment.chain_id)
    return Registration(rpc, sender, epoch, deployment.tangle, deployment.staking)
