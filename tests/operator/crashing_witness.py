"""A court that kills itself, with SIGKILL, when it hands its first transaction to the chain.

    crashing_witness.py RPC TANGLE BLUEPRINT SERVICE CHAIN START_BLOCK KEY DATABASE PEER...

A test's own entry point. What it has signed is in the database by then; it runs nothing again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import closing

from eth_account import Account

from faas_blueprint.receipt import address
from faas_operator import refuting
from faas_operator.chain.court import CourtChain
from faas_operator.chain.evm import EvmAdapter
from faas_operator.court import Court
from faas_operator.legs import Retraced
from faas_operator.node import deployment_name
from faas_operator.refuting import Refuter
from faas_operator.settings import Settings
from faas_operator.signer import Signer
from faas_operator.store import Store


class KilledChain(CourtChain):
    """Dies rather than send."""

    async def send(self, data: bytes) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("it is dead")


async def run_again(*_: object) -> Retraced:
    raise AssertionError("it has been run again before")


async def main(rpc, tangle, blueprint, service, chain_id, start, key, database, *peers) -> None:
    refuting.TURN_SECONDS = 0
    account = Account.from_key(key)
    settings = Settings(
        tangle=address(tangle), chain_id=int(chain_id), blueprint_id=int(blueprint), service_id=int(service),
        start_block=int(start), blob_peers=peers,
    )  # fmt: skip
    async with await EvmAdapter.connect(
        rpc, address(tangle), int(blueprint), account, chain_id=int(chain_id), service_id=int(service)
    ) as adapter:
        with closing(Store.open(database)) as store:
            chain = KilledChain(adapter)
            signer = Signer.from_account(account)
            refuter = Refuter(chain, store, signer, run_again, settings, time.time)
            name = deployment_name(adapter.chain_id, adapter.tangle, adapter.blueprint_id)
            await Court(chain, store, store.docket(name), refuter, settings, time.time).once()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
