"""Splits of a data set version: they look up fields, keep images in their parts, and warn of what was not reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.datasets.datasets import keep_warnings, latest_query
from odin_graph.catalog.datasets.sides import sides_of
from odin_graph.errors import DataError, SplitWarning
from odin_graph.ingest.shares import missed
from odin_graph.ingest.split import split_positions
from odin_graph.stores import Stores
from odin_graph.warned import warn

if TYPE_CHECKING:
    from odin_graph.objects.things.dataset_ops import DatasetOps


def deal(
    dataset: DatasetOps,
    fractions: Mapping[str, float],
    keep: Mapping[str, str] | None,
    *,
    seed: int,
    folds: bool = False,
    **named: str | None,
) -> tuple[dict[str, NDArray[np.int64]], list[str]]:
    """Positions by part, and what was not reached.

    Args:
        dataset: What is split.
        fractions: The shares of the parts.
        keep: The id, without a version, of each part's data set, where images keep their side.
        seed: Of the draw.
        folds: Whether the parts are folds.
        named: Fields: ``stratify``, ``group_by``, ``time``.
    """
    stores, values = dataset._stores, dataset._field  # noqa: SLF001 - a part of it
    fields = {name: (field, values(field)) for name, field in named.items() if field is not None}
    ids = values("id")  # the same images are dealt alike, whatever order they were stored in
    keys = np.array(values("key"), np.int64)
    parts = split_positions(
        len(ids),
        fractions,
        **{name: column for name, (_, column) in fields.items()},
        sides=None if keep is None else sides_of(stores, keep, keys, fields.get("group_by")),
        ids=ids,
        seed=seed,
    )
    field = dataset._record.get("label_field")  # noqa: SLF001 - a part of it
    labels = None if field is None else (str(field), values("label"))
    return parts, missed(parts, fractions, labels=labels, folds=folds, **fields)


def changed(stores: Stores, base: str, options: Mapping[str, Any]) -> list[str]:
    """A sentence if a part was split with other options: those of now apply only to new images, the others stay.

    Args:
        stores: The open workspace.
        base: The part's data set, without a version.
        options: The options of now.

    Raises:
        DataError: It has another number of folds, among which images cannot keep theirs.
    """
    last = latest_query(stores, base)
    if "odin_split" not in last:
        return []
    other = {name: last.get(name) for name, value in options.items() if last.get(name) != value}
    if "folds" in other:
        raise DataError(
            f"{base!r} has {other['folds'] or 'no'} folds, so images cannot stay in their folds among "
            f"{options['folds']}: redraw=True draws everything again."
        )
    if not other:
        return []
    now = ", ".join(f"{name}={options[name]!r} (it was {value!r})" for name, value in other.items())
    return [f"Images stay in their parts: {now} applies only to new images. redraw=True draws everything again."]


def warn_of_split(stores: Stores, ids: Sequence[str], notes: Sequence[str]) -> None:
    """Warn of what was not reached, and store it on the data sets."""
    if notes:
        keep_warnings(stores, ids, notes)
        text = "\n".join(notes)
        warn(
            f"The split of {ids[0]} is not as asked. {text}\nIt is kept: db.datasets[{ids[0]!r}].warnings.",
            SplitWarning,
        )
