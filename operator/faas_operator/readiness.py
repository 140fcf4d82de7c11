"""Whether a node can do its work now. That it is alive shows in its answering at all."""

from __future__ import annotations

import asyncio

from sqlalchemy.exc import SQLAlchemyError

from faas_blueprint.errors import DatabaseUnavailable
from faas_operator.executions import ExecutionService
from faas_operator.service import Operator

PATIENCE_SECONDS = 5.0
"""For the database's answer."""


async def reasons_against(executions: ExecutionService, operator: Operator | None) -> list[str]:
    """Why the node is not ready, a sentence each; none when it is. `operator`: None without a chain."""
    reasons = []
    if executions.stopping or (operator is not None and operator.stopping):
        reasons.append("the node is stopping")
    if operator is not None and not operator.stands_by and not operator.follows:
        reasons.append("the chain is not followed: no look at it has succeeded lately")
    if not executions.engine.warm:
        reasons.append("no machine is up: the engine is not warm")
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.to_thread(executions.store.count_by_state)
    except (SQLAlchemyError, DatabaseUnavailable, TimeoutError):
        reasons.append("the database does not answer")
    return reasons
