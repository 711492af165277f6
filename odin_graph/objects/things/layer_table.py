"""``model.layers()``, ``checkpoint.layers()``: the layers of a model, and the bytes to store them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, overload

import numpy as np

from odin_graph.arrays.units import DTYPES
from odin_graph.errors import UnknownNameError

if TYPE_CHECKING:
    import pandas as pd

    from odin_graph.runtime.layers.layers import LayerRow

_IMAGES = 1_000
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One layer, and the bytes of its units for 1,000 images in each codec, before compression."""

    name: str
    """The name for `exp.layer`. A module that runs several times has one line for each call, ``relu#2``."""
    type: str
    shape: tuple[int, ...] | None
    """The shape of its output for one image; None if it is not known before the layer runs."""
    units: int | None
    parameters: int
    u8: int | None
    f16: int | None
    f32: int | None

    @classmethod
    def of(cls, row: LayerRow, name: str) -> LayerCost:
        """From the model's table."""
        each = {
            codec: None if row.units is None else row.units * _IMAGES * np.dtype(dtype).itemsize
            for codec, dtype in DTYPES.items()
        }
        return cls(name, row.type, row.shape, row.units, row.parameters, **each)


class LayerTable(Sequence[LayerCost]):
    """The layers that run, in the order of definition; ``table["features.28"]`` is one, ``to_pandas()`` gives all."""

    def __init__(self, rows: Sequence[LayerCost]) -> None:
        self._rows = tuple(rows)

    @classmethod
    def of(cls, table: Sequence[LayerRow]) -> LayerTable:
        """From a model's table: without the model itself, and without what does not run by itself."""
        found: list[LayerCost] = []
        unknown = all(row.calls == 0 for row in table)
        for row in table:
            if row.name and row.calls > 1:
                found += [LayerCost.of(row.of_call(call), f"{row.name}#{call}") for call in range(1, row.calls + 1)]
            elif row.name and (row.calls or unknown):
                found.append(LayerCost.of(row, row.name))
        return cls(found)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all layers."""
        return tuple(row.name for row in self._rows)

    def to_pandas(self) -> pd.DataFrame:
        """One row for each layer."""
        import pandas as pd

        names = LayerCost.__slots__
        return pd.DataFrame({name: [getattr(row, name) for row in self._rows] for name in names})

    @overload
    def __getitem__(self, place: int | str) -> LayerCost: ...
    @overload
    def __getitem__(self, place: slice) -> LayerTable: ...
    def __getitem__(self, place: int | str | slice) -> LayerCost | LayerTable:
        """By position or by name.

        Raises:
            UnknownNameError: The layer does not exist. The message lists the layers.
        """
        if isinstance(place, slice):
            return LayerTable(self._rows[place])
        if isinstance(place, int):
            return self._rows[place]
        for row in self._rows:
            if row.name == place:
                return row
        raise UnknownNameError.of("layer", place, self.names)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[LayerCost]:
        return iter(self._rows)

    def __repr__(self) -> str:
        head = ("layer", "type", "output", "units", "parameters", "u8", "f16", "f32")
        lines = [head, *(self._cells(row) for row in self._rows[:_SHOWN])]
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        ways = [str.ljust] * 3 + [str.rjust] * 5  # names to the left, numbers to the right
        text = ["  ".join(map(_put, line, widths, ways)) for line in lines]
        return "\n".join([*text, *self._more(), "Bytes are those of 1,000 images before compression."])

    def _repr_html_(self) -> str:
        names = ("layer", "type", "output", "units", "parameters", "u8", "f16", "f32")
        head = "".join(f"<th>{name}</th>" for name in names)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in self._cells(row)) + "</tr>"
            for row in self._rows[:_SHOWN]
        )
        more = "".join(f"<p>{line}</p>" for line in self._more())
        return f"<table><tr>{head}</tr>{body}</table>{more}<p>Bytes are those of 1,000 images before compression.</p>"

    def _more(self) -> list[str]:
        hidden = len(self._rows) - _SHOWN
        return [f"and {hidden} more layers: .to_pandas() has all of them"] if hidden > 0 else []

    @staticmethod
    def _cells(row: LayerCost) -> tuple[str, ...]:
        shape = "" if row.shape is None else " x ".join(map(str, row.shape))
        units = "" if row.units is None else f"{row.units:,}"
        return (row.name, row.type, shape, units, f"{row.parameters:,}", *map(_size, (row.u8, row.f16, row.f32)))


def _put(cell: str, width: int, way: Callable[[str, int], str]) -> str:
    return way(cell, width)


def _size(size: int | None) -> str:
    if size is None:
        return ""
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if size >= 1024**power:
            return f"{size / 1024**power:,.1f} {unit}"
    return f"{size} B"
