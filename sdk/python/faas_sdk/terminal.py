"""How large an interactive run's terminal is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TerminalSize:
    """In characters, 1 to 1000 each."""

    cols: int = 80
    rows: int = 24

    def to_json(self) -> dict[str, int]:
        """As the API takes it."""
        return {"cols": self.cols, "rows": self.rows}
