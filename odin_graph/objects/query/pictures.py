"""How a query looks: its contact sheet, and its display in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from odin_graph.analysis.contact_sheet import MOST, ContactSheet, Scaling, Tile, contact_sheet, images_shown
from odin_graph.errors import QueryError
from odin_graph.objects.base.readable import readable
from odin_graph.query.expressions.nodes import PredictionField
from odin_graph.query.expressions.predictions import PredictionExpressions, PredictionsOn
from odin_graph.query.plan.plan import Plan
from odin_graph.query.plan.steps.from_vectors import FromVectors
from odin_graph.query.plan.steps.nearest import Nearest
from odin_graph.query.plan.steps.representative import Representative
from odin_graph.query.plan.steps.select import Select

if TYPE_CHECKING:
    from odin_graph.objects.query.answers import ImageAnswers

_ROWS = 10
"""Rows of a notebook's display."""
_TEXTS = ("predicted", "confidence", "wrong", "stands_for", "distance")
"""Columns that a tile has words for."""


def sheet_of(
    query: ImageAnswers[Any], predictions: PredictionExpressions | None, title: str | None, scale: Scaling = "sheet"
) -> ContactSheet:
    """The images of a query on one sheet; before its neighbors the stored image that they are the nearest to.

    Args:
        query: At least one image.
        predictions: Whose predictions stand below the images; None is the experiment that the query speaks of first.
        title: None is the query and its count.
        scale: That of the sheet, or ``image`` for one an image.
    """
    chosen = predictions or _first_predictions(query.plan)
    columns = {} if chosen is None else {name: getattr(chosen, name) for name in ("predicted", "confidence", "wrong")}
    table = query.to_arrow("id", "label", **columns)
    if not table.num_rows:
        raise QueryError(f"{query.plan.spell()} selects no images, so there is nothing to show.")
    shown = table.slice(0, MOST)
    pixels = query._displayed(shown)  # noqa: SLF001 - as the images of the same module are
    tiles = _example_tiles(query)
    tiles += [
        Tile(
            image,
            row["id"],
            truth=row["label"],
            **{name: row[name] for name in _TEXTS if name in row},
            note="no prediction" if columns and row["predicted"] is None else None,
        )
        for row, image in zip(shown.to_pylist(), pixels, strict=True)
    ]
    title = f"{query.plan.spell()}: {images_shown(table.num_rows)}" if title is None else title
    return contact_sheet(tiles, title=title, scale=scale)


def _example_tiles(query: ImageAnswers[Any]) -> list[Tile]:
    last = next((step for step in reversed(query.plan.steps) if isinstance(step, Nearest)), None)
    keys = [] if last is None else [example.image for example in last.like if example.image is not None]
    if not keys:
        return []
    images = query._images_of(np.array(keys, np.int64))  # noqa: SLF001
    return [Tile(image.overview, image.id, truth=image.label, asked=True) for image in images]


def html_of(query: ImageAnswers[Any], *, ran: bool) -> str:
    """The query, its count and its first images; a display never starts a model.

    Args:
        query: The query.
        ran: Whether its answer is there already.
    """
    head = f"<code>{escape(query.plan.spell())}</code>"
    if ran:
        first = query.to_pandas().head(_ROWS)
    elif any(isinstance(step, Nearest | FromVectors | Representative) for step in query.plan.steps):
        return f"{head}<br>not run yet"
    else:
        first = query[:_ROWS].to_pandas()
    if not any(isinstance(step, Select) for step in query.plan.steps):  # who selects columns wants them
        first = readable(first)
    return f"{head}<br>{query.count():,} images{first.to_html(index=False, border=0)}"


def _first_predictions(plan: Plan) -> PredictionExpressions | None:
    for field in plan.fields():
        if isinstance(field, PredictionField) and field.dataset is not None:
            return PredictionsOn(field.experiment, field.dataset)
    return None
