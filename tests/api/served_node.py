"""A node without a chain, to be killed: `served_node.py DATABASE`. Prints its port once it listens.

Every account has one credit to begin with; `root` is an administrator's key."""

from __future__ import annotations

import asyncio
import sys
from contextlib import closing

from faas_api.app import create_app
from faas_api.serve import listen, serve
from faas_microvm.engine import Engine
from faas_operator.charging import Terms
from faas_operator.executions import ExecutionService
from faas_operator.settings import Secrets, Settings
from faas_operator.signer import Signer
from faas_operator.store import Store


async def tasks() -> int:
    """How many there are, for tests that look for what is left."""
    return len(asyncio.all_tasks())


async def main(database: str) -> None:
    terms = Terms(charged=True, starting_credit=10**9)
    with closing(Store.open(database, terms)) as store, closing(listen("127.0.0.1", 0)) as listener:
        async with (
            await Engine.open() as engine,
            ExecutionService(engine, Signer(b"\x01" * 32), store) as executions,
        ):
            app = create_app(
                executions, Settings(api_open_sign_in=True), Secrets.with_api_keys("alice", admin=["root"])
            )
            app.add_api_route("/tasks", tasks, include_in_schema=False)
            print(listener.getsockname()[1], flush=True)
            await serve(app, listener)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
