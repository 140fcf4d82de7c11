"""What things cost: a price table, and pure functions that anyone can work out again.

Amounts are whole *nanocredits*, 1 credit = 1 000 000 000. A run pays for the processor time and the memory
that its own clock counted, never for how busy the host was, and once for the bytes that it gives back:

    compute = ⌈ virtual seconds × (processors × 24 000 + GiB of memory × 3 000) × mode's percent / 100 ⌉
    network = ⌈ (stdout + stderr + output files in GiB) × 90 000 000 ⌉

with the figures of table 1. Virtual time and output stand in the outcome, memory and processors in the job;
the receipt is signed over the hashes of both. The mode is what the caller asked for: the job says of it
whether the machine is kept, and no more. A GB is 2³⁰ bytes, a month 30 days. Balances are not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from faas_blueprint.errors import InvalidRequest
from faas_blueprint.job import Job, Mode
from faas_blueprint.outcome import MAX_OUTPUT_FILES_BYTES, OutcomeDigest

NANOCREDITS_PER_CREDIT = 1_000_000_000
GIB = 1 << 30
MONTH_SECONDS = 30 * 24 * 3600

GRACE_NS = 1_000_000_000
"""Beyond its time limit a machine may take so long to end a job and to gather its output."""

_NS_PER_SECOND = 1_000_000_000
_MIB_PER_GIB = 1024
_MILLICORES = 1000
_LARGEST = 1 << 40


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Nanocredits for each kind of use. A table that has been in force is never changed: the next one has
    another version."""

    version: int
    vcpu_second: int
    memory_gib_second: int
    storage_gib_month: int
    egress_gib: int
    ephemeral_percent: int
    cached_percent: int
    checkpointed_percent: int
    branched_percent: int
    persistent_percent: int

    def percent(self, mode: Mode) -> int:
        """What compute costs in a mode, in percent of the list."""
        return {
            Mode.EPHEMERAL: self.ephemeral_percent,
            Mode.CACHED: self.cached_percent,
            Mode.CHECKPOINTED: self.checkpointed_percent,
            Mode.BRANCHED: self.branched_percent,
            Mode.PERSISTENT: self.persistent_percent,
        }[mode]


PRICES = PriceTable(
    version=1,
    vcpu_second=24_000,
    memory_gib_second=3_000,
    storage_gib_month=100_000_000,
    egress_gib=90_000_000,
    ephemeral_percent=100,
    cached_percent=80,
    checkpointed_percent=120,
    branched_percent=150,
    persistent_percent=200,
)
"""The platform's price list; the same for chain and API."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a run is charged for."""

    virtual_ns: int
    memory_mb: int
    cpu_millicores: int
    egress_bytes: int

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 0:
                raise InvalidRequest(f"{field.name} cannot be negative", {"field": field.name})


@dataclass(frozen=True, slots=True)
class Reserved:
    """What a service may use over its time."""

    seconds: int
    machines: int
    """That run at once, each with a whole processor."""
    memory_mb: int
    """Of each machine."""
    storage_mb: int = 0
    """Of kept snapshots, at any time."""
    egress_mb: int = 0
    """Over the whole time."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The parts of a price in nanocredits, each rounded up once."""

    compute: int
    network: int

    @property
    def total(self) -> int:
        """All parts together."""
        return self.compute + self.network


NOTHING = Cost(0, 0)


def use_of(job: Job, outcome: OutcomeDigest) -> Use:
    """What a finished run used."""
    egress = outcome.stdout.size + outcome.stderr.size + outcome.files.size
    return Use(outcome.virtual_ns, job.limits.memory_mb, job.limits.cpu_millicores, egress)


def most_use_of(job: Job) -> Use:
    """What a run can use at the most, by its limits: what is held before it starts."""
    limits = job.limits
    virtual_ns = limits.timeout_ms * 1_000_000 + GRACE_NS
    egress = 2 * limits.output_bytes + min(MAX_OUTPUT_FILES_BYTES, limits.disk_mb << 20)
    return Use(virtual_ns, limits.memory_mb, limits.cpu_millicores, egress)


def execution_cost(table: PriceTable, mode: Mode, use: Use) -> Cost:
    """The price of one run."""
    rate = use.cpu_millicores * table.vcpu_second * _MIB_PER_GIB
    rate += _MILLICORES * use.memory_mb * table.memory_gib_second
    unit = _MILLICORES * _MIB_PER_GIB * _NS_PER_SECOND * 100
    return Cost(
        _ceiling(use.virtual_ns * rate * table.percent(mode), unit),
        _ceiling(use.egress_bytes * table.egress_gib, GIB),
    )


def reserved_cost(table: PriceTable, reserved: Reserved) -> int:
    """The price of a service whose jobs are free, in nanocredits: machines that run all the time in the
    dearest mode, storage that is full from the first second on, and all of the egress."""
    dearest = max(Mode, key=table.percent)
    machine = Use(reserved.seconds * _NS_PER_SECOND, reserved.memory_mb, _MILLICORES, 0)
    compute = reserved.machines * execution_cost(table, dearest, machine).compute
    egress = _ceiling((reserved.egress_mb << 20) * table.egress_gib, GIB)
    return compute + egress + storage_cost(table, (reserved.storage_mb << 20) * reserved.seconds)


def storage_cost(table: PriceTable, byte_seconds: int) -> int:
    """The price of kept bytes over time, in nanocredits."""
    return _ceiling(byte_seconds * table.storage_gib_month, GIB * MONTH_SECONDS)


def require_mode_of(job: Job, mode: Mode) -> None:
    """Raises InvalidRequest when a job cannot have been run in a mode."""
    if mode.keeps != job.keep:
        kept = "keeps" if job.keep else "does not keep"
        raise InvalidRequest(f"the job {kept} its machine, so its mode was not {mode}", {"field": "mode"})


def in_credits(nanocredits: int) -> float:
    """Nanocredits as the decimal number that an API shows."""
    return nanocredits / NANOCREDITS_PER_CREDIT


def price_table_to_json(table: PriceTable) -> dict[str, int]:
    """Every figure by its name."""
    return {field.name: getattr(table, field.name) for field in fields(table)}


def price_table_from_json(data: Mapping[str, object]) -> PriceTable:
    """The inverse of `price_table_to_json`. Raises InvalidRequest naming the field."""
    names = [field.name for field in fields(PriceTable)]
    unknown = sorted(set(data) - set(names))
    if unknown:
        raise InvalidRequest(f"a price table has no {unknown[0]!r}", {"field": unknown[0]})
    return PriceTable(**{name: _figure(name, data.get(name)) for name in names})


def _figure(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        raise InvalidRequest(
            f"price table: {name} must be a whole number from 0 to {_LARGEST}", {"field": name}
        )
    return value


def _ceiling(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
