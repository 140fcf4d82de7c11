"""The API's description as OpenAPI, generated from the routes: `python -m faas_api.openapi`.

`scripts/openapi` writes it to `api/openapi.json`, which is committed; a test compares the two.
"""

from __future__ import annotations

import json
from contextlib import closing
from typing import cast

from faas_api.app import create_app
from faas_microvm.engine import Engine
from faas_operator.executions import ExecutionService
from faas_operator.settings import Secrets, Settings
from faas_operator.signer import Signer
from faas_operator.store import Store


def document() -> str:
    """The description, as JSON. Routes are built as for a node, but over no engine: nothing is asked."""
    with closing(Store.open("sqlite://")) as store:
        executions = ExecutionService(cast(Engine, None), Signer(b"\x01" * 32), store)
        app = create_app(executions, Settings(), Secrets.with_api_keys("none"))
        return json.dumps(app.openapi(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    print(document(), end="")
