"""What quotes this operator has signed: none is given out that is not stored, and no two are the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TypeVar

from sqlalchemy import Engine, delete, func
from sqlmodel import Session, col, select

from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.errors import NotServed, RateLimitExceeded
from faas_blueprint.tangle.quotes import MAX_AGE_SECONDS, JobQuote, ServiceQuote
from faas_operator.quote_tables import JobQuoteRow, ServiceQuoteRow
from faas_operator.transactions import lock

EXTRA_SECONDS = 300
"""By so much a quote may hold longer than asked for, to be another than those before it."""

Quote = TypeVar("Quote", JobQuote, ServiceQuote)
Row = type[JobQuoteRow] | type[ServiceQuoteRow]


class QuoteStore:
    """Blocks for a few milliseconds; may be used from any thread."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    def add(
        self, caller: str, quote: JobQuote, digest_of: Callable[[JobQuote], Digest], most_open: int
    ) -> JobQuote:
        """Keep a quote for a caller; the answer may expire some seconds later, to be another than all before.

        Raises RateLimitExceeded for a caller with `most_open` that hold yet."""
        with Session(self._engine) as session:
            self._make_room(session, JobQuoteRow, caller, most_open)
            return self._added(session, JobQuoteRow, caller, quote, digest_of)

    def add_service(
        self,
        caller: str,
        quote: ServiceQuote,
        digest_of: Callable[[ServiceQuote], Digest],
        most_open: int,
        room: int | None,
    ) -> ServiceQuote:
        """Likewise. With `room` for so many more services, raises NotServed when there are as many quotes
        that hold yet, whoever has them."""
        with Session(self._engine) as session:
            self._make_room(session, ServiceQuoteRow, caller, most_open)
            if room is not None:
                holding = col(ServiceQuoteRow.expiry) >= self._clock()
                query = select(func.count()).select_from(ServiceQuoteRow).where(holding)
                if session.exec(query).one() >= room:
                    raise NotServed("this operator has quoted as many services as it serves: ask again later")
            return self._added(session, ServiceQuoteRow, caller, quote, digest_of)

    def _make_room(self, session: Session, row: Row, caller: str, most_open: int) -> None:
        """Nobody else adds a quote until the session ends."""
        now = self._clock()
        lock(session, "quotes")
        session.execute(delete(row).where(col(row.expiry) < now - MAX_AGE_SECONDS))
        query = select(func.count()).select_from(row).filter_by(caller=caller)
        if session.exec(query.where(col(row.expiry) >= now)).one() >= most_open:
            raise RateLimitExceeded(
                f"{most_open} quotes that hold yet are the most a caller may have: use one, or wait",
                {"open_quotes": most_open},
            )

    def _added(
        self, session: Session, row: Row, caller: str, quote: Quote, digest_of: Callable[[Quote], Digest]
    ) -> Quote:
        for later in range(EXTRA_SECONDS):
            unique = replace(quote, expiry=quote.expiry + later)
            digest = to_hex(digest_of(unique))
            if session.get(row, digest) is None:
                break
        else:
            raise RateLimitExceeded("too many have asked for the same quote: ask again in a second")
        terms = json.dumps(asdict(unique), default=to_hex)
        session.add(
            row(digest=digest, caller=caller, terms=terms, expiry=unique.expiry, made_at=self._clock())
        )
        session.commit()
        return unique
