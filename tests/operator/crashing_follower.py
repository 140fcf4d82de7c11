"""A follower of deposits that kills itself, with SIGKILL, around a commit to its database.

    crashing_follower.py RPC CHAIN_ID CONTRACT START_BLOCK DATABASE_URL HOME N

Dies before the (N+1)/2th commit when N is odd, after the N/2th when it is even; exits with 0 when it has
looked once and nothing was left to do. A test's own entry point: the product knows nothing of it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from sqlmodel import Session

from faas_blueprint.receipt import address
from faas_operator.chain.credits import CreditsChain
from faas_operator.chain.rpc import Rpc
from faas_operator.credit_events import Rates
from faas_operator.deposits import DepositFollower
from faas_operator.settings import Settings
from faas_operator.store import Store


def crash_at(strike: int) -> None:
    """Make the commits of this process deadly."""
    commit, done = Session.commit, 0

    def deadly(self: Session) -> None:
        nonlocal done
        done += 1
        if strike == 2 * done - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        commit(self)
        if strike == 2 * done:
            os.kill(os.getpid(), signal.SIGKILL)

    Session.commit = deadly


async def look(rpc_url: str, chain_id: int, contract: str, start: int, store: Store, home: Path) -> None:
    async with Rpc(rpc_url) as rpc:
        source = CreditsChain(rpc, chain_id, (address(contract),))
        settings = Settings(home=home, start_block=start)
        await DepositFollower(source, store.credit_events, settings, Rates(), "crashing").look()


def main() -> None:
    rpc_url, chain_id, contract, start, url, home, strike = sys.argv[1:]
    store = Store.open(url)
    crash_at(int(strike))
    asyncio.run(look(rpc_url, int(chain_id), contract, int(start), store, Path(home)))


if __name__ == "__main__":
    main()
