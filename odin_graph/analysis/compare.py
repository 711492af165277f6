"""How two experiments differ, image by image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import QueryError
from odin_graph.query.prediction_sets import choose
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import pandas as pd

Keys = NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """The labelled images of a data set version that both experiments have judged, in four parts."""

    a: str
    b: str
    dataset: str
    both_right: Keys
    only_a: Keys
    """Keys of the images that A alone gets right."""
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

        parts = {
            "both right": self.both_right,
            f"only {self.a}": self.only_a,
            f"only {self.b}": self.only_b,
            "both wrong": self.both_wrong,
        }
        n = sum(map(len, parts.values()))
        rows = {name: {"images": len(keys), "share": len(keys) / max(n, 1)} for name, keys in parts.items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("right")

    def __str__(self) -> str:
        """The table and the test."""
        table = self.table().to_string(formatters={"share": "{:.1%}".format})
        return f"{self.a} against {self.b} on {self.dataset}\n{table}\nMcNemar's exact p = {self.p_value:.2g}"

    def _repr_html_(self) -> str:
        return str(self.table().to_html(border=0)) + f"McNemar's exact p = {self.p_value:.2g}"


def compare(stores: Stores, a: str, b: str, dataset: str) -> Comparison:
    """Compare two experiments over the images that both have predictions and labels for.

    Raises:
        QueryError: One has no ready predictions over the data set, or they share no image.
    """
    wrong = []
    for experiment in (a, b):
        table = stores.columns.predictions(choose(stores.graph, experiment, dataset).id)
        wrong.append(table.filter(table.column("wrong").is_valid()).select(["key", "wrong"]))
    joined = wrong[0].join(wrong[1], "key", join_type="inner", right_suffix="_b").sort_by("key")
    if not joined.num_rows:
        raise QueryError(f"{a} and {b} have judged no labelled image of {dataset} both: predict it with each.")
    keys = joined.column("key").to_numpy()
    of_a, of_b = (joined.column(name).to_numpy(zero_copy_only=False).astype(bool) for name in ("wrong", "wrong_b"))
    return Comparison(a, b, dataset, keys[~of_a & ~of_b], keys[~of_a & of_b], keys[of_a & ~of_b], keys[of_a & of_b])
