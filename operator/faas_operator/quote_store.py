"""What quotes this operator has signed: none is given out that is not stored, and no two are the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace

from sqlalchemy import Engine, delete, func
from sqlmodel import Session, col, select

from faas_blueprint.digests import Digest, to_hex
from faas_blueprint.errors import RateLimitExceeded
from faas_blueprint.tangle.quotes import MAX_AGE_SECONDS, JobQuote
from faas_operator.quote_tables import JobQuoteRow
from faas_operator.transactions import lock

EXTRA_SECONDS = 300
"""By so much a quote may hold longer than asked for, to be another than those before it."""


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
        now = self._clock()
        with Session(self._engine) as session:
            lock(session, "quotes")
            session.execute(delete(JobQuoteRow).where(col(JobQuoteRow.expiry) < now - MAX_AGE_SECONDS))
            query = select(func.count()).select_from(JobQuoteRow).filter_by(caller=caller)
            if session.exec(query.where(col(JobQuoteRow.expiry) >= now)).one() >= most_open:
                raise RateLimitExceeded(
                    f"{most_open} quotes that hold yet are the most a caller may have: use one, or wait",
                    {"open_quotes": most_open},
                )
            for later in range(EXTRA_SECONDS):
                unique = replace(quote, expiry=quote.expiry + later)
                digest = to_hex(digest_of(unique))
                if session.get(JobQuoteRow, digest) is None:
                    break
            else:
                raise RateLimitExceeded("too many have asked for the same quote: ask again in a second")
            terms = json.dumps({**asdict(unique), "inputs_hash": to_hex(unique.inputs_hash)})
            session.add(
                JobQuoteRow(digest=digest, caller=caller, terms=terms, expiry=unique.expiry, made_at=now)
            )
            session.commit()
        return unique
