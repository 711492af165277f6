"""The measures of an experiment on a data set, as a table that prints."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from html import escape
from math import inf, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from odin_graph.analysis.judged import Coverage
from odin_graph.analysis.results_pictures import picture_of
from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.picture import Picture
from odin_graph.schema.tasks import Scores, Task
from odin_graph.schema.tasks.confusion_counts import DENSE, ConfusionCounts
from odin_graph.served import travels

if TYPE_CHECKING:
    from rich.console import RenderableType

_ROWS: Final = 40
"""Classes or groups that are printed."""
_PAIRS: Final = 20
"""Confused pairs that are printed in place of more classes than that."""
_WIDE: Final = 110


@travels
@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """The measures of one experiment on one data set version, with the frozen labels as truth."""

    experiment: str
    dataset: str
    kind: Task
    """The task, with its parameters."""
    scores: Scores
    counts: Coverage
    """The number of measured images, and of images that are left out, with the reasons."""
    group_by: str | None = None
    groups: Mapping[Hashable, Scores] | None = None
    """The scores for each value of ``group_by``; for None, those of the images without a value."""
    seen: tuple[str, ...] = ()
    """Sentences about training data that has images in common with the data set."""

    def __getitem__(self, measure: str) -> float:
        """One of the overall measures: ``results["accuracy"]``."""
        if measure not in self.scores.overall:
            raise UnknownNameError.of(f"measure of {self.task}", measure, self.scores.overall)
        return self.scores.overall[measure]

    @property
    def task(self) -> str:
        """The name of the task."""
        return self.kind.name

    @property
    def classes(self) -> tuple[Any, ...]:
        """All that occur: the model's, then those that it does not know."""
        return self.scores.classes

    @property
    def n(self) -> int:
        """The number of measured images (or inputs of several): not deleted, with a label and a prediction."""
        return self.scores.n

    @property
    def coverage(self) -> float:
        """The share of the labeled images that has a prediction, which the measures cover."""
        return self.counts.share

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the reader: what is left out, labels that differ today, images that the model learned from."""
        return (*self.counts.notes(), *self.seen)

    @property
    def accuracy(self) -> float:
        """The share of images with a correct prediction."""
        return self["accuracy"]

    @property
    def per_class(self) -> pd.DataFrame:
        """One row for each class, with what the task measures of it: n, precision, recall, F1, AUROC and so on."""
        return self.scores.per_class

    @property
    def undefined(self) -> Mapping[str, str]:
        """Why a measure is NaN, or 0 after a division by zero, overall or for a class; by the name of the measure."""
        return self.scores.undefined

    @property
    def confusion(self) -> pd.DataFrame:
        """Counts, with truth in rows and predictions in columns. For more than 1,000 classes the columns are sparse.

        Raises:
            QueryError: The task does not have exactly one class for each image.
        """
        return self._confusion().matrix(self.classes)

    @property
    def confused(self) -> pd.DataFrame:
        """Confused pairs of classes: ``truth``, ``predicted``, ``n``, and ``share`` of the images of the true class.

        The most frequent pair is first. Only pairs that occurred are listed.

        Raises:
            QueryError: The task does not have exactly one class for each image.
        """
        return self._confusion().table(self.classes)

    def to_pandas(self) -> pd.DataFrame:
        """The overall measures: one row, or one for each group."""
        if self.groups is None:
            return pd.DataFrame([self._row(self.scores)])
        return pd.DataFrame([{self._group_column: value, **self._row(scores)} for value, scores in self.groups.items()])

    def to_json(self) -> dict[str, Any]:
        """Everything as a JSON object: plain dicts, lists, texts and numbers.

        An undefined measure is None, and ``undefined`` gives the reason. Infinity is the text ``Infinity``. For more
        than 1,000 classes ``confusion`` is None, and ``confused`` has the pairs.
        """
        groups: dict[str, Any] | None = None
        if self.groups is not None:
            groups = {}
            for value, scores in self.groups.items():
                name = _group(value)
                while name in groups:  # a value of that name, beside images without one
                    name += "'"
                groups[name] = _plain(scores)
        left_out = {name: getattr(self.counts, name) for name in ("members", "deleted", "unlabeled", "stale")}
        confused = None
        if self.scores.confusion is not None:
            confused = self.confused[["truth", "predicted", "n"]].to_dict("split")["data"]
        plain = {
            "experiment": self.experiment,
            "dataset": self.dataset,
            "task": self.task,
            "classes": list(self.classes),
            **left_out,
            "notes": list(self.notes),
            **_plain(self.scores),
            "confused": confused,
            "group_by": self.group_by,
            "groups": groups,
        }
        result: dict[str, Any] = json.loads(json.dumps(plain, allow_nan=False, default=str))  # classes may be dates
        return result

    def picture(self) -> Picture:
        """Draw the measures: the groups side by side, or else a picture that depends on the task.

        One class for each image: the confusion matrix. Several classes: the measures of each class. Numbers:
        predictions against truth.
        """
        return picture_of(self)

    def show(self) -> None:
        """Display the picture."""
        self.picture().show()

    def save(self, path: str | Path) -> Path:
        """Write the picture as .png, .pdf, .svg or .jpg."""
        return self.picture().save(path)

    def __repr__(self) -> str:
        """One line."""
        measure = next(iter(self.scores.overall))
        of = f", {len(self.classes):,} classes" if self.classes else ""
        groups = f", {len(self.groups):,} groups by {self.group_by}" if self.groups is not None else ""
        part = f", coverage {self.coverage:.2g}" if self.counts.missing else ""
        return (
            f"Results({self.experiment!r} on {self.dataset!r}: {self.n:,} {self.counts.what}{part}{of}{groups}, "
            f"{measure} {short(self[measure])})"
        )

    def __str__(self) -> str:
        """The measures as aligned text."""
        lines = [self._head(), self._overall()]
        table, more = self._table()
        if len(table):
            lines.append(table.to_string(index=False, float_format=short, na_rep="-"))
        lines += [f"- {note}" for note in (*more, *self._all_notes())]
        return "\n".join(lines)

    def __rich__(self) -> RenderableType:
        """The same, where rich prints it."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        parts: list[RenderableType] = [Text(self._head(), style="bold"), Text(self._overall())]
        frame, more = self._table()
        if len(frame):
            table = Table(box=None, header_style="dim", padding=(0, 1))
            for name in frame.columns:
                table.add_column(
                    str(name), justify="left" if name in ("class", "truth", self._group_column) else "right"
                )
            for row in frame.itertuples(index=False):
                table.add_row(*(Text(short(value) if isinstance(value, float) else str(value)) for value in row))
            parts.append(table)
        parts += [Text(f"- {note}", style="dim") for note in (*more, *self._all_notes())]
        return Group(*parts)

    def _repr_html_(self) -> str:
        frame, more = self._table()
        overall = escape(", ".join(self._measures()))  # a table of so many columns is cut off
        table = frame.to_html(index=False, float_format=short, na_rep="-", border=0) if len(frame) else ""
        notes = "<br>".join(f"- {escape(note)}" for note in (*more, *self._all_notes()))
        return f"<b>{escape(self._head())}</b><br>{overall}{table}{notes}"

    def _confusion(self) -> ConfusionCounts:
        if self.scores.confusion is None:
            raise QueryError(f"{self.task} has no confusion matrix: an image has not one class. There is .per_class.")
        return self.scores.confusion

    @property
    def _group_column(self) -> str:
        """The name of the column of groups: a field may be called as a measure is."""
        return (
            f"{self.group_by} (field)"
            if self.group_by in ("n", "coverage", *self.scores.overall)
            else str(self.group_by)
        )

    def _row(self, scores: Scores) -> dict[str, Any]:
        return {"n": scores.n, "coverage": scores.coverage, **scores.overall}

    def _head(self) -> str:
        return f"{self.experiment} on {self.dataset}: {self.n:,} {self.counts.what}"

    def _overall(self) -> str:
        return textwrap.fill("  ".join(self._measures()), _WIDE, break_on_hyphens=False).replace(
            "\N{NO-BREAK SPACE}", " "
        )

    def _measures(self) -> list[str]:
        # Once is enough to read: sensitivity is recall, and of one class an image the micro means are its accuracy.
        left_out = (
            "sensitivity",
            *(f"{name}-micro" for name in ("precision", "recall", "f1") if self.scores.confusion),
        )
        return [
            f"{name}\N{NO-BREAK SPACE}{short(value)}"
            for name, value in self.scores.overall.items()
            if name not in left_out
        ]

    def _all_notes(self) -> list[str]:
        return [*self.notes, *(f"{name}: {why}" for name, why in self.undefined.items())]

    def _table(self) -> tuple[pd.DataFrame, list[str]]:
        """The table below the overall measures (the groups, else the classes), and a note of what it leaves out."""
        if self.groups is not None:
            frame = self.to_pandas()
            frame[self._group_column] = [_group(value) for value in self.groups]
            shown = [self._group_column, "n", "coverage", *list(self.scores.overall)[:4]]
            shown = [name for name in shown if name != "coverage" or self.counts.missing]
            more = f"{len(frame) - _ROWS:,} more groups: .to_pandas() has all of them, and all measures"
            return frame[shown].head(_ROWS), [more] if len(frame) > _ROWS else []
        if len(self.per_class) > _ROWS and self.scores.confusion is not None:
            frame = self.confused
            more = f"the most confused of {len(self.classes):,} classes: .confused and .per_class have all of them"
            return frame.head(_PAIRS), [more] if len(frame) else []
        if not len(self.per_class):
            return self.per_class, []
        # Recall is sensitivity by another name: once is enough to read.
        columns = [name for name in self.per_class if name != "sensitivity"]
        more = f"{len(self.per_class) - _ROWS:,} more classes: .per_class has all of them"
        return self.per_class[columns].reset_index().head(_ROWS), [more] if len(self.per_class) > _ROWS else []


def _group(value: Any) -> str:
    return "(missing)" if pd.isna(value) else str(value)


def _plain(scores: Scores) -> dict[str, Any]:
    confusion = scores.confusion
    return {
        "n": scores.n,
        "missing": scores.missing,
        "coverage": plain_number(scores.coverage),
        "overall": _numbers(scores.overall),
        "per_class": {str(name): _numbers(row) for name, row in scores.per_class.to_dict("index").items()},
        "confusion": None if confusion is None or confusion.size > DENSE else confusion.dense().tolist(),
        "undefined": dict(scores.undefined),
    }


def _numbers(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): int(value) if name == "n" else plain_number(value) for name, value in row.items()}


def plain_number(value: float) -> float | str | None:
    """The JSON value: NaN becomes null, infinity becomes text, and minus zero becomes zero."""
    number = float(value)
    if isnan(number):
        return None
    return {inf: "Infinity", -inf: "-Infinity"}.get(number, number + 0.0)


def short(value: float) -> str:
    """A value as tables show it."""
    return "-" if isnan(value) else f"{value + 0.0:.3f}" if abs(value) < 1e6 else f"{value:.4g}"
