"""Figures of benchmarks as pages: ``python -m benchmarks.document NAME.json ... --out docs/benchmarks``.

Of each file that a benchmark wrote with ``--json`` a table, and of the neuron engine pictures and what its codecs take.
"""

from __future__ import annotations

import argparse
import ast
import json
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib.pyplot as plt
import psutil
from matplotlib.axes import Axes
from matplotlib.patches import Patch

_ASKED = re.compile(r"(.+), (\w+), (\d+) (random|most active) units, ([\d,]+) images: (run again|NTA's)")
_TOOK = re.compile(r"(.+), 10 units x ([\d,]+) images: (.+)")
_CODEC = re.compile(r"(.+): (?:(u8|f16|f32) on disk|entropy of (u8|f16|f32))")
_OURS, _THEIRS, _PEERS = "#2166ac", "#d95f02", "#8c8c8c"
_JOBS: Final = {"FireMax": "highest mean (FireMax)", "SimTop": "nearest (SimTop)"}
_WAYS: Final = {
    "everything run again": ("everything run again", _PEERS),
    "NTA": ("DeepEverest's NTA", _THEIRS),
    "NumPy on all values in memory": ("NumPy, all values in memory", _PEERS),
    "codes, and the model for the rest": ("codes, the model for the rest", _OURS),
    "values, from TileDB": ("values, from TileDB", _OURS),
    "and gives its first answer from the cache": ("values, a new process's first", _OURS),
    "values, from the cache": ("values, from the cache", _OURS),
}
"""What is timed, by how the name of its row begins: how the picture calls it, and its color."""

Rows = Sequence[dict[str, Any]]


def main() -> int:
    """Write the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="what benchmarks wrote with --json")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"), help="the folder of the pages")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for file in options.files:
        rows, name = json.loads(file.read_text()), file.stem
        extra = neurons(rows, options.out, name) if name == "neurons" else []
        (options.out / f"{name}.md").write_text(page(name, rows, extra))
    return 0


def page(name: str, rows: Rows, extra: Sequence[str]) -> str:
    """A table in Markdown, with the machine that it was measured on."""
    memory = psutil.virtual_memory().total / 2**30
    machine = f"{psutil.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"
    lines = [f"# benchmarks/{name}.py", "", f"Written by `python -m benchmarks.document`, measured on {machine}.", ""]
    lines += [*told(name), *extra, *(["## All figures", ""] if extra else [])]
    lines += ["| figure | value | unit | goal | holds |", "|---|---:|---|---|---|"]
    for row in rows:
        holds = ("yes" if row["holds"] else "**no**") if row["goal"] else ""
        lines.append(f"| {row['name']} | {said(row['value'])} | {row['unit']} | {row['goal']} | {holds} |")
    return "\n".join(lines) + "\n"


def told(name: str) -> list[str]:
    """What a module of benchmarks says of itself."""
    file = Path(__file__).with_name(f"{name}.py")
    words = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) if file.exists() else None
    return [words, ""] if words else []


def said(value: float) -> str:
    """A number to three digits."""
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def neurons(rows: Rows, folder: Path, name: str) -> list[str]:
    """Pictures of the neuron engine, and the table of its codecs, in Markdown."""
    lines = told("neuron_models")
    for draw, file, title in (
        (draw_asked, f"{name}.png", "Images that the model is run on again"),
        (draw_took, f"{name}-time.png", "How long the 20 highest means of 10 units take"),
    ):
        if draw(rows, folder / file):
            lines += [f"## {title}", "", f"![{title}]({file})", ""]
    return lines + codecs(rows)


def codecs(rows: Rows) -> list[str]:
    """What each codec takes beside its entropy: that of its bytes, each coded alone by how often a unit says it."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        if (match := _CODEC.fullmatch(row["name"])) is not None:
            model, stored, entropy = match.groups()
            held = found.setdefault((model, stored or entropy), {})
            held["stored" if stored else "entropy"] = row["value"]
    if not found:
        return []
    lines = ["## Bytes by codec", "", "| layer | codec | on disk, of f32 | entropy of its bytes, of f32 |"]
    lines.append("|---|---|---:|---:|")
    for (model, codec), held in found.items():
        lines.append(f"| {model} | `{codec}` | {held['stored']:.1f} % | {held['entropy']:.1f} % |")
    return [*lines, ""]


def draw_asked(rows: Rows, file: Path) -> bool:
    """Images that the model is run on again, ours beside NTA's, by the size of the group; False if there are none.

    A row of panels for each model, over as many images as it was asked about at most.
    """
    found: dict[str, dict[int, dict[tuple[str, str], dict[int, dict[str, float]]]]] = {}
    for row in rows:
        if (match := _ASKED.fullmatch(row["name"])) is not None:
            model, job, size, kind, images, whose = match.groups()
            panels = found.setdefault(model, {}).setdefault(int(images.replace(",", "")), {})
            panels.setdefault((job, kind), {}).setdefault(int(size), {})[whose] = row["value"]
    if not found:
        return False
    wide = max(len(panels[max(panels)]) for panels in found.values())
    figure, axes = plt.subplots(
        len(found), wide, figsize=(3.2 * wide, 3.0 * len(found)), sharey="row", squeeze=False, constrained_layout=True
    )
    for line, (model, by_images) in zip(axes, found.items(), strict=True):
        most = max(by_images)
        for axis, (panel, sizes) in zip(line, sorted(by_images[most].items()), strict=False):
            _bars(axis, panel, sizes)
        line[0].set_ylabel(f"{model}\nimages run again, of {most:,}")
        line[0].set_ylim(0.6, most * 3)
    for axis in axes[-1]:
        axis.set_xlabel("units of the group")
    handles = [Patch(color=color) for color in (_OURS, _THEIRS)]
    labels = ["odin_graph, by codes", "DeepEverest's NTA, its index of the same bytes"]
    figure.legend(handles, labels, ncols=2, frameon=False, loc="outside upper center")
    figure.savefig(file, dpi=130)
    plt.close(figure)
    return True


def _bars(axis: Axes, panel: tuple[str, str], sizes: dict[int, dict[str, float]]) -> None:
    places = range(len(sizes))
    for shift, whose, color in ((-0.2, "run again", _OURS), (0.2, "NTA's", _THEIRS)):
        values = [sizes[size].get(whose, 0.0) for size in sorted(sizes)]
        bars = axis.bar([place + shift for place in places], [max(0.7, each) for each in values], 0.38, color=color)
        axis.bar_label(bars, [f"{each:,.0f}" for each in values], fontsize=7, padding=1)
    axis.set_xticks(list(places), [str(size) for size in sorted(sizes)])
    axis.set_title(f"{_JOBS.get(panel[0], panel[0])}, {panel[1]} units", fontsize=10)
    axis.set_yscale("log")
    axis.spines[["top", "right"]].set_visible(False)


def draw_took(rows: Rows, file: Path) -> bool:
    """Milliseconds of a question by each way to answer it; False if there are none."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        if (match := _TOOK.fullmatch(row["name"])) is not None:
            for way in _WAYS:
                if match[3].startswith(way):
                    found.setdefault(f"{match[1]}, {match[2]} images", {})[way] = row["value"]
    if not found:
        return False
    figure, axes = plt.subplots(
        1, len(found), figsize=(5.6 * len(found), 3.0), sharey=True, squeeze=False, constrained_layout=True
    )
    for axis, (title, took) in zip(axes[0], found.items(), strict=True):
        ways = [way for way in _WAYS if way in took][::-1]
        colors = [_WAYS[way][1] for way in ways]
        bars = axis.barh([_WAYS[way][0] for way in ways], [took[way] for way in ways], color=colors)
        axis.bar_label(bars, [f"{said(took[way])} ms" for way in ways], fontsize=8, padding=2)
        axis.set_xscale("log")
        axis.set_xlim(right=max(took.values()) * 12)
        axis.set_xlabel("milliseconds")
        axis.set_title(title, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=130)
    plt.close(figure)
    return True


if __name__ == "__main__":
    raise SystemExit(main())
