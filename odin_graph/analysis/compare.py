"""How two experiments differ, image by image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.analysis.judged import Coverage, judged, keys_of
from odin_graph.errors import QueryError
from odin_graph.served import served, travels
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Group

Keys = NDArray[np.int64]


@travels
@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """The labeled images of a data set version that both experiments predicted, in four parts.

    Each part contains the keys of its images: ``db.images(d.only_b)`` are those that only B gets right. Images that
    were deleted since are in no part.
    """

    a: str
    b: str
    dataset: str
    both_right: Keys
    only_a: Keys
    only_b: Keys
    both_wrong: Keys
    counts: Coverage
    """The number of compared images, and of images that are left out, with the reasons."""
    coverage_a: float
    """The share of the labeled images that A has predicted."""
    coverage_b: float
    """The share of the labeled images that B has predicted."""
    seen: tuple[str, ...] = ()
    """Sentences about training data of A or B that has images in common with the data set."""

    @property
    def n(self) -> int:
        """The number of compared images: both experiments predicted them, and each is right or wrong."""
        return sum(map(len, self._parts().values()))

    @property
    def coverage(self) -> float:
        """The share of the labeled images that is compared."""
        return self.counts.share

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the reader: what is left out, labels that differ today, images that a model learned from."""
        notes = (*self.counts.notes("are compared, which both have predicted"), *self.seen)
        if not self.counts.missing:
            return notes
        parts = f"{self.a} has predicted {self.coverage_a:.3g} of them, {self.b} {self.coverage_b:.3g}"
        return (notes[0], parts, *notes[1:])

    @property
    def p_value(self) -> float:
        """The p-value of McNemar's exact test, that both experiments have the same error rate."""
        from scipy.stats import binomtest  # takes most of a second to import

        disagreed = len(self.only_a) + len(self.only_b)
        return float(binomtest(len(self.only_a), disagreed).pvalue) if disagreed else 1.0

    def table(self) -> pd.DataFrame:
        """Counts and shares of the four parts."""
        import pandas as pd

        n = max(self.n, 1)
        rows = {name: {"images": len(keys), "share": len(keys) / n} for name, keys in self._parts().items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("right")

    def to_json(self) -> dict[str, Any]:
        """Counts, coverage and the test as a JSON object."""
        parts = ("both_right", "only_a", "only_b", "both_wrong")
        return {
            "a": self.a,
            "b": self.b,
            "dataset": self.dataset,
            "n": self.n,
            **{part: len(getattr(self, part)) for part in parts},
            "p_value": self.p_value,
            "coverage": self.coverage,
            "coverage_a": self.coverage_a,
            "coverage_b": self.coverage_b,
            "deleted": self.counts.deleted,
            "unlabeled": self.counts.unlabeled,
            "stale": self.counts.stale,
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        """One line."""
        part = f", coverage {self.coverage:.2g}" if self.counts.missing else ""
        counts = ", ".join(f"{name} {len(keys):,}" for name, keys in self._parts().items())
        return f"Comparison({self._head()}: {self.n:,} {self.counts.what}{part}, {counts})"

    def __str__(self) -> str:
        """The table and the test."""
        table = self.table().to_string(formatters={"share": "{:.1%}".format})
        return "\n".join([self._head(), table, self._test(), *(f"- {note}" for note in self.notes)])

    def __rich__(self) -> Group:
        """The same, where rich prints it."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, header_style="dim", padding=(0, 1))
        table.add_column("right")
        for name in ("images", "share"):
            table.add_column(name, justify="right")
        n = max(self.n, 1)
        for name, keys in self._parts().items():
            table.add_row(Text(name), f"{len(keys):,}", f"{len(keys) / n:.1%}")
        notes = (Text(f"- {note}", style="dim") for note in self.notes)
        return Group(Text(self._head(), style="bold"), table, Text(self._test()), *notes)

    def _repr_html_(self) -> str:
        table = self.table().to_html(border=0, formatters={"share": "{:.1%}".format})
        notes = "".join(f"<br>- {escape(note)}" for note in self.notes)
        return f"<b>{escape(self._head())}</b>{table}{self._test()}{notes}"

    def _head(self) -> str:
        return f"{self.a} against {self.b} on {self.dataset}"

    def _test(self) -> str:
        return f"McNemar's exact p = {self.p_value:.2g}"

    def _parts(self) -> Mapping[str, Keys]:
        # By letter too, should somebody compare an experiment with itself.
        a, b = (self.a, self.b) if self.a != self.b else (f"{self.a} (a)", f"{self.b} (b)")
        return {
            "both right": self.both_right,
            f"only {a}": self.only_a,
            f"only {b}": self.only_b,
            "both wrong": self.both_wrong,
        }


@served
def compare(stores: Stores, a: str, b: str, dataset: str, *, warns: bool = False) -> Comparison:
    """Compare two experiments over the images that both have predictions and labels for.

    Args:
        stores: The open workspace.
        a: An experiment's id.
        b: Another's.
        dataset: The version's id.
        warns: Whether to warn where a part is compared.

    Raises:
        QueryError: One has no ready predictions over the data set, or they share no image that is right or wrong.
    """
    sides = [judged(stores, experiment, dataset) for experiment in (a, b)]
    if len({(side.input.kind, side.input.by) for side in sides}) > 1:
        raise QueryError(
            f"A prediction of {a} is of {sides[0].input}, and one of {b} is of {sides[1].input}: what they are right "
            "about is not the same. Compare the measures of each, exp.results()."
        )
    tables = [side.table.filter(side.table.column("wrong").is_valid()).select(["key", "wrong"]) for side in sides]
    joined = tables[0].join(tables[1], "key", join_type="inner", right_suffix="_b").sort_by("key")
    if not joined.num_rows:
        raise QueryError(
            f"{a} and {b} are right or wrong about no image of {dataset} both: predict the whole data set with each. "
            "A regression is right or wrong only with a tolerance."
        )
    keys = keys_of(joined)
    coverage = sides[0].coverage
    counts = Coverage(
        coverage.members,
        coverage.deleted,
        coverage.unlabeled,
        coverage.labeled - len(keys),
        coverage.stale,
        coverage.what,
    )
    if warns:
        counts.warn(f"{a} and {b} are compared")
    wrong_a, wrong_b = (
        joined.column(name).to_numpy(zero_copy_only=False).astype(bool) for name in ("wrong", "wrong_b")
    )
    return Comparison(
        a, b, dataset, keys[~wrong_a & ~wrong_b], keys[~wrong_a & wrong_b], keys[wrong_a & ~wrong_b],
        keys[wrong_a & wrong_b], counts, sides[0].coverage.share, sides[1].coverage.share,
    )  # fmt: skip
