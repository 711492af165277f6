"""What every benchmark has in common: its options, its table, its JSON, its exit status."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One figure. Without a goal it is reported, and holds."""

    name: str
    value: float
    unit: str
    goal: str = ""
    holds: bool = True


class WrongAnswer(Exception):  # noqa: N818 - what it is
    """A fast wrong answer is no result."""


def at_most(name: str, value: float, unit: str, most: float) -> Row:
    """A figure that is to be small."""
    return Row(name, value, unit, f"<= {most:g}", value <= most)


@contextmanager
def timed(into: list[float]) -> Iterator[None]:
    """Append the seconds that the block takes."""
    began = time.perf_counter()
    yield
    into.append(time.perf_counter() - began)


def paired(
    ours: Callable[[], float], raw: Callable[[], float], times: int, *, warm: int = 1
) -> tuple[float, float, float]:
    """Median seconds of ours, of the peer, and of their ratio; in alternating order, for a machine that is not idle.

    The first ``warm`` pairs do not count: a Java engine compiles what it runs often, for whoever comes first.
    """
    pairs = []
    for turn in range(warm + times):
        first, second = (ours, raw) if turn % 2 == 0 else (raw, ours)
        one, two = first(), second()
        pairs.append((one, two) if turn % 2 == 0 else (two, one))
    counted = pairs[warm:]
    return median(a for a, _ in counted), median(b for _, b in counted), median(a / b for a, b in counted)


def run(name: str, measure: Callable[[bool], list[Row]]) -> int:
    """Parse the options, measure, print the table, write the JSON; 1 when a goal does not hold."""
    parser = argparse.ArgumentParser(description=name)
    parser.add_argument("--quick", action="store_true", help="smaller counts, under a minute")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args()
    rows = measure(options.quick)
    table = Table("figure", "value", "unit", "goal", "holds", title=name)
    for row in rows:
        table.add_row(
            row.name,
            f"{row.value:,.3g}" if row.value < 1000 else f"{row.value:,.0f}",
            row.unit,
            row.goal,
            "yes" if row.holds else "NO",
        )
    Console(width=110).print(table)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return 0 if all(row.holds for row in rows) else 1
