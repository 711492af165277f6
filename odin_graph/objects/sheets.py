"""A query as a contact sheet: its images with truth, prediction and confidence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from odin_graph.analysis.contact_sheet import MOST, ContactSheet, Tile, contact_sheet
from odin_graph.catalog.pixels import ARRAY
from odin_graph.errors import QueryError
from odin_graph.query.expressions import Expr
from odin_graph.query.nodes import Part, PredictionField, PredictionName
from odin_graph.query.outline import outline
from odin_graph.query.plan import LayerOf

if TYPE_CHECKING:
    from odin_graph.objects.query import Query

_SAID: Final[tuple[PredictionName, ...]] = ("predicted", "confidence")


def sheet_of(query: Query, *, title: str | None = None, columns: int | None = None) -> ContactSheet:
    """Draw the images of a query, in its order.

    What the first experiment that the query speaks of said of them is written below each, where it said something.

    Args:
        query: What to draw.
        title: Stands above; by default the query in words.
        columns: Images a row.
    """
    table = _described(query)
    keys = table.column("key").to_numpy()
    pixels = query._stores.columns.array(ARRAY).read_list(keys[:MOST])  # noqa: SLF001 - the query's own module family
    rows = table.select([name for name in table.column_names if name != "key"]).to_pylist()
    tiles = [_tile(image, row) for image, row in zip(pixels, rows, strict=False)]
    tiles += [tiles[-1]] * (len(keys) - len(tiles))  # counted in the title, not drawn
    return contact_sheet(tiles, title=outline(query.plan) if title is None else title, columns=columns)


def _described(query: Query) -> Any:
    names = ["id", "label"]
    experiment = next(_experiments(query.plan), None)
    if experiment is None:
        return query.to_arrow(*names)
    predicted, confidence = (Expr(PredictionField(experiment, None, name)) for name in _SAID)
    try:
        said = query.with_columns(odin_said=predicted, odin_sure=confidence)
    except QueryError:  # it said nothing of these images: the pictures are still worth a look
        return query.to_arrow(*names)
    return said.to_arrow(*names)


def _experiments(part: Any) -> Iterator[str]:
    """The experiments that a plan speaks of, in its order."""
    if isinstance(part, LayerOf | PredictionField):
        yield part.experiment
    if isinstance(part, Part):
        for name in part.__slots__:
            yield from _experiments(getattr(part, name))
    elif isinstance(part, tuple):
        for item in part:
            yield from _experiments(item)


def _tile(pixels: Any, row: dict[str, Any]) -> Tile:
    return Tile(
        pixels,
        name=row["id"],
        truth=row.get("label"),
        predicted=row.get("odin_said"),
        confidence=row.get("odin_sure"),
        stands_for=row.get("stands_for"),
        distance=row.get("distance"),
    )
