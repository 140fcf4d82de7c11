"""Latency by percentile as an SVG picture: a line for each figure, the slow tail stretched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from benchmarks.figures import Figure

WIDTH, HEIGHT = 860, 460
LEFT, RIGHT, TOP, BOTTOM = 62, 200, 34, 52
PERCENTILES = (0, 25, 50, 75, 90, 95, 99)
COLOURS = (
    *("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd"),
    *("#8c564b", "#e377c2", "#17becf", "#7f7f7f"),
)
LABEL_GAP = 15
"""Pixels between the names at the lines' ends."""


def percentile_plot(figures: Sequence[Figure]) -> str:
    """The picture of figures that have values, in milliseconds."""
    top = max((value for figure in figures for value in figure.values), default=1.0)
    step = _round_step(top)
    scale = (HEIGHT - TOP - BOTTOM) / (math.ceil(top / step) * step)
    parts = [*_frame(top, step, scale), *_lines(figures, scale)]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
    background = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    return "\n".join([f'{head} font-size="12">', background, *parts, "</svg>"]) + "\n"


def _across(percentile: float) -> float:
    """The place of a percentile: equal steps for each halving of what is slower."""
    share = math.log2(100 / (100 - min(percentile, 99.0))) / math.log2(100)
    return LEFT + (WIDTH - LEFT - RIGHT) * share


def _down(milliseconds: float, scale: float) -> float:
    return HEIGHT - BOTTOM - milliseconds * scale


def _round_step(top: float) -> float:
    """A round distance between grid lines, for about six of them."""
    power = 10.0 ** math.floor(math.log10(top / 6))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor * 6 >= top)


def _frame(top: float, step: float, scale: float) -> list[str]:
    parts = [_text(LEFT, 18, "Latency by percentile, milliseconds", "start", "#000")]
    for number in range(math.ceil(top / step) + 1):
        height = _down(number * step, scale)
        parts.append(_line(LEFT, height, WIDTH - RIGHT, height, "#ddd"))
        parts.append(_text(LEFT - 8, height + 4, f"{number * step:g}", "end", "#444"))
    for percentile in PERCENTILES:
        place = _across(percentile)
        parts.append(_line(place, TOP, place, HEIGHT - BOTTOM, "#eee"))
        parts.append(_text(place, HEIGHT - BOTTOM + 18, f"p{percentile}", "middle", "#444"))
    return parts


def _lines(figures: Sequence[Figure], scale: float) -> list[str]:
    parts = []
    ends = []
    for figure, colour in zip(figures, COLOURS, strict=False):
        values = sorted(figure.values)
        shares = [100 * number / max(1, len(values) - 1) for number in range(len(values))]
        points = [
            f"{_across(share):.1f},{_down(value, scale):.1f}"
            for share, value in zip(shares, values, strict=True)
            if share <= PERCENTILES[-1]
        ]
        parts.append(
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        ends.append((float(points[-1].split(",")[1]), figure.name.removesuffix("_ms"), colour))
    lowest: float = HEIGHT - BOTTOM + LABEL_GAP
    for height, name, colour in sorted(ends, reverse=True):
        lowest = min(height, lowest - LABEL_GAP)
        parts.append(_text(WIDTH - RIGHT + 8, lowest + 4, name, "start", colour))
    return parts


def _line(left: float, top: float, right: float, bottom: float, colour: str) -> str:
    return f'<line x1="{left:.1f}" y1="{top:.1f}" x2="{right:.1f}" y2="{bottom:.1f}" stroke="{colour}"/>'


def _text(left: float, top: float, words: str, anchor: str, colour: str) -> str:
    place = f'x="{left:.1f}" y="{top:.1f}"'
    return f'<text {place} text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'
