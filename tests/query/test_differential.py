"""Columns, Cypher and a plain loop give one answer to random queries, on both engines."""

from __future__ import annotations

import os
from contextlib import suppress
from random import Random, SystemRandom

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from odin_graph.errors import QueryError
from odin_graph.objects.query.query import Query
from odin_graph.query.expressions.nodes import FrozenLabel, Node, SortKey
from odin_graph.query.plan.plan import Members, Plan
from odin_graph.query.plan.steps.order_by import OrderBy
from odin_graph.query.plan.steps.where import Where
from odin_graph.stores import Stores

from .oracle import value_of
from .strategies import predicates
from .worlds import World, build

CASES = [30, pytest.param(2_000, marks=pytest.mark.soak)]


@pytest.mark.parametrize("cases", CASES)
def test_columns_and_cypher_agree_with_a_loop(stores: Stores, cases: int) -> None:
    number = int(os.environ.get("ODIN_SEED") or SystemRandom().randrange(2**32))
    print(f"ODIN_SEED={number} repeats these cases")
    world = build(stores, Random(number))
    in_graph = {field: type_ for field, type_ in world.types.items() if not isinstance(field, FrozenLabel)}
    ordered_by = [field for field, type_ in in_graph.items() if not type_.startswith("list[")]
    keys = st.lists(st.builds(SortKey, st.sampled_from(ordered_by), st.booleans()), min_size=1, max_size=2)

    @seed(number)
    @settings(max_examples=cases, database=None, suppress_health_check=list(HealthCheck))
    @given(said=predicates(in_graph), order=keys)
    def agree(said: Node, order: list[SortKey]) -> None:
        plan = Plan(Members(world.dataset)).then(Where(said))
        query = Query.from_json(stores.address, Query(stores.address, plan).to_json())
        try:
            expected = [key for key in world.keys if value_of(said, world.rows[key]) is True]
        except OverflowError:  # unless what overflows was left out before, it is refused; it never goes round
            with suppress(QueryError):
                query.keys()
            return
        assert query.keys().tolist() == expected
        ordered = Query(stores.address, query.plan.then(OrderBy(tuple(order))))
        expected = in_order(world, expected, order)
        assert ordered.keys().tolist() == expected
        statement = ordered.to_cypher()
        assert [row["key"] for row in stores.graph.user_read(statement.text, statement.parameters)] == expected

    agree()


def in_order(world: World, keys: list[int], order: list[SortKey]) -> list[int]:
    """Ties by key; a stable sort by each key, the last one first, then missing values to the end."""
    found = sorted(keys)
    for key in reversed(order):
        values = {image: value_of(key.value, world.rows[image]) for image in found}
        some = [image for image in found if values[image] is not None]
        some = sorted(some, key=values.__getitem__, reverse=key.descending)
        found = some + [image for image in found if values[image] is None]
    return found
