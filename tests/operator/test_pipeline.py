"""The table itself: complete, connected, and drawn as it stands."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas_operator.pipeline import (
    ACTIONABLE,
    RESTING,
    TRANSITIONS,
    WAITING,
    Event,
    IllegalTransition,
    State,
    is_deep_enough,
    mermaid,
    next_state,
)

DIAGRAM = Path(__file__).parents[2] / "docs" / "pipeline.md"


def walk(events: list[Event]) -> list[State]:
    """The states that a job goes through; events that cannot happen are skipped."""
    states = [State.SEEN]
    for event in events:
        if event in TRANSITIONS[states[-1]] or event is Event.REINCLUDE:
            states.append(next_state(states[-1], event))
    return states


def reachable(start: State) -> set[State]:
    found, edge = {start}, [start]
    while edge:
        new = set(TRANSITIONS[edge.pop()].values()) - found
        found |= new
        edge += new
    return found


def test_every_state_has_a_row_and_is_reached():
    assert set(TRANSITIONS) == set(State) == reachable(State.SEEN)


def test_every_state_is_acted_on_waited_for_or_at_rest():
    assert set(State) == ACTIONABLE | WAITING | RESTING
    assert not ACTIONABLE & WAITING
    assert not (ACTIONABLE | WAITING) & RESTING
    assert {state for state in State if not TRANSITIONS[state]} == RESTING


def test_every_event_is_used():
    used = {event for events in TRANSITIONS.values() for event in events}
    assert used == set(Event) - {Event.REINCLUDE}


@pytest.mark.parametrize("state", sorted(set(State) - RESTING))
def test_an_end_can_be_reached_from_everywhere(state):
    assert reachable(state) & RESTING


def test_the_way_of_a_job_that_goes_well():
    events = [
        Event.CONFIRM, Event.ACCEPT, Event.START, Event.FINISH, Event.SIGN, Event.INCLUDE, Event.FINALISE
    ]  # fmt: skip
    assert walk(events) == [
        State.SEEN, State.CONFIRMED, State.ACCEPTED, State.RUNNING, State.EXECUTED, State.POSTING,
        State.POSTED, State.FINAL,
    ]  # fmt: skip


@given(st.lists(st.sampled_from(Event), max_size=60))
def test_nothing_is_posted_unsigned_nor_signed_without_an_outcome(events):
    states = walk(events)
    for before, after in pairwise(states):
        if after is State.POSTED:
            assert before in {State.POSTING, State.POSTED}
        if after is State.POSTING:
            assert before in {State.EXECUTED, State.FAILED, State.POSTED}
        if after is State.RUNNING:
            assert before is State.ACCEPTED
        if before in {State.FINAL, State.ABANDONED, State.DROPPED}:
            assert after is State.SEEN


@given(st.sampled_from(State), st.sampled_from(Event))
def test_what_is_not_in_the_table_is_refused(state, event):
    if event is Event.REINCLUDE:
        assert next_state(state, event) is State.SEEN
    elif event in TRANSITIONS[state]:
        assert next_state(state, event) is TRANSITIONS[state][event]
    else:
        with pytest.raises(IllegalTransition):
            next_state(state, event)


@pytest.mark.parametrize(
    ("block", "head", "confirmations", "enough"),
    [(5, 5, 1, True), (5, 5, 2, False), (5, 6, 2, True), (5, 4, 1, False), (5, 16, 12, True)],
)
def test_a_block_is_its_own_first_confirmation(block, head, confirmations, enough):
    assert is_deep_enough(block, head, confirmations) is enough


def test_the_diagram_in_the_docs_is_the_table():
    assert f"```mermaid\n{mermaid()}```" in DIAGRAM.read_text()
