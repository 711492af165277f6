"""Functions of lists, and the length that texts have too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.errors import ExpressionError
from odin_graph.query.expressions.datum import Datum, comparable
from odin_graph.query.expressions.functions.function import LIST, SCALARS, TEXT_OR_LIST, Takes, function

ITEM: Final = Takes(frozenset(SCALARS))


def _fits(types: Sequence[str]) -> str:
    list_type, item_type = types
    number = {"int", "float"}
    if (
        "null" not in types
        and list_type != f"list[{item_type}]"
        and not (item_type in number and list_type[5:-1] in number)
    ):
        raise ExpressionError(f"a {list_type} has no {item_type}: give a {list_type[5:-1]}")
    return "bool"


@function("has", LIST, ITEM, gives=_fits, cypher="{1} IN {0}")
def has(lists: Datum, item: Datum) -> Datum:
    """Whether a list holds an item; nothing is in an empty list."""
    if isinstance(lists, pa.Scalar):
        return (
            pa.scalar(None, pa.bool_()) if not lists.is_valid or not item.is_valid else pa.scalar(item in lists.values)
        )
    rows = len(lists)
    parents = pc.list_parent_indices(lists).to_numpy()
    items = item if isinstance(item, pa.Scalar) else item.take(pa.array(parents))
    equal = pc.fill_null(pc.equal(*comparable(pc.list_flatten(lists), items)), False).to_numpy(zero_copy_only=False)
    found = np.zeros(rows, bool)
    found[parents[equal]] = True
    missing = pc.is_null(lists).to_numpy(zero_copy_only=False)
    if isinstance(item, pa.Scalar):
        missing = missing | (not item.is_valid)
    else:
        missing = missing | pc.is_null(item).to_numpy(zero_copy_only=False)
    return pa.array(found, mask=missing)


@function("length", TEXT_OR_LIST, gives="int", cypher="size({0})")
def length(values: Datum) -> Datum:
    """How many characters a text has, or items a list."""
    count = pc.list_value_length if pa.types.is_list(values.type) else pc.utf8_length
    return pc.cast(count(values), pa.int64())
