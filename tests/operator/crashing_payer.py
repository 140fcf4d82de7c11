"""Nodes that take a payment and kill themselves, with SIGKILL, around a step of it.

    crashing_payer.py RPC TOKEN PAYER_KEY GAS_KEY HOME DATABASE

For N from 1 on (on PostgreSQL every third), with a payment each: a process dies before the (N+1)/2th step
when N is odd, after the N/2th when it is even; for every N that three divides another one that makes up for
it dies at the same count; a last one ends in peace and says in a line of JSON what there is. Steps are
commits to the database, and transactions that are handed to the chain. Ends after the first N that killed
nobody. A test's own entry point.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

from eth_account import Account
from sqlmodel import Session, func, select

from faas_blueprint.digests import sha256
from faas_blueprint.job import Limits, make_job
from faas_blueprint.outcome import Outcome, Status, Stream
from faas_blueprint.receipt import ZERO_ADDRESS, address
from faas_microvm.execution import Execution
from faas_operator.chain.authorization import Authorization
from faas_operator.chain.payment_token import PaymentToken
from faas_operator.chain.rpc import Rpc
from faas_operator.chain.sender import TransactionSender
from faas_operator.charging import Terms
from faas_operator.execution_run import RunRequest
from faas_operator.executions import ExecutionService
from faas_operator.ledger import REVENUE, available
from faas_operator.payment_record import PaymentState
from faas_operator.payment_tables import PaymentRow
from faas_operator.payments import PayPerRequest
from faas_operator.settings import Settings
from faas_operator.signer import Signer
from faas_operator.store import Store
from faas_operator.tables import ExecutionRow

REQUEST = RunRequest(make_job("python", "print(1)", limits=Limits(timeout_ms=1000)))
DIGEST = sha256(b"asked")
MOST = 40
"""Strikes; there are fewer steps."""

TIMES = (0, int(time.time()) + 900)
_RPC, _TOKEN, _PAYER_KEY, _GAS_KEY, _HOME, _DATABASE = sys.argv[1:]


class PrintingEngine:
    """Prints the code. For crashes only."""

    profile_id = sha256(b"printing machine")
    measurement = sha256(b"printing snapshot")

    async def stream(self, job, _snapshot, **_):
        outcome = Outcome(
            Status.EXITED, 0, 0, 500_000_000, Stream(job.code.encode()), Stream(), sha256(b"root")
        )
        yield Execution(outcome, self.profile_id, self.measurement, 1.0)


def crash_at(strike: int) -> None:
    """Make the steps of this process deadly."""
    commit, request, done = Session.commit, Rpc.request, 0

    def step(after: bool) -> None:
        nonlocal done
        done += not after
        if strike == 2 * done - (not after):
            os.kill(os.getpid(), signal.SIGKILL)

    def deadly_commit(self):
        step(after=False)
        commit(self)
        step(after=True)

    async def deadly_request(self, method, *parameters):
        if method != "eth_sendRawTransaction":
            return await request(self, method, *parameters)
        step(after=False)
        answer = await request(self, method, *parameters)
        step(after=True)
        return answer

    Session.commit, Rpc.request = deadly_commit, deadly_request


def signed(domain, to, units, nonce) -> Authorization:
    account = Account.from_key(_PAYER_KEY)
    names = ("from", "to", "value", "validAfter", "validBefore", "nonce")
    kinds = ("address", "address", "uint256", "uint256", "uint256", "bytes32")
    values = (account.address, to, units, *TIMES, nonce)
    signature = account.sign_typed_data(
        {
            "name": domain.name, "version": domain.version, "chainId": domain.chain_id,
            "verifyingContract": domain.token,
        },
        {"TransferWithAuthorization": [
            {"name": name, "type": kind} for name, kind in zip(names, kinds, strict=True)
        ]},
        dict(zip(names, values, strict=True)),
    ).signature  # fmt: skip
    return Authorization(address(account.address), to, units, *TIMES, nonce, bytes(signature))


async def live(store: Store, nonce: bytes, pay_to: str, ask: bool) -> dict[str, object]:
    """A node's life: it takes the payment if it is asked to, and does what is due."""
    settings = Settings(
        home=Path(_HOME), poll_seconds=0.01, retry_seconds=0.01, retry_seconds_at_most=0.1,
        credit_rates={ZERO_ADDRESS: 1, _TOKEN: 10**6},
    )  # fmt: skip
    async with (
        Rpc(_RPC) as rpc,
        ExecutionService(PrintingEngine(), Signer(b"\x01" * 32), store) as executions,
    ):
        chain_id = await rpc.chain_id()
        sender = TransactionSender(rpc, Account.from_key(_GAS_KEY), chain_id)
        token = await PaymentToken.connect(rpc, sender, chain_id, address(_TOKEN))
        payments = PayPerRequest(token, store.payments, executions, settings, pay_to)
        price = payments.price(REQUEST.job, REQUEST.placement.mode)
        authorization = signed(token.domain, pay_to, price.units, nonce)
        settling = asyncio.create_task(payments.settling.run())
        answer = None
        try:
            async with asyncio.timeout(30):
                if ask:
                    await payments.pay(authorization, REQUEST, DIGEST)
                while (found := store.payments.find(token.domain, authorization)) is not None:
                    if found.state is not PaymentState.RESERVED:
                        break
                    await asyncio.sleep(0.01)
                if found is not None and found.state is PaymentState.SETTLED:
                    _, record = await payments.pay(authorization, REQUEST, DIGEST)
                    answer = record.attested.outcome.stdout.content.decode()
        finally:
            settling.cancel()
            with suppress(asyncio.CancelledError):
                await settling
        store.ledger.check()
        with Session(store.payments._engine) as session:
            there = [
                session.exec(select(func.count()).select_from(row)).one()
                for row in (ExecutionRow, PaymentRow)
            ]
        own = store.accounts.of_address("ethereum", authorization.payer)
        return {
            "answer": answer,
            "runs": there[0],
            "payments": there[1],
            "received": await token.balance(pay_to),
            "amount": price.units,
            "nanocredits": price.nanocredits,
            "credits": 0 if own is None else store.ledger.balance(available(own)),
            "revenue": store.ledger.balance(REVENUE),
        }


def process(strike: int, nonce: bytes, pay_to: str, ask: bool) -> tuple[bool, str]:
    """Whether it was killed, and what it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with closing(Store.open(_DATABASE, Terms(charged=True))) as store:
            crash_at(strike)
            said = asyncio.run(live(store, nonce, pay_to, ask))
        os.write(writing, json.dumps(said).encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or status == 0, status
    return killed, said


def main() -> None:
    stride = 1 if _DATABASE.startswith("sqlite") else 3
    for strike in range(1, MOST + 1, stride):
        nonce, pay_to = secrets.token_bytes(32), address("0x" + secrets.token_hex(20))
        killed, _ = process(strike, nonce, pay_to, True)
        if strike % 3 == 0:
            process(strike, nonce, pay_to, False)
        _, said = process(0, nonce, pay_to, False)
        print(json.dumps({"strike": strike, "killed": killed, **json.loads(said)}), flush=True)
        if not killed:
            return


if __name__ == "__main__":
    main()
