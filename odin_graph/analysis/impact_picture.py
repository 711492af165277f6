"""Impact, drawn: a column a kind, causes to the left of their effects."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from odin_graph.picture import INK, Picture, fonts

if TYPE_CHECKING:
    from odin_graph.analysis.impact import Impact

JUDGED: Final = "test"
"""The role in which a data set judges an experiment and teaches it nothing."""

Node: TypeAlias = tuple[str, str]
"""Kind and id."""

MOST: Final = 50
"""Boxes: the largest kinds are drawn as one box each until there are no more."""
_LETTERS: Final = 26
_WIDE, _HIGH = 2.15, 0.34
"""Inches of a box."""
_APART: Final = 1.05
"""Inches between columns, where the arrows run."""
_CLEAR: Final = 0.06
"""Inches beside a column at which an arrow is level."""
_SIDE_BY_SIDE: Final = 0.035
"""Inches between arrows of one lane."""
_COLORS: Final = {
    "image": "#b2182b",
    "derived image": "#ef8a62",
    "data set": "#2166ac",
    "experiment": "#5e3c99",
    "checkpoint": "#1b7837",
    "prediction set": "#8c510a",
}
_OF_PACKAGES: Final = "#35978f"
"""Of kinds that packages add."""
_STYLES: Final[dict[str, dict[str, Any]]] = {
    "": {"color": "#999999"},
    "learned": {"color": "#b2182b"},
    JUDGED: {"color": "#2166ac", "linestyle": "--"},
    "informed": {"color": "#5e3c99", "linestyle": ":"},
}
"""The styles of arrows; dashes and dots tell them apart without color."""
_LEGEND: Final = {"learned": "learned from", JUDGED: "evaluated on (test)", "informed": "informed by"}


@dataclass(frozen=True)
class _Box:
    kind: str
    text: str
    ids: frozenset[str]


def draw(impact: Impact) -> Picture:
    """Draw an impact; a kind that is drawn as one box says how many it stands for."""
    from matplotlib.figure import Figure

    columns = _columns(impact)
    boxes = {(kind, id_): box for kind, column in columns.items() for box in column for id_ in box.ids}
    arrows = _arrows(impact, boxes)
    placed = _placed(columns, arrows)
    rows = max(map(len, columns.values()))
    wide = len(columns) * _WIDE + (len(columns) - 1) * _APART + 0.4
    high = rows * (_HIGH + 0.18) + 1.35
    figure = Figure(figsize=(wide, high), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, wide), ylim=(0, high))
    axes.set_axis_off()
    words: dict[str, Any] = {"color": INK, "family": fonts(), "parse_math": False}
    counts = ", ".join(f"{number:,} {kind}" for kind, number in impact.counts.items() if number)
    axes.text(0.2, high - 0.18, f"To be redone if wrong: {counts}", fontsize=11, weight="bold", va="top", **words)
    for place, kind in enumerate(columns):
        axes.text(0.2 + place * (_WIDE + _APART), high - 0.6, _headed(impact, kind), fontsize=9, va="top", **words)
    _legend(axes, {_meaning(role) for role in arrows.values()})
    lanes = _Lanes(placed.values())
    for (cause, effect), role in arrows.items():
        _arrow(axes, placed[cause], placed[effect], high, role, lanes)
    for box, (x, y) in placed.items():
        _draw_box(axes, box, x, high - y)
    return Picture(figure)


def _columns(impact: Impact) -> dict[str, list[_Box]]:
    kinds = {
        "image": impact.images,
        "derived image": impact.derived,
        "data set": tuple(impact.datasets),
        "experiment": tuple(impact.experiments),
        "checkpoint": impact.checkpoints,
        "prediction set": impact.prediction_sets,
        **impact.added,
    }
    many: set[str] = set()
    for kind in sorted(kinds, key=lambda kind: -len(kinds[kind])):
        if sum(1 if kind in many else len(ids) for kind, ids in kinds.items()) > MOST:
            many.add(kind)
    made = {}
    for kind, ids in kinds.items():
        if not ids:
            continue
        if kind in many:
            made[kind] = [_Box(kind, f"{len(ids):,} {_headed(impact, kind)}", frozenset(ids))]
        else:
            made[kind] = [_Box(kind, _shortened(id_), frozenset([id_])) for id_ in ids]
    return made


def _arrows(impact: Impact, boxes: dict[Node, _Box]) -> dict[tuple[_Box, _Box], str | None]:
    """The arrows between boxes: one for each pair of boxes, with all its roles."""
    own = set(impact.images)
    roles: defaultdict[tuple[_Box, _Box], set[str]] = defaultdict(set)
    for edge in impact.edges:
        ends = []
        for kind, id_ in (edge.cause, edge.effect):
            drawn = ("image" if id_ in own else "derived image") if kind == "image" else kind
            ends.append(boxes.get((drawn, id_)))
        cause, effect = ends
        if cause is not None and effect is not None and cause is not effect:
            roles[cause, effect].update([edge.role] if edge.role else [])
    return {pair: ", ".join(sorted(pair_roles)) or None for pair, pair_roles in roles.items()}


def _placed(
    columns: dict[str, list[_Box]], arrows: dict[tuple[_Box, _Box], str | None]
) -> dict[_Box, tuple[float, float]]:
    """Left edge and middle of each box in inches from the top left. A box stands near the middle of its causes."""
    causes: defaultdict[_Box, list[_Box]] = defaultdict(list)
    for cause, effect in arrows:
        causes[effect].append(cause)
    rows = max(map(len, columns.values()))
    placed: dict[_Box, tuple[float, float]] = {}
    for place, column in enumerate(columns.values()):

        def middle(box: _Box) -> float:
            known = [placed[cause][1] for cause in causes[box] if cause in placed]
            return sum(known) / len(known) if known else 0.0

        room = rows / len(column)
        for row, box in enumerate(sorted(column, key=middle)):
            y = 1.0 + (row + 0.5) * room * (_HIGH + 0.18)
            placed[box] = (0.2 + place * (_WIDE + _APART), y)
    return placed


def _draw_box(axes: Any, box: _Box, x: float, y: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    color = _COLORS.get(box.kind, _OF_PACKAGES)
    axes.add_patch(
        FancyBboxPatch(
            (x, y - _HIGH / 2), _WIDE, _HIGH, boxstyle="round,pad=0,rounding_size=0.06",
            facecolor="white", edgecolor=color, linewidth=2.2 if len(box.ids) > 1 else 1.2, zorder=3,
        )
    )  # fmt: skip
    axes.text(
        x + _WIDE / 2, y, box.text, ha="center", va="center", fontsize=8, color=INK, family=fonts(), zorder=4,
        parse_math=False, weight="bold" if len(box.ids) > 1 else "normal",
    )  # fmt: skip


class _Lanes:
    """The gaps between the boxes of each column, where arrows to columns beyond pass."""

    def __init__(self, placed: Iterable[tuple[float, float]]) -> None:
        self._middles: defaultdict[int, list[float]] = defaultdict(list)
        for x, y in placed:
            self._middles[column_of(x)].append(y)
        self._used: Counter[tuple[int, float]] = Counter()

    def through(self, column: int, y: float) -> float:
        """The height at which an arrow passes a column, near to where it would go straight."""
        boxes = sorted(self._middles[column])
        if not boxes:
            return y
        beyond = _HIGH / 2 + 0.12
        gaps = [boxes[0] - beyond, *((upper + lower) / 2 for upper, lower in pairwise(boxes)), boxes[-1] + beyond]
        lane = min(gaps, key=lambda gap: abs(gap - y))
        number = self._used[column, lane]
        self._used[column, lane] += 1
        return lane + (0, 1, -1, 2, -2)[number % 5] * _SIDE_BY_SIDE


def column_of(x: float) -> int:
    """The column whose boxes begin at so many inches from the left."""
    return round((x - 0.2) / (_WIDE + _APART))


def route(cause: tuple[float, float], effect: tuple[float, float], lanes: _Lanes) -> list[tuple[float, float]]:
    """Points from the edge of a box to that of another, in inches from the top left: past columns by their lanes."""
    first, last = column_of(cause[0]), column_of(effect[0])
    step = 1 if last > first else -1
    leave, enter = (_WIDE, 0.0) if step > 0 else (0.0, _WIDE)
    points = [(cause[0] + leave, cause[1])]
    for column in range(first + step, last, step):
        straight = cause[1] + (effect[1] - cause[1]) * (column - first) / (last - first)
        y = lanes.through(column, straight)
        left = 0.2 + column * (_WIDE + _APART)
        ends = [(left - _CLEAR, y), (left + _WIDE + _CLEAR, y)]
        points += ends if step > 0 else ends[::-1]
    return [*points, (effect[0] + enter, effect[1])]


def _arrow(
    axes: Any, cause: tuple[float, float], effect: tuple[float, float], high: float, role: str | None, lanes: _Lanes
) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Line

    style: dict[str, Any] = {"arrowstyle": "-|>", "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 9}
    style |= _STYLES[_meaning(role)]
    if cause[0] == effect[0]:  # within a column: out at the right and back, and never as far as the next column
        distance = abs(cause[1] - effect[1])
        bow = min(0.3, 1.5 * _APART / max(distance, 1e-9)) * (-1 if cause[1] < effect[1] else 1)
        ends = ((x + _WIDE, high - y) for x, y in (cause, effect))
        axes.add_patch(FancyArrowPatch(*ends, connectionstyle=f"arc3,rad={bow}", zorder=1, **style))
        return
    points = [(x, high - y) for x, y in route(cause, effect, lanes)]
    path, codes = [points[0]], [Line.MOVETO]
    for place, ((x, y), (to_x, to_y)) in enumerate(pairwise(points)):
        if place % 2:  # along a lane
            path, codes = [*path, (to_x, to_y)], [*codes, Line.LINETO]
        else:  # between columns: out and in level
            middle = (x + to_x) / 2
            path = [*path, (middle, y), (middle, to_y), (to_x, to_y)]
            codes += [Line.CURVE4] * 3
    axes.add_patch(FancyArrowPatch(path=Line(path, codes), zorder=1, **style))


def _meaning(role: str | None) -> str:
    if role is None or role == "informed":
        return role or ""
    return JUDGED if role == JUDGED else "learned"


def _legend(axes: Any, meanings: set[str]) -> None:
    words: dict[str, Any] = {"va": "center", "fontsize": 8, "color": INK, "family": fonts()}
    x = 0.2
    for meaning, text in _LEGEND.items():
        if meaning in meanings:
            line = {**_STYLES[meaning], "linewidth": 1.4}
            axes.plot((x, x + 0.4), (0.16, 0.16), **line)
            axes.text(x + 0.5, 0.16, text, **words)
            x += 0.9 + 0.075 * len(text)


def _headed(impact: Impact, kind: str) -> str:
    return impact.plurals.get(kind, f"{kind}s")


def _shortened(text: str) -> str:
    """Leave out the middle: the beginning names the set, the end the image."""
    if len(text) <= _LETTERS:
        return text
    half = (_LETTERS - 1) // 2
    return f"{text[:half]}…{text[-half:]}"
