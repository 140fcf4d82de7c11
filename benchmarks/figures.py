"""A measured figure, its median and p95, and the forms it is shown in."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. `p95` is None where there is a single value, or too few for a tail."""

    name: str
    """As in the JSON; ends with its unit."""
    meaning: str
    median: float
    p95: float | None = None
    values: tuple[float, ...] = ()
    """All of them, where there is a p95."""

    def named(self) -> dict[str, float]:
        """Its fields in the JSON: the bare name, or `_p50` and `_p95`."""
        if self.p95 is None:
            return {self.name: _rounded(self.median)}
        return {f"{self.name}_p50": _rounded(self.median), f"{self.name}_p95": _rounded(self.p95)}


def single(name: str, meaning: str, values: Sequence[float]) -> Figure:
    """The median of a few values."""
    return Figure(name, meaning, statistics.median(values))


def spread(name: str, meaning: str, values: Sequence[float]) -> Figure:
    """Median and p95 of many values."""
    return Figure(name, meaning, statistics.median(values), p95(values), tuple(values))


def p95(values: Sequence[float]) -> float:
    """The value that 95 of 100 stay below, interpolated between the nearest two."""
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=20, method="inclusive")[18]


def flat(figures: Iterable[Figure]) -> dict[str, float]:
    """All figures as one object."""
    return {name: value for figure in figures for name, value in figure.named().items()}


def table(title: str, figures: Iterable[Figure]) -> Table:
    """All figures for people."""
    shown = Table(title=title, title_justify="left", header_style="bold")
    shown.add_column("figure", no_wrap=True)
    shown.add_column("median", justify="right")
    shown.add_column("p95", justify="right")
    shown.add_column("what")
    for figure in figures:
        tail = "" if figure.p95 is None else f"{_rounded(figure.p95):g}"
        shown.add_row(figure.name, f"{_rounded(figure.median):g}", tail, figure.meaning)
    return shown


def _rounded(value: float) -> float:
    return round(value, 1 if value >= 10 else 3)
