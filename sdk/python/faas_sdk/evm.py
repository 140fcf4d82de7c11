"""An EVM chain with Tangle's contracts, as the clients need it."""

from __future__ import annotations

from dataclasses import replace

from eth_account.signers.local import LocalAccount

from faas_sdk.chain import TangleChain
from faas_sdk.discovery import find_service
from faas_sdk.effects import Plan
from faas_sdk.errors import SubmissionRefused
from faas_sdk.guard import Deployment
from faas_sdk.operations import Inputs
from faas_sdk.rest import RestApi
from faas_sdk.results import (
    CallStatus,
    Submitted,
    TangleResult,
    read_status,
    read_submitted,
    wait_for_result,
)
from faas_sdk.submission import JobCall, NewService, Payment, ServiceOrder, create_service, submit
from faas_sdk.transactions import Progress, Sending
from faas_sdk.verification import Verification, verify

INCLUSION_TIMEOUT = 120.0
"""Seconds that a transaction may take to get into a block."""


class EvmChain(TangleChain):
    """See `TangleChain`. The account pays at the most `max_price_wei` for a job."""

    def __init__(
        self, at: Deployment, account: LocalAccount | None, max_price_wei: int | None, poll_interval: float
    ) -> None:
        self.caller = "" if account is None else str(account.address).lower()
        self._at = at
        self._account = account
        self._max_price_wei = max_price_wei
        self._poll_interval = poll_interval

    def find_service(self, blueprint_id: int) -> Plan[int]:
        """See `TangleChain`."""
        return (yield from find_service(self._at, blueprint_id, self.caller or None))

    def check_inputs(self, inputs: Inputs) -> None:
        """Only the chain knows what is too large for it: it is asked as the transaction is built."""

    def require_quotes(self) -> None:
        """This chain has them."""

    def submit(self, service_id: int, inputs: Inputs, payment: Payment, progress: Progress) -> Plan[JobCall]:
        """See `TangleChain`."""
        limited = replace(payment, maximum_wei=self._max_price_wei)
        return (yield from submit(self._at, self._sending(), service_id, inputs, limited, progress))

    def create_service(self, wanted: ServiceOrder, progress: Progress) -> Plan[NewService]:
        """See `TangleChain`."""
        return (yield from create_service(self._at, self._sending(), wanted, progress))

    def _sending(self) -> Sending:
        if self._account is None:
            raise SubmissionRefused("no_key", "submitting a job takes a private_key")
        return Sending(self._account, INCLUSION_TIMEOUT, self._poll_interval)

    def submitted(self, service_id: int, call_id: int) -> Plan[Submitted]:
        """See `TangleChain`."""
        return (yield from read_submitted(self._at, service_id, call_id))

    def wait(
        self, call: Submitted, endpoint: RestApi | None, timeout: float, progress: Progress
    ) -> Plan[TangleResult]:
        """See `TangleChain`."""
        interval = self._poll_interval
        return (yield from wait_for_result(self._at, call, endpoint, timeout, interval, progress))

    def status(self, call: Submitted, endpoint: RestApi | None) -> Plan[CallStatus]:
        """See `TangleChain`."""
        return (yield from read_status(self._at, call, endpoint))

    def verify(self, call: Submitted, result: TangleResult | None) -> Plan[Verification]:
        """See `TangleChain`."""
        return (yield from verify(self._at, call, result))
