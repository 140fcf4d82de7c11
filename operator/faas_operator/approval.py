"""Which service requests an operator takes on. Pure: what is asked of the chain is `registration`'s."""

from __future__ import annotations

from dataclasses import dataclass

from faas_blueprint.receipt import Address


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """What the settings say of it; the default takes everyone."""

    requesters: frozenset[Address] = frozenset()
    """Whose requests are taken; empty: anyone's."""
    services_at_most: int | None = None
    """Open services of the blueprint that are served at once; None: any number."""

    def against(self, requester: Address, serving: int) -> str | None:
        """Why a request is not taken while so many services are served; None when it is."""
        if self.requesters and requester not in self.requesters:
            return f"{requester} is not among FAAS_APPROVED_REQUESTERS"
        if self.services_at_most is not None and serving >= self.services_at_most:
            return f"{serving} services are served, FAAS_SERVICES_AT_MOST is {self.services_at_most}"
        return None


@dataclass(frozen=True, slots=True)
class Approvals:
    """What became of the open requests that ask for an operator, by their ids."""

    approved: tuple[int, ...]
    refused: dict[int, str]
    """With the reason; they stay open."""
