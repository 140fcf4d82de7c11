"""The devnet's operator for tests: its commands, blueprints of other prices, requests for its services."""

from __future__ import annotations

import asyncio
import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from faas_blueprint import tlv
from faas_blueprint.definition import Membership, Pricing, faas_blueprint_definition
from faas_blueprint.digests import sha256
from faas_blueprint.receipt import ZERO_ADDRESS
from faas_blueprint.tangle import epoch_0_10, protocol
from faas_blueprint.tangle.definition_tuple import tail_values
from faas_blueprint.tangle.probe import EPOCHS
from faas_operator import keystore
from faas_operator.registration import Registration


@functools.cache
def _server() -> subprocess.Popen[str]:
    """Of the whole session."""
    command = [sys.executable, str(Path(__file__).with_name("command_server.py"))]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(server.communicate, timeout=20)  # its stdin ends, and it with that
    return server


_turn = threading.Lock()


def _run(arguments: tuple[str, ...], environment: dict[str, str]) -> tuple[int, str]:
    """Exit code and what was printed; one after the other."""
    with _turn, tempfile.NamedTemporaryFile("r") as output:
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        asked = {"arguments": arguments, "environment": environment, "output": output.name}
        print(json.dumps(asked), file=server.stdin, flush=True)
        code = int(server.stdout.readline())
        return code, output.read()


class Commands:
    """Commands against one chain; their store and settings are in `home`."""

    def __init__(self, chain, home: Path, keystore: str | None = None, **settings: str) -> None:
        deployment = chain.deployment
        self._deployment = deployment
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FAAS_")},
            "FAAS_HOME": str(home),
            "FAAS_KEYSTORE": keystore or deployment.operator_keystore,
            "FAAS_KEYSTORE_PASSWORD": deployment.operator_password,
            "FAAS_RPC_URL": deployment.rpc_url,
            "FAAS_TANGLE": deployment.tangle,
            "FAAS_STAKING": deployment.staking,
            **settings,
        }

    async def __call__(self, *arguments: str, blueprint: int | None = None) -> tuple[int, str]:
        """Exit code and what was printed."""
        blueprint_id = self._deployment.blueprint_id if blueprint is None else blueprint
        environment = self._environment | {"FAAS_BLUEPRINT_ID": str(blueprint_id)}
        running = asyncio.to_thread(_run, ("operator", *arguments), environment)
        return await asyncio.wait_for(running, 120)

    async def json(self, *arguments: str, blueprint: int | None = None) -> dict[str, Any]:
        """What a command that goes well says with --json."""
        code, output = await self(*arguments, "--json", blueprint=blueprint)
        assert code == 0, output
        found: dict[str, Any] = json.loads(output.splitlines()[-1])
        return found

    async def refused(self, *arguments: str, blueprint: int | None = None) -> dict[str, Any]:
        """The error of one that does not."""
        code, output = await self(*arguments, "--json", blueprint=blueprint)
        assert code == 1, output
        found: dict[str, Any] = json.loads(output.splitlines()[-1])["error"]
        return found


async def ask(chain, *, blueprint_id=None, operators=None, ttl=0, token=ZERO_ADDRESS, amount=0, tee=0) -> int:
    """A request for a service by the customer; its id."""
    deployment = chain.deployment
    place = deployment.blueprint_id if blueprint_id is None else blueprint_id
    names = operators or (deployment.operator,)
    call = protocol.REQUEST_SERVICE.encode(place, names, b"", (), ttl, token, amount, tee)
    sent = await chain.send(call, amount if token == ZERO_ADDRESS else 0)
    return int(protocol.SERVICE_REQUESTED.find(sent.logs)[0])


async def new_blueprint(chain, pricing: Pricing, *, rate: int = 0, interval: int = 0, by_job: int = 0) -> int:
    """A blueprint without a manager for which the devnet's operator is registered."""
    deployment = chain.deployment
    definition = faas_blueprint_definition(by_job)
    tail = list(tail_values(definition, ZERO_ADDRESS, sha256(b"software")))
    tail[3] = (int(Membership.DYNAMIC), int(pricing), 1, 0, rate, interval, by_job)
    tail[5] = (("execute", "", "", tlv.encode_schema(()), tlv.encode_schema(())),) * 6
    call = epoch_0_10.CREATE_BLUEPRINT.encode((definition.metadata_uri, *tail))
    created = await chain.send(call, account=chain.account(deployment.owner_key))
    blueprint_id = EPOCHS[deployment.epoch].created_blueprint(created.logs)
    await registration(chain).register(
        blueprint_id, keystore.public_key(chain.operator()), "http://127.0.0.1"
    )
    return blueprint_id


def registration(chain) -> Registration:
    deployment = chain.deployment
    sender = chain.sender(chain.operator())
    return Registration(chain.rpc, sender, EPOCHS[deployment.epoch], deployment.tangle, deployment.staking)
