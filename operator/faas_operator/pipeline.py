"""The life of a job call as a table: its states, what may happen in each, and where that leads.

Pure: no store, no chain, no engine. `store` keeps a job's state and applies this table before any
effect, `answering` and `watching` interpret the states, `service` runs them.
docs/pipeline.md holds the diagram that `mermaid` draws from the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from faas_blueprint.errors import FaaSError


class State(StrEnum):
    """Where a job call stands on this node; the comment says what is stored and what comes next."""

    SEEN = "seen"
    """In a block that may still be reorganised away; wait for confirmations."""
    DROPPED = "dropped"
    """Its block vanished before it was answered; nothing to do unless it comes back."""
    CONFIRMED = "confirmed"
    """Deep enough to act on; find out whether it is ours and can be run."""
    ACCEPTED = "accepted"
    """Ours and decodable; wait for a machine."""
    RUNNING = "running"
    """A machine was started for it; found so at a start, the node died meanwhile."""
    EXECUTED = "executed"
    """Its outcome is stored; make and sign the receipt."""
    FAILED = "failed"
    """It cannot be run and the error is stored as its outcome; make and sign the receipt."""
    POSTING = "posting"
    """The signed payload is stored and a transaction may be out; post it as it is."""
    POSTED = "posted"
    """The result is in a block that may still be reorganised away; wait for confirmations."""
    FINAL = "final"
    """The result is deep enough. The end."""
    ABANDONED = "abandoned"
    """There is nothing to post, and the reason is stored. The end."""


class Event(StrEnum):
    """What happens to a job call."""

    CONFIRM = "enough confirmations"
    VANISH = "block vanished"
    REINCLUDE = "submitted in another block"
    ACCEPT = "ours and decodable"
    REJECT = "cannot be decoded or run"
    FOREIGN = "not ours to answer"
    START = "machine started"
    FINISH = "outcome"
    INTERRUPT = "node stops cleanly"
    LOSE = "machine failed, tries left"
    WAIT = "an earlier call comes first"
    GIVE_UP = "machine failed, no tries left"
    SIGN = "receipt signed"
    INCLUDE = "result in a block"
    REFUSE = "chain refuses the result"
    FINALISE = "result confirmed"


TRANSITIONS: Mapping[State, Mapping[Event, State]] = {
    State.SEEN: {
        Event.CONFIRM: State.CONFIRMED,
        Event.VANISH: State.DROPPED,
    },
    State.DROPPED: {},
    State.CONFIRMED: {
        Event.ACCEPT: State.ACCEPTED,
        Event.REJECT: State.FAILED,
        Event.FOREIGN: State.ABANDONED,
    },
    State.ACCEPTED: {
        Event.START: State.RUNNING,
    },
    State.RUNNING: {
        Event.FINISH: State.EXECUTED,
        Event.REJECT: State.FAILED,
        Event.INTERRUPT: State.ACCEPTED,
        Event.WAIT: State.ACCEPTED,
        Event.LOSE: State.ACCEPTED,
        Event.GIVE_UP: State.FAILED,
    },
    State.EXECUTED: {
        Event.SIGN: State.POSTING,
    },
    State.FAILED: {
        Event.SIGN: State.POSTING,
    },
    State.POSTING: {
        Event.INCLUDE: State.POSTED,
        Event.REFUSE: State.ABANDONED,
        Event.VANISH: State.DROPPED,
    },
    State.POSTED: {
        Event.FINALISE: State.FINAL,
        Event.INCLUDE: State.POSTED,
        Event.VANISH: State.POSTING,
    },
    State.FINAL: {},
    State.ABANDONED: {},
}
"""What may happen in each state. `REINCLUDE` may happen in every state, and leads to `SEEN`."""

UNRUN = frozenset({State.SEEN, State.CONFIRMED, State.ACCEPTED, State.RUNNING})
"""States in which a job may still leave something behind."""

WAITING = frozenset({State.SEEN, State.POSTED})
"""States that only the passing of blocks ends."""

RESTING = frozenset({State.DROPPED, State.FINAL, State.ABANDONED})
"""States in which there is nothing to do."""

ACTIONABLE = frozenset(State) - WAITING - RESTING
"""States in which the node must act."""


class IllegalTransition(FaaSError):
    """Something happened that cannot happen in this state: a bug, never a caller's fault."""


def next_state(state: State, event: Event) -> State:
    """Where `event` leads from `state`. Raises IllegalTransition."""
    if event is Event.REINCLUDE:
        return State.SEEN
    try:
        return TRANSITIONS[state][event]
    except KeyError as error:
        raise IllegalTransition(f"{event.name} cannot happen to a job that is {state}") from error


def is_deep_enough(block_number: int, head_number: int, confirmations: int) -> bool:
    """Whether a block has its confirmations; the block itself is the first one."""
    return head_number - block_number + 1 >= confirmations


def mermaid() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> seen: submitted"]
    for state, events in TRANSITIONS.items():
        lines += [f"    {state} --> {target}: {event}" for event, target in events.items()]
    lines += [f"    {state} --> [*]" for state in State if state in RESTING]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(mermaid(), end="")
