"""The store's sign-in challenges: each is answered once, in time, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine, delete
from sqlmodel import Session, col

from faas_operator.account_tables import ChallengeRow


@dataclass(frozen=True, slots=True)
class Challenge:
    """A text that an address's holder is asked to sign."""

    nonce: str
    scheme: str
    address: str
    message: str
    expires_at: float


class ChallengeStore:
    """Challenges by nonce. Blocks for a few milliseconds; may be used from any thread."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    def now(self) -> float:
        """Unix seconds, by the clock that challenges expire by."""
        return self._clock()

    def add(self, challenge: Challenge) -> None:
        """Keep a challenge, and let go of those that have expired."""
        with Session(self._engine) as session:
            session.execute(delete(ChallengeRow).where(col(ChallengeRow.expires_at) <= self._clock()))
            session.add(
                ChallengeRow(
                    nonce=challenge.nonce,
                    scheme=challenge.scheme,
                    address=challenge.address,
                    message=challenge.message,
                    expires_at=challenge.expires_at,
                )
            )
            session.commit()

    def take(self, nonce: str) -> Challenge | None:
        """The challenge, for whoever is first to ask for it before it expires."""
        with Session(self._engine) as session:
            row = session.get(ChallengeRow, nonce, with_for_update=True)
            if row is None:
                return None
            challenge = Challenge(row.nonce, row.scheme, row.address, row.message, row.expires_at)
            session.delete(row)
            session.commit()
        return challenge if self._clock() < challenge.expires_at else None
