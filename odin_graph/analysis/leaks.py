"""Leaks: test images that training has seen, in one way or another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import combinations
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.analysis.contact_sheet import ContactSheet, Tile, contact_sheet
from odin_graph.analysis.leak_rules import LEAK_RULES, FieldRule, LeakRule, Matches, Side
from odin_graph.analysis.near import NearEmbedding
from odin_graph.arrays.pixel_reader import PixelReader
from odin_graph.catalog.activations.activations import LayerRef
from odin_graph.errors import QueryError
from odin_graph.query.expressions.expressions import Expr
from odin_graph.query.expressions.nodes import ImageField
from odin_graph.query.names.spaces import layer_ref
from odin_graph.query.plan.spaces import LayerOf
from odin_graph.schema.properties import now
from odin_graph.served import served
from odin_graph.stores import Stores

JUDGED: Final = "test"
CHEAP: Final = ("lineage", "digest")
"""The leak rules that are checked whenever an experiment starts."""
PAIRS: Final = 12
"""Pairs on a picture."""


class Compared(Protocol):
    """One of the two sides that are compared, as a report shows it."""

    @property
    def dataset(self) -> str:
        """The id of the data set version."""
        ...

    @property
    def keys(self) -> NDArray[np.int64]:
        """The keys of its images, in its order."""
        ...

    @property
    def pixels(self) -> PixelReader:
        """The pixels of all images."""
        ...

    def ids(self, keys: NDArray[np.int64]) -> list[str]:
        """The ids of images."""
        ...


@dataclass(frozen=True, repr=False, eq=False)
class Leaks:
    """The images that two data set versions have in common, by each leak rule."""

    train: Compared
    test: Compared
    found: Mapping[str, Matches]

    def __bool__(self) -> bool:
        """Whether there is any leak."""
        return any(len(matches.test_images) for matches in self.found.values())

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """By rule: the number of pairs, and of the test and training images in them."""
        return {
            name: {
                "pairs": len(matches),
                "test images": len(matches.test_images),
                "training images": len(matches.train_images),
            }
            for name, matches in self.found.items()
        }

    def to_arrow(self, k: int | None = None) -> pa.Table:
        """One row for each pair: ``rule``, ``train`` and ``test`` (ids), their keys, and ``distance`` if there is one.

        Args:
            k: The largest number of pairs for each rule. By default all pairs, which may be many more than images.
        """
        parts = [self._table(name, matches, k) for name, matches in self.found.items()]
        return pa.concat_tables(parts)

    def test_keys(self) -> list[int]:
        """The keys of the test images that leak by any rule, sorted: what to leave out."""
        return sorted({int(self.test.keys[at]) for matches in self.found.values() for at in matches.test_images})

    def picture(self, k: int = PAIRS) -> ContactSheet:
        """Pairs side by side, the training image first; about the same number for each rule.

        For near duplicates, half of the pairs are the nearest, and half are those at the threshold, to check it.

        Args:
            k: The largest number of pairs.

        Raises:
            QueryError: There is no leak to draw.
        """
        leaking = [name for name, matches in self.found.items() if len(matches.test_images)]
        if not leaking:
            raise QueryError(
                f"{self.test.dataset} and {self.train.dataset} have nothing in common, so nothing to draw."
            )
        tiles: list[Tile] = []
        for place, name in enumerate(leaking):
            share = k // len(leaking) + (place < k % len(leaking))
            for row in self._table(name, self.found[name], max(1, share), ends=True).to_pylist():
                for which, asked in (("train", False), ("test", True)):
                    (image,) = self.train.pixels.read_displayed(np.array([row[f"{which}_key"]], np.int64))
                    note = f"{which}, by {row['rule']}" + ("" if row["distance"] is None else f" {row['distance']:.3g}")
                    tiles.append(Tile(image, row[which], note=note, asked=asked))
        return contact_sheet(tiles, title=str(self).splitlines()[0], columns=4 if len(tiles) > 2 else 2)

    def show(self) -> None:
        """Display the picture."""
        self.picture().show()

    def save(self, path: str | Path) -> Path:
        """Write the picture as .png, .pdf, .svg or .jpg."""
        return self.picture().save(path)

    def __str__(self) -> str:
        """One line for each rule."""
        head = f"{self.train.dataset} against {self.test.dataset}"
        if not self:
            return "\n".join([f"{head}: no leak by {', '.join(self.found)}", *self._notes()])
        lines = [f"{head}: {len(self.test_keys()):,} of {len(self.test.keys):,} test images leak"]
        for name, counts in self.counts.items():
            lines.append(
                f"  by {name}: {counts['pairs']:,} pairs of {counts['training images']:,} training and "
                f"{counts['test images']:,} test images"
            )
        return "\n".join(lines + self._notes())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{name}</td>" + "".join(f"<td align='right'>{n:,}</td>" for n in counts.values()) + "</tr>"
            for name, counts in self.counts.items()
        )
        head = "<tr><th>rule</th><th>pairs</th><th>test images</th><th>training images</th></tr>"
        notes = "".join(f"<p>{escape(note.strip())}</p>" for note in self._notes())
        return f"<b>{escape(str(self).splitlines()[0])}</b><table>{head}{rows}</table>{notes}"

    def _notes(self) -> list[str]:
        """The limits of the rules that were used."""
        return [f"  {matches.note}" for matches in self.found.values() if matches.note]

    def _table(self, name: str, matches: Matches, k: int | None, *, ends: bool = False) -> pa.Table:
        train, test, distance = matches.pairs(k, ends=ends)
        keys = {"train_key": self.train.keys[train], "test_key": self.test.keys[test]}
        columns = {"rule": pa.repeat(name, len(train)).cast(pa.string())}
        for which in ("train", "test"):
            columns[which] = pa.array(self.train.ids(keys[f"{which}_key"]), pa.string())
        numbers = pa.nulls(len(train), pa.float64()) if distance is None else pa.array(distance, pa.float64())
        return pa.table(
            {**columns, **{column: pa.array(values) for column, values in keys.items()}, "distance": numbers}
        )


def leaks(
    stores: Stores, train: str | Side, test: str, rules: Sequence[Any] = CHEAP, *, within: float | None = None
) -> Leaks:
    """Compare two data set versions.

    Args:
        stores: The open workspace.
        train: The version that is learned from, or other images.
        test: The version that judges.
        rules: Names of registered leak rules, fields (``F("patientID")``), layers (`LayerRef`), or rules themselves.
        within: The distance of near duplicates: thousandths for ``"near"``, cosine distance for a layer.

    Raises:
        QueryError: Something in ``rules`` is none of these.
        UnknownNameError: No such rule or field.
    """
    sides = train if isinstance(train, Side) else Side(stores, train), Side(stores, test)
    named = dict(named_rule(rule, within) for rule in rules)
    if not named:
        raise QueryError(f"leaks() needs at least one rule: give rules=[...], of {', '.join(LEAK_RULES)}, or a field.")
    return Leaks(*sides, {name: rule(*sides) for name, rule in named.items()})


@served
def leaks_by(
    stores: Stores, train: str, test: str, rules: list[str | ImageField | LayerOf], within: float | None
) -> dict[str, Matches]:
    """What rules find that can be sent to a server: names, fields and layers."""
    given = [
        rule if isinstance(rule, str) else layer_ref(rule) if isinstance(rule, LayerOf) else Expr(rule)
        for rule in rules
    ]
    return dict(leaks(stores, train, test, given, within=within).found)


def on_start(stores: Stores, datasets: Mapping[str, str]) -> list[Leaks]:
    """The leaks between the data sets of an experiment that starts: each that judges against each that is learned from.

    Args:
        stores: The open workspace.
        datasets: Version ids by role.
    """
    order = sorted(datasets, key=lambda role: (role == JUDGED, role == "validation"))  # the later of two judges
    reports = (leaks(stores, datasets[first], datasets[second]) for first, second in combinations(order, 2))
    return [report for report in reports if report]


def keep(stores: Stores, experiment: str, reports: Sequence[Leaks]) -> None:
    """Store the reports on the experiment; they replace older ones of the same pairs."""
    records = [
        {"train": report.train.dataset, "test": report.test.dataset, "rules": report.counts} for report in reports
    ]
    rows = stores.graph.read("MATCH (e:Experiment {id: $id}) RETURN e.leaks AS leaks", {"id": experiment})
    before = json.loads(rows[0]["leaks"] or "{}") if rows else {}
    new = {(entry["train"], entry["test"]) for entry in records}
    records += [entry for entry in before.get("leaks", []) if (entry["train"], entry["test"]) not in new]
    record = json.dumps({**before, "checked_at": now().isoformat(), "leaks": records}, ensure_ascii=False)
    stores.graph.write("MATCH (e:Experiment {id: $id}) SET e.leaks = $leaks", {"id": experiment, "leaks": record})


def named_rule(rule: Any, within: float | None) -> tuple[str, LeakRule]:
    """A rule, and its name in a report; for what it takes see `leaks`."""
    if isinstance(rule, str):
        kind = LEAK_RULES.get(rule)
        return rule, kind(within=within) if within is not None and hasattr(kind, "within") else kind()
    if isinstance(rule, Expr) and isinstance(rule.node, ImageField):
        return rule.node.name, FieldRule(rule.node.name)
    if isinstance(rule, LayerRef):
        return f"near {rule.layer}", NearEmbedding(rule) if within is None else NearEmbedding(rule, within)
    if callable(rule):
        return str(getattr(rule, "name", None) or getattr(rule, "__name__", type(rule).__name__)), rule
    raise QueryError(
        f"leaks() cannot compare by {rule!r:.60}: give the name of a leak rule ({', '.join(LEAK_RULES)}), a field "
        '(F("patientID")), a layer, or a function of two sides.'
    )
