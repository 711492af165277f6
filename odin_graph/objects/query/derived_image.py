"""`DerivedImage`: one image after operations, or a patch of one. It is not stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from odin_graph.analysis.contact_sheet import ContactSheet, Tile, contact_sheet
from odin_graph.checked import checked_calls

if TYPE_CHECKING:
    from odin_graph.objects.things.image import Image


@checked_calls
@dataclass(frozen=True, eq=False, repr=False)
class DerivedImage:
    """One image after operations. It is not stored."""

    parent: Image
    pixels: NDArray[Any]
    """(h, w, bands)."""
    made: str
    """The operations, as text."""

    @property
    def label(self) -> Any:
        """The label of the parent."""
        return self.parent.label

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width and bands."""
        return self.pixels.shape

    def sheet(self) -> ContactSheet:
        """Its picture."""
        return contact_sheet([Tile(self.pixels, self.parent.id, truth=self.label, note=self.made)])

    def show(self) -> None:
        """Display it."""
        self.sheet().show()

    def save(self, path: str | Path) -> Path:
        """Write the picture that `show` displays."""
        return self.sheet().save(path)

    def __repr__(self) -> str:
        return f"DerivedImage({self.parent.id!r}{self.made}: {self.shape} {self.pixels.dtype})"
