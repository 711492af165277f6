"""``db.storage.report()``: one line for each stored set; it can be printed and converted to Arrow or pandas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from odin_graph.catalog.activations.storage import human_size
from odin_graph.catalog.activations.stored_sets import StoredSet
from odin_graph.frames import frame_of
from odin_graph.served import travels

if TYPE_CHECKING:
    import pandas as pd

_SHOWN: Final = 60
_HEAD: Final = (
    "layer",
    "pooling",
    "codec",
    "images",
    "size",
    "last used (UTC)",
    "asked",
    "pinned",
    "to compute again",
)
_LEFT: Final = frozenset(("layer", "pooling", "codec", "last used (UTC)", "pinned"))
"""Columns of text; numbers are aligned to the right."""


@travels
@dataclass(frozen=True, repr=False)
class StorageReport:
    """The size and the value of every activation set. The least valuable per byte is first, and is removed first."""

    sets: tuple[StoredSet, ...]
    budget: int | None
    """Bytes that all sets together may take."""

    @property
    def bytes(self) -> int:
        """Bytes that all sets together take."""
        return sum(set_.bytes for set_ in self.sets)

    @property
    def over(self) -> int:
        """Bytes above the budget, or 0."""
        return 0 if self.budget is None else max(0, self.bytes - self.budget)

    def to_arrow(self) -> pa.Table:
        """One row for each set: times in UTC, sizes in bytes, and the ``seconds`` to compute it again."""
        columns = {
            "id": (pa.string(), [set_.id for set_ in self.sets]),
            "layer": (pa.string(), [set_.layer for set_ in self.sets]),
            "checkpoints": (pa.list_(pa.string()), [list(set_.checkpoints) for set_ in self.sets]),
            "pooling": (pa.string(), [set_.pooling for set_ in self.sets]),
            "codec": (pa.string(), [set_.codec for set_ in self.sets]),
            "images": (pa.int64(), [set_.images for set_ in self.sets]),
            "bytes": (pa.int64(), [set_.bytes for set_ in self.sets]),
            "last_used": (pa.timestamp("us", tz="UTC"), [set_.usage.last for set_ in self.sets]),
            "asked": (pa.int64(), [set_.usage.asked for set_ in self.sets]),
            "saved": (pa.float64(), [set_.usage.saved for set_ in self.sets]),
            "pinned": (pa.bool_(), [set_.pinned for set_ in self.sets]),
            "seconds": (pa.float64(), [set_.seconds for set_ in self.sets]),
        }
        return pa.table({name: pa.array(values, type_) for name, (type_, values) in columns.items()})

    def to_pandas(self) -> pd.DataFrame:
        """The same as a DataFrame."""
        return frame_of(self.to_arrow())

    def __len__(self) -> int:
        return len(self.sets)

    def __iter__(self) -> Iterator[StoredSet]:
        return iter(self.sets)

    def __getitem__(self, place: int) -> StoredSet:
        return self.sets[place]

    def __str__(self) -> str:
        """The table, and the total size."""
        if not self.sets:
            return self._total()
        lines = [_HEAD, *(_cells(set_) for set_ in self.sets[:_SHOWN])]
        widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
        rows = ["  ".join(map(_aligned, _HEAD, line, widths)).rstrip() for line in lines]
        return "\n".join([*rows, *self._more(), self._total()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in _HEAD)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _cells(set_)) + "</tr>"
            for set_ in self.sets[:_SHOWN]
        )
        notes = "".join(f"<p>{escape(line)}</p>" for line in (*self._more(), self._total()))
        return f"<table><tr>{head}</tr>{body}</table>{notes}" if self.sets else notes

    def _more(self) -> list[str]:
        hidden = len(self.sets) - _SHOWN
        return [f"and {hidden} more sets: .to_pandas() has all of them"] if hidden > 0 else []

    def _total(self) -> str:
        number = "1 set takes" if len(self.sets) == 1 else f"{len(self.sets):,} sets take"
        total = f"{number} {human_size(self.bytes)}"
        if self.budget is None:
            return f'{total}; there is no budget, db.storage.budget = "20 GB" sets one.'
        if not self.over:
            return f"{total} of a budget of {human_size(self.budget)}."
        return (
            f"{total}, over the budget of {human_size(self.budget)} by {human_size(self.over)}: "
            "the first of these go when room is needed."
        )


def _cells(set_: StoredSet) -> tuple[str, ...]:
    more = f" and {len(set_.checkpoints) - 1} more" if len(set_.checkpoints) > 1 else ""
    return (
        f"{set_.layer} of {set_.checkpoints[0]}{more}" if set_.checkpoints else set_.layer,
        set_.pooling,
        set_.codec,
        f"{set_.images:,}",
        human_size(set_.bytes),
        "never" if set_.usage.last is None else f"{set_.usage.last:%Y-%m-%d %H:%M}",
        f"{set_.usage.asked:,}",
        "pinned" if set_.pinned else "",
        f"{set_.seconds:,.1f} s",
    )


def _aligned(name: str, cell: str, width: int) -> str:
    return cell.ljust(width) if name in _LEFT else cell.rjust(width)
