"""Tangle's Substrate chain, as the clients need it."""

from __future__ import annotations

from faas_sdk.chain import TangleChain
from faas_sdk.effects import Plan
from faas_sdk.errors import ResultTimeout, SubmissionRefused
from faas_sdk.operations import Inputs
from faas_sdk.rest import RestApi
from faas_sdk.results import CallStatus, Submitted, TangleResult
from faas_sdk.rpc import Rpc
from faas_sdk.submission import JobCall, NewService, Payment, ServiceOrder
from faas_sdk.substrate.account import SubstrateAccount
from faas_sdk.substrate.guard import fields_of, may_call, operators_of, require_tangle
from faas_sdk.substrate.node import Node
from faas_sdk.substrate.results import (
    all_posted,
    first_posted,
    read_result,
    read_submitted,
    wait_for_result,
)
from faas_sdk.substrate.submission import submit
from faas_sdk.transactions import Progress
from faas_sdk.verification import Verification, compare

INCLUSION_TIMEOUT = 240.0
"""Seconds that an extrinsic may take to get into a final block."""


class SubstrateChain(TangleChain):
    """See `TangleChain`. Reads final blocks only. Jobs cost their fee, no price."""

    def __init__(self, rpc: Rpc, account: SubstrateAccount | None, poll_interval: float) -> None:
        self.caller = "" if account is None else account.account_id
        self._node = Node(rpc)
        self._account = account
        self._poll_interval = poll_interval

    def find_service(self, blueprint_id: int) -> Plan[int]:
        """See `TangleChain`."""
        head = yield from self._node.finalised()
        yield from require_tangle(self._node, head)
        keys = yield from self._node.keys(head, "Services", "ServiceStatus", blueprint_id)
        for service_id in sorted((int.from_bytes(key, "little") for key in keys), reverse=True):
            service = yield from self._node.value(head, "Services", "Instances", service_id)
            if service is None or not operators_of(service):
                continue
            if self._account is None or may_call(service, self._account.address):
                return service_id
        whom = "" if self._account is None else f" that {self._account.address} may use"
        raise SubmissionRefused(
            "no_service", f"blueprint {blueprint_id} has no service with operators{whom} ({len(keys)} stand)"
        )

    def check_inputs(self, inputs: Inputs) -> None:
        """See `TangleChain`."""
        fields_of(inputs)

    def require_quotes(self) -> None:
        """See `TangleChain`."""
        raise _no_quotes()

    def submit(self, service_id: int, inputs: Inputs, payment: Payment, progress: Progress) -> Plan[JobCall]:
        """See `TangleChain`."""
        if self._account is None:
            raise SubmissionRefused("no_key", "submitting a job takes a private_key")
        if payment.quotes:
            raise _no_quotes()
        if payment.value_wei:
            raise SubmissionRefused(
                "wrong_value",
                "jobs on this chain cost their fee only: nothing can be sent along",
                {"value_wei": payment.value_wei, "price_wei": 0},
            )
        interval = self._poll_interval
        return (
            yield from submit(
                self._node, self._account, service_id, inputs, INCLUSION_TIMEOUT, interval, progress
            )
        )

    def create_service(self, wanted: ServiceOrder, progress: Progress) -> Plan[NewService]:
        """See `TangleChain`."""
        raise _no_quotes()

    def submitted(self, service_id: int, call_id: int) -> Plan[Submitted]:
        """See `TangleChain`."""
        return (yield from read_submitted(self._node, service_id, call_id))

    def wait(
        self, call: Submitted, endpoint: RestApi | None, timeout: float, progress: Progress
    ) -> Plan[TangleResult]:
        """See `TangleChain`."""
        interval = self._poll_interval
        return (yield from wait_for_result(self._node, call, endpoint, timeout, interval, progress))

    def status(self, call: Submitted, endpoint: RestApi | None) -> Plan[CallStatus]:
        """See `TangleChain`."""
        results = []
        for posted in (yield from all_posted(self._node, call)):
            results.append((yield from read_result(self._node, call, posted, endpoint)))
        return CallStatus(
            call.service_id, call.call_id, call.caller, call.transaction_hash, bool(results), tuple(results)
        )

    def verify(self, call: Submitted, result: TangleResult | None) -> Plan[Verification]:
        """See `TangleChain`. Results of accounts that do not serve are not looked at."""
        transaction = None if result is None else result.transaction_hash
        found = yield from first_posted(self._node, call, transaction)
        if found is None:
            raise ResultTimeout(
                f"no final result of call {call.call_id} of service {call.service_id} by its operators yet"
            )
        posted = yield from read_result(self._node, call, found, None)
        return compare(call, result or posted, posted, True)


def open_chain(rpc: Rpc, secret: str | None, key_type: str, poll_interval: float) -> SubstrateChain:
    """A chain with the account of a seed or mnemonic. Raises ValueError."""
    return SubstrateChain(rpc, None if secret is None else SubstrateAccount(secret, key_type), poll_interval)


def _no_quotes() -> SubmissionRefused:
    return SubmissionRefused("no_quotes", "this chain has no quotes: jobs cost their fee only")
