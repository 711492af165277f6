"""How well an experiment does on a data set, as a table that prints."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from html import escape
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from odin_graph.analysis.picture import Picture
from odin_graph.analysis.scores import PER_CLASS, Scores
from odin_graph.errors import QueryError, UnknownNameError

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class Results:
    """Measures of one experiment on one data set version, against the labels that the version froze."""

    experiment: str
    dataset: str
    task: str
    classes: tuple[Any, ...]
    """All that occur: the model's, then those that it does not know."""
    scores: Scores
    unlabelled: int = 0
    """Images without a label, which nothing is measured on."""
    by: str | None = None
    groups: Mapping[Hashable, Scores] | None = None
    """The scores of each value of ``by``; of None those of the images without one."""

    def __getitem__(self, measure: str) -> float:
        """One of the overall measures: ``results["accuracy"]``."""
        if measure not in self.scores.overall:
            raise UnknownNameError.of(f"measure of {self.task}", measure, self.scores.overall)
        return self.scores.overall[measure]

    @property
    def accuracy(self) -> float:
        """The share of images that it gets right."""
        return self["accuracy"]

    @property
    def per_class(self) -> pd.DataFrame:
        """One row a class: n, precision, recall, F1, sensitivity, specificity, AUROC, average precision."""
        return self.scores.per_class

    @property
    def undefined(self) -> Mapping[str, str]:
        """Why a measure is NaN, overall or for some class, by its name."""
        return self.scores.undefined

    @property
    def confusion(self) -> pd.DataFrame:
        """Counts, truth by row and prediction by column.

        Raises:
            QueryError: The task gives an image several classes, or none.
        """
        if self.scores.confusion is None:
            raise QueryError(f"{self.task} has no confusion matrix: an image has not one class. There is .per_class.")
        names = list(self.classes)
        return pd.DataFrame(
            self.scores.confusion, index=pd.Index(names, name="truth"), columns=pd.Index(names, name="predicted")
        )

    def to_pandas(self) -> pd.DataFrame:
        """The overall measures: one row, or one for each group."""
        if self.groups is None:
            return pd.DataFrame([{"n": self.scores.n, **self.scores.overall}])
        rows = [{self.by: value, "n": held.n, **held.overall} for value, held in self.groups.items()]
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, ready for JSON; what cannot be said is None, and ``undefined`` says why."""
        return {
            "experiment": self.experiment,
            "dataset": self.dataset,
            "task": self.task,
            "unlabelled": self.unlabelled,
            **_plain(self.scores),
            "by": self.by,
            "groups": None if self.groups is None else {str(value): _plain(of) for value, of in self.groups.items()},
        }

    def picture(self) -> Picture:
        """The confusion matrix, drawn."""
        from odin_graph.analysis.confusion import confusion_picture

        return confusion_picture(
            self.confusion.to_numpy(), self.classes, title=f"{self.experiment} on {self.dataset}: {self.accuracy:.1%}"
        )

    def show(self) -> None:
        """Display the drawn confusion matrix."""
        self.picture().show()

    def save(self, path: str | Path) -> Path:
        """Write the drawn confusion matrix as .png, .pdf, .svg or .jpg."""
        return self.picture().save(path)

    def __str__(self) -> str:
        """The measures as aligned text."""
        lines = [self._head(), "  ".join(f"{name} {_short(value)}" for name, value in self.scores.overall.items())]
        table = self._table()
        if len(table):
            lines.append(table.to_string(index=False, float_format=_short, na_rep="-"))
        lines += [f"- {name}: {why}" for name, why in self.undefined.items()]
        return "\n".join(lines)

    def __rich__(self) -> RenderableType:
        """The same, where rich prints it."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        overall = Text("  ".join(f"{name} {_short(value)}" for name, value in self.scores.overall.items()))
        parts: list[RenderableType] = [Text(self._head(), style="bold"), overall]
        frame = self._table()
        if len(frame):
            table = Table(box=None, header_style="dim", padding=(0, 1))
            for name in frame.columns:
                table.add_column(str(name), justify="left" if name in ("class", self.by) else "right")
            for row in frame.itertuples(index=False):
                table.add_row(*(Text(_short(value) if isinstance(value, float) else str(value)) for value in row))
            parts.append(table)
        parts += [Text(f"- {name}: {why}", style="dim") for name, why in self.undefined.items()]
        return Group(*parts)

    def _repr_html_(self) -> str:
        said = "<br>".join(f"- {escape(name)}: {escape(why)}" for name, why in self.undefined.items())
        overall = self.to_pandas().to_html(index=False, float_format=_short, na_rep="-", border=0)
        per_class = self.per_class.to_html(float_format=_short, na_rep="-", border=0) if len(self.per_class) else ""
        return f"<b>{escape(self._head())}</b>{overall}{per_class}{said}"

    def _head(self) -> str:
        without = f", {self.unlabelled:,} more without a label" if self.unlabelled else ""
        return f"{self.experiment} on {self.dataset}: {self.scores.n:,} images{without}"

    def _table(self) -> pd.DataFrame:
        """What is printed below the overall measures: the groups, else the classes."""
        if self.groups is not None:
            return self.to_pandas()
        if not len(self.per_class):
            return self.per_class
        # Recall is sensitivity by another name: once is enough to read.
        shown = ["n", *(name for name in PER_CLASS if name != "sensitivity")]
        return self.per_class[shown].reset_index()


def _plain(scores: Scores) -> dict[str, Any]:
    return {
        "n": scores.n,
        "overall": _numbers(scores.overall),
        "per_class": {str(name): _numbers(row) for name, row in scores.per_class.to_dict("index").items()},
        "confusion": None if scores.confusion is None else scores.confusion.tolist(),
        "undefined": dict(scores.undefined),
    }


def _numbers(row: Mapping[Any, Any]) -> dict[str, float | None]:
    return {
        str(name): None if isnan(value) else int(value) if name == "n" else float(value) for name, value in row.items()
    }


def _short(value: float) -> str:
    return "-" if isnan(value) else f"{value:.3f}"
