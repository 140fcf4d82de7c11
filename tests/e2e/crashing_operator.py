"""An operator that kills itself, with SIGKILL, around the storing of one state.

    crashing_operator.py DEPLOYMENT.json HOME START_BLOCK STATE before|after|during|never

`before` a job is stored in STATE, that is with the effect done and its outcome not stored; `after` it
is stored, before the next effect; `during` what comes next; `never`: runs until the job is at rest.
A test's own entry point: the product knows nothing of it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

from faas_microvm.engine import Engine
from faas_operator.devnet import deployment as deployments
from faas_operator.logs import configure_logging
from faas_operator.node import open_node
from faas_operator.pipeline import RESTING, State, next_state
from faas_operator.settings import Secrets, Settings
from faas_operator.store import Store

DURING_SECONDS = 0.15


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crash_at(state: State, when: str) -> None:
    """Make every store of this process deadly."""
    record_blocks, apply = Store.record_blocks, Store.apply

    def strike(moment: str, reached: State) -> None:
        if reached is state and moment == when:
            die()
        if reached is state and when == "during" and moment == "after":
            threading.Timer(DURING_SECONDS, die).start()

    def deadly_record_blocks(self, deployment, jobs, last):
        found = list(jobs)
        if found:
            strike("before", State.SEEN)
        records = record_blocks(self, deployment, found, last)
        if records:
            strike("after", State.SEEN)
        return records

    def deadly_apply(self, record, event, *change):
        reached = next_state(record.state, event)
        strike("before", reached)
        moved = apply(self, record, event, *change)
        strike("after", reached)
        return moved

    Store.record_blocks, Store.apply = deadly_record_blocks, deadly_apply


async def live(deployment_file: Path, home: Path, start_block: int) -> None:
    deployment = deployments.read(deployment_file)
    settings = Settings(
        home=home,
        keystore=Path(deployment.operator_keystore),
        tangle=deployment.tangle,
        blueprint_id=deployment.blueprint_id,
        chain_id=deployment.chain_id,
        start_block=start_block,
        poll_seconds=0.05,
        retry_seconds=0.05,
    )
    secrets = Secrets(rpc_url=deployment.rpc_url, keystore_password=deployment.operator_password)
    async with await Engine.open() as engine, open_node(settings, secrets, engine) as node:
        operator = asyncio.create_task(node.operator().run())
        resting = asyncio.create_task(until_at_rest(node.store))
        await asyncio.wait({operator, resting}, return_when=asyncio.FIRST_COMPLETED)
        for task in (resting, operator):
            task.cancel()
        await asyncio.gather(resting, operator, return_exceptions=True)
        if not resting.cancelled():
            resting.result()


async def until_at_rest(store: Store) -> None:
    while True:
        counts = store.count_by_state()
        if counts and set(counts) <= RESTING:
            return
        await asyncio.sleep(0.05)


def main() -> None:
    deployment_file, home, start_block, state, when = sys.argv[1:]
    configure_logging(sys.stderr)
    if when != "never":
        crash_at(State(state), when)
    asyncio.run(live(Path(deployment_file), Path(home), int(start_block)))


if __name__ == "__main__":
    main()
