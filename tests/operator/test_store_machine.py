"""The store under any sequence of events, restarts and outdated writers, held against a model of it."""

from __future__ import annotations

import tempfile

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from faas_blueprint.digests import sha256
from faas_blueprint.outcome import Outcome, Status, Stream
from faas_blueprint.receipt import Address, CallReference
from faas_microvm.execution import Execution
from faas_operator.chain.interface import Block, PostedResult, SubmittedJob
from faas_operator.job_record import Change, JobRecord
from faas_operator.pipeline import TRANSITIONS, Event, IllegalTransition, State
from faas_operator.store import StaleRecord, Store

CALLER = Address("0x" + "cd" * 20)
CALLS = st.integers(0, 5)


def job(call_id: int, block: Block) -> SubmittedJob:
    return SubmittedJob(CallReference(31337, CALLER, 1, call_id), 0, CALLER, b"in", block, "0xtx", None)


class JobLives(RuleBasedStateMachine):
    """What a job is in is what the table makes of all that happened to it, and nothing else is written."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.url = f"sqlite:///{self.folder.name}/store.sqlite"
        self.blocks = 0
        self.records: dict[int, JobRecord] = {}
        """The newest of each call, as the model has it."""
        self.outdated: list[JobRecord] = []

    @initialize()
    def start(self) -> None:
        self.store = Store.open(self.url)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
        self.folder.cleanup()

    @rule(call=CALLS)
    def submitted(self, call: int) -> None:
        """In a block of its own: new, or moved there by a reorganisation."""
        self.blocks += 1
        block = Block(self.blocks, hex(self.blocks))
        [record] = self.store.record_blocks("d", [job(call, block)], block)
        assert (record.state, record.submitted.block) == (State.SEEN, block)
        assert (record.attempts, record.waits) == (0, 0)
        assert (record.error, record.executed, record.signed, record.posted) == (None,) * 4
        self._moved(call, record)

    @precondition(lambda self: self.records)
    @rule(data=st.data())
    def said_again(self, data: st.DataObject) -> None:
        """By a second reading of the same block: what it changes is that a dropped job comes back."""
        call = data.draw(st.sampled_from(sorted(self.records)))
        known = self.records[call]
        found = self.store.record_blocks("d", [known.submitted], Block(self.blocks, hex(self.blocks)))
        assert [record.state for record in found] == ([State.SEEN] if known.state is State.DROPPED else [])
        for record in found:
            self._moved(call, record)

    @precondition(lambda self: self.records)
    @rule(data=st.data(), event=st.sampled_from(sorted(set(Event) - {Event.REINCLUDE})))
    def happens(self, data: st.DataObject, event: Event) -> None:
        call = data.draw(st.sampled_from(sorted(self.records)))
        known = self.records[call]
        if event not in TRANSITIONS[known.state]:
            with pytest.raises(IllegalTransition):
                self.store.apply(known, event)
            return
        moved = self.store.apply(known, event, self._change(event))
        assert moved.state is TRANSITIONS[known.state][event]
        assert moved.attempts == known.attempts + (event in (Event.LOSE, Event.GIVE_UP))
        assert moved.waits == known.waits + (event is Event.WAIT)
        self._moved(call, moved)

    @precondition(lambda self: self.outdated)
    @rule(data=st.data())
    def an_outdated_writer(self, data: st.DataObject) -> None:
        """Such as one that was taken for dead: whatever it wants, nothing comes of it."""
        record = data.draw(st.sampled_from(self.outdated))
        for event in TRANSITIONS[record.state]:
            with pytest.raises(StaleRecord):
                self.store.apply(record, event, self._change(event))

    @rule()
    def restarts(self) -> None:
        self.store.close()
        self.store = Store.open(self.url)

    @invariant()
    def it_says_what_happened(self) -> None:
        stored = {call: self.store.job_of_call(record.call) for call, record in self.records.items()}
        assert stored == self.records
        for state in State:
            numbers = sorted(record.number for record in self.records.values() if record.state is state)
            assert self.store.numbers_in({state}) == numbers
            assert self.store.count_by_state().get(state, 0) == len(numbers)

    def _moved(self, call: int, record: JobRecord) -> None:
        if call in self.records:
            self.outdated.append(self.records[call])
        self.records[call] = record

    def _change(self, event: Event) -> Change:
        match event:
            case Event.FINISH:
                outcome = Outcome(Status.EXITED, 0, 0, 77, Stream(b"out"), Stream(), sha256(b"root"))
                return Change(execution=Execution(outcome, sha256(b"profile"), sha256(b"snapshot"), 1.0))
            case Event.REJECT | Event.GIVE_UP:
                return Change(error="cannot be run")
            case Event.INCLUDE:
                return Change(posted=PostedResult("0xresult", Block(self.blocks, "0x")))
            case _:
                return Change()


TestJobLives = pytest.mark.slow(JobLives.TestCase)
TestJobLives.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
