"""A node put together: store, key, chain and engine, opened in order and closed again.

async with Engine.open() as engine, open_node(settings, secrets, engine) as node:
    await node.operator().run()          # answer jobs from the chain
    async with node.executions() as executions:
        app = create_app(executions, settings, secrets)   # faas_api: the same over HTTP
"""

from __future__ import annotations

import functools
import json
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.exceptions import ValidationError

from faas_blueprint.errors import FatalError, InvalidRequest, MissingPrerequisite
from faas_blueprint.prices import NANOCREDITS_PER_CREDIT, PriceTable, price_table_from_json
from faas_blueprint.receipt import Address, address
from faas_blueprint.tangle.credit_events import CreditEventKind
from faas_microvm.engine import Engine
from faas_operator import keystore
from faas_operator.approval import ApprovalPolicy, PriceFloor
from faas_operator.approver import Approver
from faas_operator.bookkeeping import Bookkeeping
from faas_operator.chain.court import CourtChain
from faas_operator.chain.credits import CreditsChain
from faas_operator.chain.dry import DryAdapter
from faas_operator.chain.evm import EvmAdapter
from faas_operator.chain.payment_token import PaymentToken
from faas_operator.chain.sender import TransactionSender
from faas_operator.chain.substrate import key as substrate_key
from faas_operator.chain.substrate.adapter import SubstrateAdapter
from faas_operator.chain.substrate.credits import SubstrateCredits
from faas_operator.chain.substrate.dry import DrySubstrateAdapter
from faas_operator.chain.substrate.rpc import is_substrate_node
from faas_operator.charging import Terms
from faas_operator.court import Court
from faas_operator.credit_events import Rates
from faas_operator.deposits import DepositFollower
from faas_operator.executions import ExecutionService
from faas_operator.exits import Exits
from faas_operator.heartbeats import Heartbeats
from faas_operator.legs import retrace
from faas_operator.payments import PayPerRequest
from faas_operator.peers import Peers
from faas_operator.processes import OPERATOR_DUTY
from faas_operator.quoting import Quoting
from faas_operator.refuting import Refuter
from faas_operator.service import Operator
from faas_operator.settings import Secrets, Settings, database_url
from faas_operator.settlement import Settlement
from faas_operator.signer import Signer
from faas_operator.slash_alerts import SlashAlerts
from faas_operator.store import Store
from faas_operator.tariff import Tariff


@dataclass(frozen=True)
class Node:
    """What an operator and an API need, opened."""

    chain: EvmAdapter | SubstrateAdapter
    engine: Engine
    signer: Signer
    store: Store
    settings: Settings
    gas_account: LocalAccount | None = None
    """Posts payments by request."""

    @property
    def deployment(self) -> str:
        """Names what this node follows."""
        return deployment_name(self.chain.chain_id, self.chain.tangle, self.chain.blueprint_id)

    @property
    def _evm(self) -> EvmAdapter | None:
        """The chain that an operator's duties are done on: none on Substrate, and none for a dry node."""
        return None if isinstance(self.chain, SubstrateAdapter | DryAdapter) else self.chain

    def _on_duty(self) -> bool:
        """Whether this process is the one of the store's that does them."""
        return self.store.processes.take(OPERATOR_DUTY)

    def operator(self) -> Operator:
        """An operator of this node; one at a time."""
        return Operator(
            chain=self.chain,
            engine=self.engine,
            signer=self.signer,
            store=self.store,
            settings=self.settings,
            deployment=self.deployment,
        )

    def executions(self) -> ExecutionService:
        """Runs without the chain, with the same engine and key; to be closed before the engine."""
        return ExecutionService(self.engine, self.signer, self.store, self.settings.concurrent_executions)

    def bookkeeping(self) -> Bookkeeping:
        """Deposits, storage and the sums of this node's ledger; one at a time."""
        return Bookkeeping(
            self.store.ledger,
            self.store.storage_sweep,
            self._follower(),
            self.settlement(),
            self.settings,
            time.time,
            self._on_duty,
        )

    def court(self) -> Court | None:
        """This operator's part in disagreements, on chains that have our service manager; one at a time. A
        dry node has none."""
        chain = self._evm
        if chain is None:
            return None
        court = CourtChain(chain)
        again = functools.partial(retrace, self.engine)
        peers = Peers(self.settings, chain)
        return Court(
            court,
            self.store,
            self.store.docket(self.deployment),
            Refuter(court, self.store, self.signer, again, self.settings, peers, time.time),
            self.settings,
            peers,
            time.time,
            self._on_duty,
        )

    def heartbeats(self) -> Heartbeats | None:
        """This operator's signs of life, on EVM chains; one at a time. A dry node gives none."""
        chain = self._evm
        if chain is None:
            return None
        return Heartbeats(
            chain,
            self.store,
            self.settings,
            time.time,
            self._on_duty,
        )

    def approver(self) -> Approver | None:
        """Answers service requests, on EVM chains, if the settings say so; one at a time. A dry node does
        not, nor one of a single service. Raises MissingPrerequisite for a bad price table."""
        chain = self._evm
        if chain is None or self.settings.approve == "none" or self.settings.service_id is not None:
            return None
        return Approver(chain, approval_policy(self.settings), self.settings, time.time, self._on_duty)

    def exits(self) -> Exits | None:
        """Executes scheduled exits from services, on EVM chains; one at a time. A dry node has none."""
        chain = self._evm
        if chain is None:
            return None
        return Exits(chain, self.store, self.settings, self._on_duty)

    def slash_alerts(self) -> SlashAlerts | None:
        """Watches for slash proposals, on EVM chains; one at a time. A dry node has none."""
        chain = self._evm
        if chain is None:
            return None
        return SlashAlerts(chain, self.store, self.deployment, self.settings, self._on_duty)

    def quoting(self) -> Quoting | None:
        """Quotes for jobs and services, if the settings say so. Raises MissingPrerequisite on a Substrate
        chain, which has none. A dry node gives none."""
        settings = self.settings
        if not settings.quotes or isinstance(self.chain, DryAdapter | DrySubstrateAdapter):
            return None
        if not isinstance(self.chain, EvmAdapter):
            raise MissingPrerequisite("quotes are given on EVM chains only: unset FAAS_QUOTES")
        # by the one table: what runs and storage are charged by
        tariff = _tariff(settings, self.store.usage.prices())
        return Quoting(self.chain, self.signer, self.store.quotes, tariff, settings, time.time)

    async def pay_per_request(self, executions: ExecutionService) -> PayPerRequest | None:
        """Runs for callers without an account, if the settings name a token and a key for it.

        Raises MissingPrerequisite when they do not fit, ChainUnavailable.
        """
        settings, token, gas = self.settings, self.settings.x402_token, self.gas_account
        if token is None or gas is None:
            return None
        if not isinstance(self.chain, EvmAdapter):
            raise MissingPrerequisite("requests are paid for on EVM chains only: unset FAAS_X402_TOKEN")
        sender = TransactionSender(self.chain.rpc, gas, self.chain.chain_id)
        return PayPerRequest(
            await PaymentToken.connect(self.chain.rpc, sender, self.chain.chain_id, token),
            self.store.payments,
            executions,
            settings,
            address(settings.x402_pay_to or self.signer.address),
            self._on_duty,
        )

    def settlement(self) -> Settlement | None:
        """Fetches what was used from the credits contract, if there is one."""
        contract = self.settings.credits
        if contract is None or not isinstance(self.chain, EvmAdapter):
            return None
        limits = self.store.spending_limits(self.chain.chain_id, contract)
        return Settlement(self.chain.rpc, self.chain.sender, contract, limits)

    def _follower(self) -> DepositFollower | None:
        if isinstance(self.chain, SubstrateAdapter):
            return self._grants_follower(self.chain)
        contracts = [
            item for item in (self.settings.credits, self.settings.tangle_credits) if item is not None
        ]
        if not contracts:
            return None
        chain = CreditsChain(self.chain.rpc, self.chain.chain_id, contracts)
        units = {Address(token): amount for token, amount in self.settings.credit_rates.items()}
        rates = Rates(units, self.settings.claimed_nanocredits)
        name = f"credits {self.chain.chain_id}/{' '.join(contracts)}"
        return DepositFollower(chain, self.store.credit_events, self.settings, rates, name)

    def _grants_follower(self, chain: SubstrateAdapter) -> DepositFollower | None:
        worth = {
            CreditEventKind.BURNED: self.settings.burn_rate,
            CreditEventKind.CLAIMED: self.settings.claimed_nanocredits,
        }
        kinds = [kind for kind, value in worth.items() if value]
        if not kinds:
            return None
        source = SubstrateCredits(chain.runtime, chain.chain_id, chain.tangle, kinds)
        rates = Rates(claimed=self.settings.claimed_nanocredits, burned=self.settings.burn_rate)
        name = f"credits {chain.chain_id}/{' '.join(kinds)}"
        return DepositFollower(source, self.store.credit_events, self.settings, rates, name)


def approval_policy(settings: Settings) -> ApprovalPolicy:
    """Which service requests are taken. Raises MissingPrerequisite for a bad price table."""
    tariff = _tariff(settings, terms_of(settings).prices)
    return ApprovalPolicy(
        frozenset(settings.approved_requesters),
        settings.services_at_most,
        PriceFloor(tariff, settings.approval_floor_percent),
    )


def _tariff(settings: Settings, prices: PriceTable) -> Tariff:
    return Tariff(prices, settings.credit_rates, settings.quote_markup_percent, settings.quote_floor)


def terms_of(settings: Settings) -> Terms:
    """On what terms a node with these settings serves. Raises MissingPrerequisite for a bad price table."""
    starting = settings.starting_credits * NANOCREDITS_PER_CREDIT
    if settings.price_table is None:
        return Terms(charged=settings.billing, starting_credit=starting)
    try:
        prices = price_table_from_json(json.loads(settings.price_table.read_text()))
    except (OSError, ValueError, AttributeError, TypeError, InvalidRequest) as error:
        raise MissingPrerequisite(f"{settings.price_table} is no price table: {error}") from error
    return Terms(prices, settings.billing, starting)


def gas_account(settings: Settings, secrets: Secrets, operator: LocalAccount) -> LocalAccount | None:
    """What posts payments by request; None: they are not taken. Raises MissingPrerequisite when only some of
    the settings are there that this takes."""
    token, key = settings.x402_token, secrets.x402_key
    if token is None and key is None:
        return None
    if token is None or key is None:
        raise MissingPrerequisite("paying by request takes both FAAS_X402_TOKEN and FAAS_X402_KEY")
    if not settings.billing:
        raise MissingPrerequisite("paying by request takes FAAS_BILLING: runs are free without it")
    if token not in settings.credit_rates:
        raise MissingPrerequisite(f"FAAS_CREDIT_RATES does not say what a credit costs in {token}")
    try:
        account: LocalAccount = Account.from_key(key.get_secret_value())
    except (ValueError, ValidationError):
        raise MissingPrerequisite("FAAS_X402_KEY is no private key: 64 hexadecimal digits") from None
    if account.address == operator.address:
        raise MissingPrerequisite("FAAS_X402_KEY is the operator's: it must be that of another account")
    return account


def deployment_name(chain_id: int, tangle: Address, blueprint_id: int) -> str:
    """The name under which a cursor is stored."""
    return f"{chain_id}/{tangle}/{blueprint_id}"


@asynccontextmanager
async def open_node(settings: Settings, secrets: Secrets, engine: Engine) -> AsyncIterator[Node]:
    """A node over an engine, which stays the caller's to close.

    Without the address of a Tangle contract the endpoint is asked whether it is a Substrate node.

    Raises MissingPrerequisite when a setting is missing, FatalError when the keystore cannot be opened or
    the chain is not a Tangle, ChainUnavailable when it does not answer.
    """
    if secrets.keystore_password is None:
        raise MissingPrerequisite("set FAAS_KEYSTORE_PASSWORD to the password of the operator's keystore")
    account = keystore.load(settings.keystore_path, secrets.keystore_password.get_secret_value())
    gas = gas_account(settings, secrets, account)
    with closing(Store.open(database_url(settings, secrets), terms_of(settings))) as store:
        async with await _connect(settings, secrets, account) as chain:
            evm_chain = chain.chain_id if isinstance(chain, EvmAdapter) else None
            known = settings.model_copy(update={"chain_id": evm_chain})
            yield Node(chain, engine, Signer.from_account(account), store, known, gas)


@asynccontextmanager
async def open_dry_node(settings: Settings, secrets: Secrets, engine: Engine) -> AsyncIterator[Node]:
    """A node that runs the jobs from now on and posts nothing; its key and store are gone afterwards.

    Needs no keystore and leaves the settings' database alone. Raises as `open_node` does.
    """
    account = Account.create()
    with (
        tempfile.TemporaryDirectory(prefix="faas-dry-") as folder,
        closing(Store.open(f"sqlite:///{folder}/operator.sqlite")) as store,
    ):
        async with await _connect_dry(settings, secrets.rpc_url.get_secret_value(), account) as chain:
            first = (await chain.head()).number + 1
            evm_chain = chain.chain_id if isinstance(chain, EvmAdapter) else None
            unpaid = {"billing": False, "credits": None, "burn_rate": None, "chain_id": evm_chain}
            now = settings.model_copy(update={"start_block": first, **unpaid})
            yield Node(chain, engine, Signer.from_account(account), store, now)


async def _connect_dry(
    settings: Settings, rpc_url: str, account: LocalAccount
) -> DryAdapter | DrySubstrateAdapter:
    if settings.tangle is None and await is_substrate_node(rpc_url):
        if settings.blueprint_id is None:
            raise MissingPrerequisite("set FAAS_BLUEPRINT_ID to the id of the blueprint to serve")
        return await DrySubstrateAdapter.follow(rpc_url, settings.blueprint_id, settings.service_id)
    tangle, blueprint_id = _place(settings)
    return await DryAdapter.connect(
        rpc_url, tangle, blueprint_id, account, chain_id=settings.chain_id, service_id=settings.service_id
    )


async def _connect(
    settings: Settings, secrets: Secrets, account: LocalAccount
) -> EvmAdapter | SubstrateAdapter:
    rpc_url = secrets.rpc_url.get_secret_value()
    if settings.tangle is None and await is_substrate_node(rpc_url):
        return await _connect_substrate(settings, secrets, rpc_url, keystore.public_key(account))
    tangle, blueprint_id = _place(settings)
    return await EvmAdapter.connect(
        rpc_url,
        tangle,
        blueprint_id,
        account,
        chain_id=settings.chain_id,
        service_id=settings.service_id,
    )


async def _connect_substrate(
    settings: Settings, secrets: Secrets, rpc_url: str, receipt_key: bytes
) -> SubstrateAdapter:
    if settings.blueprint_id is None:
        raise MissingPrerequisite("set FAAS_BLUEPRINT_ID to the id of the blueprint to serve")
    if secrets.account_password is None:
        raise MissingPrerequisite("set FAAS_ACCOUNT_PASSWORD to the password of the Substrate account's file")
    if settings.credits is not None or settings.tangle_credits is not None:
        raise MissingPrerequisite(
            "FAAS_CREDITS and FAAS_TANGLE_CREDITS name contracts, of which a Substrate chain has none: unset "
            "them; FAAS_BURN_RATE and FAAS_CLAIMED_NANOCREDITS say what its pallet's credits are worth"
        )
    key = substrate_key.load(settings.account_path, secrets.account_password.get_secret_value())
    chain = await SubstrateAdapter.connect(
        rpc_url, settings.blueprint_id, key, receipt_key, service_id=settings.service_id
    )
    if settings.chain_id not in (None, chain.chain_id):
        await chain.close()
        raise FatalError(f"the node serves chain {chain.chain_id}, not {settings.chain_id}")
    return chain


def _place(settings: Settings) -> tuple[Address, int]:
    if settings.tangle is None:
        raise MissingPrerequisite("set FAAS_TANGLE to the address of the Tangle contract")
    if settings.blueprint_id is None:
        raise MissingPrerequisite("set FAAS_BLUEPRINT_ID to the id of the blueprint to serve")
    return settings.tangle, settings.blueprint_id
