"""How two experiments differ, image by image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import QueryError
from odin_graph.query.prediction_sets import choose
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Group

Keys = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """The labelled images of a data set version that both experiments have judged, in four parts.

    Each part is the keys of its images: ``db.images(d.only_b)`` are those that B alone gets right.
    """

    a: str
    b: str
    dataset: str
    both_right: Keys
    only_a: Keys
    only_b: Keys
    both_wrong: Keys

    @property
    def p_value(self) -> float:
        """McNemar's exact test: how likely so uneven a split of the disagreements is if both err alike."""
        from scipy.stats import binomtest  # takes most of a second to import

        disagreed = len(self.only_a) + len(self.only_b)
        return float(binomtest(len(self.only_a), disagreed).pvalue) if disagreed else 1.0

    def table(self) -> pd.DataFrame:
        """Counts and shares of the four parts."""
        import pandas as pd

        parts = self._parts()
        n = max(sum(map(len, parts.values())), 1)
        rows = {name: {"images": len(keys), "share": len(keys) / n} for name, keys in parts.items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("right")

    def __str__(self) -> str:
        """The table and the test."""
        return f"{self._head()}\n{self.table().to_string(formatters={'share': '{:.1%}'.format})}\n{self._test()}"

    def __rich__(self) -> Group:
        """The same, where rich prints it."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, header_style="dim", padding=(0, 1))
        table.add_column("right")
        for name in ("images", "share"):
            table.add_column(name, justify="right")
        n = max(sum(map(len, self._parts().values())), 1)
        for name, keys in self._parts().items():
            table.add_row(Text(name), f"{len(keys):,}", f"{len(keys) / n:.1%}")
        return Group(Text(self._head(), style="bold"), table, Text(self._test()))

    def _repr_html_(self) -> str:
        table = self.table().to_html(border=0, formatters={"share": "{:.1%}".format})
        return f"<b>{escape(self._head())}</b>{table}{self._test()}"

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


def compare(stores: Stores, a: str, b: str, dataset: str) -> Comparison:
    """Compare two experiments over the images that both have predictions and labels for.

    Args:
        stores: The open workspace.
        a: An experiment's id.
        b: Another's.
        dataset: The version's id.

    Raises:
        QueryError: One has no ready predictions over the data set, or they share no image that is right or wrong.
    """
    wrong = []
    for experiment in (a, b):
        table = stores.columns.predictions(choose(stores.graph, experiment, dataset).id)
        wrong.append(table.filter(table.column("wrong").is_valid()).select(["key", "wrong"]))
    joined = wrong[0].join(wrong[1], "key", join_type="inner", right_suffix="_b").sort_by("key")
    if not joined.num_rows:
        raise QueryError(
            f"{a} and {b} are right or wrong about no image of {dataset} both: predict the whole data set with each. "
            "A regression is right or wrong only with a tolerance."
        )
    keys = joined.column("key").to_numpy()
    of_a, of_b = (joined.column(name).to_numpy(zero_copy_only=False).astype(bool) for name in ("wrong", "wrong_b"))
    return Comparison(a, b, dataset, keys[~of_a & ~of_b], keys[~of_a & of_b], keys[of_a & ~of_b], keys[of_a & of_b])
