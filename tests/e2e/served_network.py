"""A node with its chain, for clients: `served_network.py BLUEPRINT`. Ends when its standard input does.

The chain gets so many blueprints that ours has the given number. Prints a JSON object once all of it runs.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from eth_account import Account

from faas_api.app import create_app
from faas_api.serve import listen, serve
from faas_blueprint.definition import faas_blueprint_definition
from faas_blueprint.receipt import ZERO_ADDRESS
from faas_cli.running import in_background, running_node, unless_ended
from faas_microvm.engine import Engine, EngineSettings
from faas_microvm.home import default_home
from faas_operator.chain.epochs import probe_epoch
from faas_operator.chain.rpc import Rpc
from faas_operator.chain.sender import TransactionSender
from faas_operator.devnet.deployment import Deployment
from faas_operator.devnet.devnet import Devnet
from faas_operator.devnet.fixture import PINNED_SHA256, load_fixture, pinned_fixture
from faas_operator.devnet.provision import Contracts, provision, software_digest
from faas_operator.settings import Secrets

API_KEYS = ("key-of-one-account", "key-of-another")


async def deployment_of(first: Deployment, blueprint_id: int, folder: Path) -> Deployment:
    """Our blueprint, its operator and a service a second time, under that number."""
    definition = faas_blueprint_definition()
    fixture = load_fixture(pinned_fixture(default_home()), PINNED_SHA256)
    contracts = Contracts.load()
    async with Rpc(first.rpc_url, timeout=60, attempts=2) as rpc:
        epoch = await probe_epoch(rpc, first.tangle)
        small = replace(definition, jobs=definition.jobs[:1])  # another's: twelve jobs take the chain longer
        call = epoch.create_blueprint(small, ZERO_ADDRESS, software_digest(small))
        owner = TransactionSender(rpc, Account.from_key(first.owner_key), first.chain_id)
        for _ in range(first.blueprint_id + 1, blueprint_id):
            await owner.send(first.tangle, call)  # one at a time: anvil forgets what did not fit into a block
        return await provision(rpc, fixture, contracts, definition, folder / "operator.json", lambda _: None)


async def main(blueprint_id: int) -> None:
    with tempfile.TemporaryDirectory(prefix="faas-") as folder, listen("127.0.0.1", 0) as listener:
        async with (
            await Engine.open(settings=EngineSettings(store=folder)) as engine,
            Devnet(default_home()) as first,
        ):
            deployment = await deployment_of(first, blueprint_id, Path(folder))
            assert deployment.blueprint_id == blueprint_id, deployment
            async with running_node(deployment, engine) as node, node.executions() as executions:
                settings = node.settings.model_copy(update={"requests_per_minute": 10_000})
                app = create_app(executions, settings, Secrets.with_api_keys(*API_KEYS))
                async with (
                    in_background(node.operator().run()) as operator,
                    in_background(serve(app, listener, settings.api_message_bytes)) as api,
                ):
                    endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
                    facts = {**asdict(deployment), "endpoint": endpoint, "api_keys": API_KEYS}
                    print(json.dumps(facts), flush=True)
                    await unless_ended(asyncio.to_thread(sys.stdin.read), operator, api)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
