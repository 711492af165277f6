"""The neighbors of one image under A against those under B: what two models, or two layers, think is alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from odin_graph.errors import UnknownNameError
from odin_graph.query.plan.outline import outline

if TYPE_CHECKING:
    import pandas as pd

    from odin_graph.objects.query.answers import ImageAnswers

T = TypeVar("T", bound="ImageAnswers[Any]")


@dataclass(frozen=True, eq=False, repr=False)
class Neighborhoods(Generic[T]):
    """What ``query.neighborhoods(image, a=..., b=..., k=10)`` gives."""

    a: T
    """The neighbors under A, a query as any other: ``.show()``."""
    b: T
    """Those under B."""

    @property
    def overlap(self) -> float:
        """The share of the neighbors that both have (Jaccard's index), 1 for the same ones."""
        left, right = set(self.a.keys().tolist()), set(self.b.keys().tolist())
        return len(left & right) / len(left | right) if left | right else 1.0

    @property
    def both(self) -> T:
        """The images that are neighbors under both, in the order of A."""
        return self.a.intersection(self.b)

    def only(self, which: str) -> T:
        """The images that are neighbors under A alone, ``only("a")``, or under B alone."""
        sides = {"a": (self.a, self.b), "b": (self.b, self.a)}
        if which not in sides:
            raise UnknownNameError.of("side", which, sides)
        one, other = sides[which]
        return one.difference(other)

    def to_pandas(self) -> pd.DataFrame:
        """A row an image that is a neighbor under any: id, label, and rank (from 1) and distance under each."""
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
        return f"Neighborhoods(overlap {self.overlap:.2f}\n  a: {outline(self.a.plan)}\n  b: {outline(self.b.plan)})"

    def _repr_html_(self) -> str:
        return f"overlap {self.overlap:.2f}{self.to_pandas().to_html(index=False, na_rep='')}"
