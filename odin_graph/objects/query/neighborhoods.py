"""The neighbors of one image in two spaces: what two models, or two layers, consider similar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from odin_graph.checked import checked_calls
from odin_graph.errors import UnknownNameError

if TYPE_CHECKING:
    import pandas as pd

    from odin_graph.objects.query.answers import ImageAnswers

T = TypeVar("T", bound="ImageAnswers[Any]")


@checked_calls
@dataclass(frozen=True, eq=False, repr=False)
class Neighborhoods(Generic[T]):
    """What ``query.neighborhoods(image, a=..., b=..., k=10)`` returns."""

    a: T
    """The neighbors in space A, as a query: ``.show()``."""
    b: T
    """The neighbors in space B, as a query."""

    @property
    def overlap(self) -> float:
        """The share of common neighbors (Jaccard index): 1 if they are the same."""
        left, right = set(self.a.keys().tolist()), set(self.b.keys().tolist())
        return len(left & right) / len(left | right) if left | right else 1.0

    @property
    def both(self) -> T:
        """The images that are neighbors in both spaces, in the order of A."""
        return self.a.intersection(self.b)

    def only(self, which: str) -> T:
        """The images that are neighbors only in A, ``only("a")``, or only in B."""
        sides = {"a": (self.a, self.b), "b": (self.b, self.a)}
        if which not in sides:
            raise UnknownNameError.of("side", which, sides)
        own, other = sides[which]
        return own.difference(other)

    def to_pandas(self) -> pd.DataFrame:
        """One row for each neighbor: id, label, and its rank (from 1) and distance in each space."""
        frames = []
        for side, query in (("a", self.a), ("b", self.b)):
            frame = query.to_pandas("id", "label")
            frame[f"rank_{side}"] = range(1, len(frame) + 1)
            frames.append(frame.rename(columns={"distance": f"distance_{side}"}).set_index(["key", "id", "label"]))
        merged = frames[0].join(frames[1], how="outer").reset_index().drop(columns="key")
        ranked = merged.sort_values(["rank_a", "rank_b"], ignore_index=True)
        ranks = {"rank_a": "Int64", "rank_b": "Int64"}
        return ranked[["id", "label", "rank_a", "distance_a", "rank_b", "distance_b"]].astype(ranks)

    def __repr__(self) -> str:
        return f"Neighborhoods(overlap {self.overlap:.2f}\n  a: {self.a.plan.spell()}\n  b: {self.b.plan.spell()})"

    def _repr_html_(self) -> str:
        return f"overlap {self.overlap:.2f}{self.to_pandas().astype(object).to_html(index=False, na_rep='', border=0)}"
