"""What a client needs of a chain with Tangle on it, whichever of the two kinds it is. No logic here."""

from __future__ import annotations

from abc import ABC, abstractmethod

from faas_sdk.effects import Plan
from faas_sdk.operations import Inputs
from faas_sdk.rest import RestApi
from faas_sdk.results import CallStatus, Submitted, TangleResult
from faas_sdk.submission import JobCall, NewService, Payment, ServiceOrder
from faas_sdk.transactions import Progress
from faas_sdk.verification import Verification


class TangleChain(ABC):
    """One chain, read and written by one customer."""

    caller: str
    """The customer's account; empty when there is no key."""

    @abstractmethod
    def find_service(self, blueprint_id: int) -> Plan[int]:
        """The newest service of the blueprint that the customer may use. Raises SubmissionRefused."""

    @abstractmethod
    def check_inputs(self, inputs: Inputs) -> None:
        """Raises SubmissionRefused for what no transaction can carry, before anything is uploaded."""

    @abstractmethod
    def require_quotes(self) -> None:
        """Raises SubmissionRefused on a chain that has none."""

    @abstractmethod
    def submit(self, service_id: int, inputs: Inputs, payment: Payment, progress: Progress) -> Plan[JobCall]:
        """Send a job. Raises SubmissionRefused before anything is paid, TransactionFailed, ResultTimeout."""

    @abstractmethod
    def create_service(self, wanted: ServiceOrder, progress: Progress) -> Plan[NewService]:
        """A service from quotes. Raises likewise."""

    @abstractmethod
    def submitted(self, service_id: int, call_id: int) -> Plan[Submitted]:
        """A job call as it stands. Raises TangleError when there is none."""

    @abstractmethod
    def wait(
        self, call: Submitted, endpoint: RestApi | None, timeout: float, progress: Progress
    ) -> Plan[TangleResult]:
        """The result of a call that stands. Raises ResultTimeout and ResultUnreadable."""

    @abstractmethod
    def status(self, call: Submitted, endpoint: RestApi | None) -> Plan[CallStatus]:
        """All that stands of a call."""

    @abstractmethod
    def verify(self, call: Submitted, result: TangleResult | None) -> Plan[Verification]:
        """A result, or the call's first one, against the chain. Raises ResultTimeout, ResultUnreadable."""
