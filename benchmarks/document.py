"""Figures of benchmarks as pages: ``python -m benchmarks.document NAME.json ... --out docs/benchmarks``.

Of each file that a benchmark wrote with ``--json`` a table, and of the neuron engine a picture.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import psutil

_ASKED = re.compile(r"(\w+), (\d+) (random|most active) units, ([\d,]+) images: (run again|NTA's)")
_OURS, _THEIRS = "#2166ac", "#d95f02"


def main() -> int:
    """Write the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="what benchmarks wrote with --json")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"), help="the folder of the pages")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for file in options.files:
        rows = json.loads(file.read_text())
        picture = options.out / f"{file.stem}.png"
        drawn = file.stem == "neurons" and draw_neurons(rows, picture)
        (options.out / f"{file.stem}.md").write_text(page(file.stem, rows, picture.name if drawn else None))
    return 0


def page(name: str, rows: Sequence[dict[str, Any]], picture: str | None) -> str:
    """A table in Markdown, with the machine that it was measured on."""
    memory = psutil.virtual_memory().total / 2**30
    machine = f"{psutil.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"
    lines = [f"# benchmarks/{name}.py", "", f"Written by `python -m benchmarks.document`, measured on {machine}.", ""]
    lines += [f"![{name}]({picture})", ""] if picture else []
    lines += ["| figure | value | unit | goal | holds |", "|---|---:|---|---|---|"]
    for row in rows:
        value = f"{row['value']:,.3g}" if abs(row["value"]) < 1000 else f"{row['value']:,.0f}"
        holds = ("yes" if row["holds"] else "**no**") if row["goal"] else ""
        lines.append(f"| {row['name']} | {value} | {row['unit']} | {row['goal']} | {holds} |")
    return "\n".join(lines) + "\n"


def draw_neurons(rows: Sequence[dict[str, Any]], file: Path) -> bool:
    """Images that the model is run on again, ours beside NTA's, by the size of the group; False if there are none."""
    found: dict[tuple[str, str], dict[int, dict[str, float]]] = {}
    most = 0
    for row in rows:
        if (match := _ASKED.fullmatch(row["name"])) is not None:
            job, size, kind, images, whose = match.groups()
            most = max(most, int(images.replace(",", "")))
            if int(images.replace(",", "")) == most:
                found.setdefault((job, kind), {}).setdefault(int(size), {})[whose] = row["value"]
    if not found:
        return False
    figure, axes = plt.subplots(1, len(found), figsize=(3.2 * len(found), 3.4), sharey=True, constrained_layout=True)
    for axis, ((job, kind), sizes) in zip(list(axes) if len(found) > 1 else [axes], sorted(found.items()), strict=True):
        places = range(len(sizes))
        for shift, whose, colour in ((-0.2, "run again", _OURS), (0.2, "NTA's", _THEIRS)):
            heights = [max(1.0, sizes[size].get(whose, 0.0)) for size in sorted(sizes)]
            bars = axis.bar([place + shift for place in places], heights, 0.38, color=colour)
            axis.bar_label(bars, [f"{height:,.0f}" for height in heights], fontsize=7)
        axis.set_xticks(list(places), [str(size) for size in sorted(sizes)])
        axis.set_title(f"{job}, {kind} units", fontsize=10)
        axis.set_xlabel("units of the group")
        axis.set_yscale("log")
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in (_OURS, _THEIRS)]
    figure.axes[0].set_ylabel(f"images run again, of {most:,}")
    figure.axes[0].legend(handles, ["odin_graph", "DeepEverest's NTA, same bytes"], fontsize=8, loc="upper left")
    for axis in figure.axes:
        axis.set_ylim(top=most * 8)
    figure.savefig(file, dpi=130)
    plt.close(figure)
    return True


if __name__ == "__main__":
    raise SystemExit(main())
