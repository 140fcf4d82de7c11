"""The store's record of payments by request, and what each does to the ledger.

A payment is known by chain, token, payer and nonce, and there is one row for each. `reserved` is stored
before its run; `settled` is in the ledger; `final` too, and so deep that it is looked at no more; `given_up`
is never sent, or was undone. A reservation whose run never began is taken back: nothing is left of it.

A run is nobody's until its payment is settled, so that nobody reads it before: it is stored under a name that
no key has. The transaction that settles the payment gives run and credits to the account that the payer's
address is bound to, and takes what the run cost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, Engine, and_, literal
from sqlmodel import Session, col, select

from faas_blueprint.digests import Digest
from faas_blueprint.prices import PriceTable
from faas_blueprint.receipt import Address
from faas_operator import payers
from faas_operator.account_record import Account
from faas_operator.accounts import AccountStore
from faas_operator.chain.authorization import Authorization, TokenDomain
from faas_operator.chain.interface import Block
from faas_operator.charging import Charging
from faas_operator.execution_record import ExecutionStatus, usage_reference
from faas_operator.key_changes import KeyChanges
from faas_operator.ledger import PROCEEDS, Cause, Posting, available, post, reverse
from faas_operator.ledger_tables import UsageRow
from faas_operator.payment_record import (
    FINISHED,
    NOBODYS,
    Payment,
    PaymentState,
    Reservation,
    nobodys,
    payment_of,
    require_same,
)
from faas_operator.payment_tables import PaymentRow
from faas_operator.processes import Processes
from faas_operator.tables import ExecutionRow
from faas_operator.transactions import lock

BEGIN_SECONDS = 300.0
"""A run that has not begun so long after its reservation never will."""

ACTOR = "x402"
"""Who makes an account for a payer, in the audit log."""


class PaymentStore:
    """Payments of one store. Blocks for a few milliseconds; may be used from any thread."""

    def __init__(
        self, engine: Engine, clock: Callable[[], float], charging: Charging, processes: Processes
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._charging = charging
        self._processes = processes
        self._accounts = AccountStore(engine, clock, KeyChanges())

    @property
    def process(self) -> str:
        """This process's id, as in the rows of what it has in hand."""
        return self._processes.own

    @property
    def prices(self) -> PriceTable:
        """In force."""
        return self._charging.terms.prices

    def account_of(self, payer: Address) -> Account | None:
        """The account that an address is bound to."""
        bound = self._accounts.of_address(payers.ETHEREUM, payer)
        return None if bound is None else self._accounts.get(bound)

    def find(self, domain: TokenDomain, authorization: Authorization) -> Payment | None:
        """The payment that there is with this nonce of the payer's."""
        with Session(self._engine) as session:
            row = _find(session, domain, authorization)
            return None if row is None else payment_of(row)

    def get(self, number: int) -> Payment | None:
        """None when it was taken back."""
        with Session(self._engine) as session:
            row = session.get(PaymentRow, number)
            return None if row is None else payment_of(row)

    def reserve(
        self,
        domain: TokenDomain,
        authorization: Authorization,
        nanocredits: int,
        request: Digest,
        execution_id: str,
        first_block: int,
    ) -> tuple[Payment, bool]:
        """Store a payment before its run; or the one that is there, and False. Raises Conflict for one of
        another request."""
        now = self._clock()
        self._processes.beat()
        with Session(self._engine) as session:
            lock(session, f"payments of {authorization.payer}")
            row = _find(session, domain, authorization)
            new = row is None
            if row is None:
                row = PaymentRow(
                    chain_id=domain.chain_id,
                    token=domain.token,
                    payer=authorization.payer,
                    nonce=authorization.nonce.hex(),
                    pay_to=authorization.to,
                    amount=str(authorization.value),
                    valid_after=str(authorization.valid_after),
                    valid_before=str(authorization.valid_before),
                    signature=authorization.signature,
                    nanocredits=nanocredits,
                    request_digest=request,
                    execution_id=execution_id,
                    first_block=first_block,
                    state=PaymentState.RESERVED,
                    process=self._processes.own,
                    created_at=now,
                    updated_at=now,
                )
                session.add(row)
                session.flush()
            payment = payment_of(row)
            session.commit()
        require_same(payment, request)
        return payment, new

    def reserved(self, domain: TokenDomain) -> Sequence[Reservation]:
        """All that wait for their run or their settlement, oldest first."""
        query = (
            select(PaymentRow, ExecutionRow.status)
            .outerjoin(ExecutionRow, _is_run_of_payment())
            .where(
                PaymentRow.chain_id == domain.chain_id,
                PaymentRow.token == domain.token,
                PaymentRow.state == PaymentState.RESERVED,
            )
            .order_by(col(PaymentRow.id))
        )
        with Session(self._engine) as session:
            found = session.exec(query).all()
            alive = self._processes.alive(session) if found else set()
            return [
                Reservation(
                    payment_of(row),
                    None if run is None else ExecutionStatus(run),
                    row.process not in alive or row.created_at < self._clock() - BEGIN_SECONDS,
                )
                for row, run in found
            ]

    def settled(self, domain: TokenDomain) -> Sequence[Payment]:
        """All that are in the ledger and not final."""
        query = select(PaymentRow).filter_by(
            chain_id=domain.chain_id, token=domain.token, state=PaymentState.SETTLED
        )
        with Session(self._engine) as session:
            return [payment_of(row) for row in session.exec(query)]

    def take_back(self, number: int) -> bool:
        """Forget a reservation; False, and nothing, when its run has begun."""
        with Session(self._engine) as session:
            row = _reserved(session, number)
            taken = row is not None and _run_of(session, row) is None
            if taken:
                session.delete(row)
            session.commit()
        return taken

    def give_up(self, number: int, reason: str) -> None:
        """A payment that is reserved will never be sent. Its run stays nobody's."""
        with Session(self._engine) as session:
            row = _reserved(session, number)
            if row is not None:
                self._change(session, row, PaymentState.GIVEN_UP, reason=reason)
            session.commit()

    def settle(self, number: int, transaction_hash: str, block: Block) -> None:
        """Put a payment that was made into the ledger, once, with the cost of its run if it finished."""
        with Session(self._engine) as session:
            lock(session, payers.LOCK)
            row = _reserved(session, number)
            if row is not None:
                account = self._accounts.row_of_proven_address(session, payers.ETHEREUM, row.payer, ACTOR).id
                self._change(
                    session, row, PaymentState.SETTLED, account=account, transaction_hash=transaction_hash,
                    block_number=block.number, block_hash=block.block_hash,
                )  # fmt: skip
                paid = row.nanocredits
                postings = (Posting(PROCEEDS, -paid), Posting(available(account), paid))
                post(session, self._clock(), _cause(row), *postings)
                self._hand_over_run(session, row, account)
            session.commit()

    def move(self, number: int, block: Block) -> None:
        """A settled payment is in another block."""
        with Session(self._engine) as session:
            row = session.get_one(PaymentRow, number, with_for_update=True)
            row.block_number, row.block_hash = block.number, block.block_hash
            session.add(row)
            session.commit()

    def finalise(self, number: int) -> None:
        """A settled payment is so deep that its block is not expected to go."""
        with Session(self._engine) as session:
            row = session.get_one(PaymentRow, number, with_for_update=True)
            if row.state == PaymentState.SETTLED:
                self._change(session, row, PaymentState.FINAL)
            session.commit()

    def undo(self, number: int, reason: str) -> None:
        """A settled payment's block is gone and it cannot be sent again: its credits are taken back, which
        may leave a debt."""
        with Session(self._engine) as session:
            lock(session, payers.LOCK)
            row = session.get_one(PaymentRow, number, with_for_update=True)
            if row.state == PaymentState.SETTLED:
                cause = _cause(row)
                again = Cause("reorganisation", f"{cause.kind} {cause.reference}")
                reverse(session, self._clock(), cause, again)
                self._change(session, row, PaymentState.GIVEN_UP, reason=reason)
            session.commit()

    def _hand_over_run(self, session: Session, row: PaymentRow, account: str) -> None:
        run = _run_of(session, row)
        if run is None:
            return
        before = usage_reference(run.account, run.id)
        run.account = account
        session.add(run)
        usage = session.exec(select(UsageRow).filter_by(reference=before)).one_or_none()
        if usage is not None:
            usage.account, usage.reference = account, usage_reference(account, run.id)
            session.add(usage)
        session.flush()
        if run.status in FINISHED:
            self._charging.charge_paid(session, account, run.id, row.nanocredits)

    def _change(self, session: Session, row: PaymentRow, state: PaymentState, **values: object) -> None:
        for name, value in {**values, "state": state, "updated_at": self._clock()}.items():
            setattr(row, name, value)
        session.add(row)
        session.flush()


def _find(session: Session, domain: TokenDomain, authorization: Authorization) -> PaymentRow | None:
    query = select(PaymentRow).filter_by(
        chain_id=domain.chain_id,
        token=domain.token,
        payer=authorization.payer,
        nonce=authorization.nonce.hex(),
    )
    return session.exec(query).one_or_none()


def _reserved(session: Session, number: int) -> PaymentRow | None:
    """The row, for this transaction alone, if it is still reserved."""
    row = session.get(PaymentRow, number, with_for_update=True)
    return row if row is not None and row.state == PaymentState.RESERVED else None


def _is_run_of_payment() -> ColumnElement[bool]:
    return and_(
        col(ExecutionRow.id) == col(PaymentRow.execution_id),
        col(ExecutionRow.account) == literal(NOBODYS).concat(col(PaymentRow.payer)),
    )


def _run_of(session: Session, row: PaymentRow) -> ExecutionRow | None:
    """Its run while it is nobody's."""
    query = select(ExecutionRow).filter_by(account=nobodys(Address(row.payer)), id=row.execution_id)
    return session.exec(query.with_for_update()).one_or_none()


def _cause(row: PaymentRow) -> Cause:
    return Cause("x402", f"{row.chain_id}/{row.transaction_hash}/{row.payer} {row.nonce}")
