"""A field changes its type while others write it: nothing of the old type stays, and no value is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import odin_graph as og
from odin_graph.catalog.records import retype as retyping
from odin_graph.catalog.records.fields import NewValues
from odin_graph.errors import MetadataError

PIXELS = np.zeros((4, 4, 4), np.uint8)
WRITES: dict[str, tuple[Callable[[og.Workspace], object], list[float | None]]] = {
    "others are added": (
        lambda db: db.images.add(images=PIXELS[:1] + 1, metadata={"age": [5]}, prefix="new", progress=False),
        [1.0, 2.0, None, 4.0, 5.0],
    ),
    "a value where none was": (lambda db: db.images.update({"image/000002": {"age": 3}}), [1.0, 2.0, 3.0, 4.0]),
    "another value": (lambda db: db.images.update({"image/000001": {"age": 7}}), [1.0, 7.0, None, 4.0]),
    "a value is taken away": (lambda db: db.images(["image/000001"]).update(age=None), [1.0, None, None, 4.0]),
}


@pytest.fixture
def aged(db: og.Workspace) -> og.Workspace:
    db.images.add(images=PIXELS, metadata={"age": [1, 2, None, 4]}, progress=False)
    return db


def ages(db: og.Workspace) -> list[Any]:
    """As the graph has them: a float that is stored as an int would read as one."""
    return [row["age"] for row in db.cypher("MATCH (i:Image) RETURN i.age AS age ORDER BY i.key")]


def retyped_once(monkeypatch: pytest.MonkeyPatch, db: og.Workspace, to: type) -> None:
    """Between the moment when the next writer learns the types and its first value, the type changes."""
    record, done = NewValues.record_columns, threading.Event()

    def then(*args: Any) -> dict[str, list[Any]]:
        columns = record(*args)
        if not done.is_set():
            done.set()
            db.fields.retype("age", to)
        return columns

    monkeypatch.setattr(NewValues, "record_columns", then)


@pytest.mark.parametrize("name", WRITES)
def test_a_writer_that_learned_the_type_before(aged: og.Workspace, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It writes values of the new type."""
    write, expected = WRITES[name]
    retyped_once(monkeypatch, aged, float)
    write(aged)
    found = ages(aged)
    assert found == expected
    assert {type(age) for age in found} - {type(None)} == {float}
    assert aged.doctor().sound


def test_a_writer_whose_values_are_none_of_the_new_type_is_refused(
    aged: og.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    retyped_once(monkeypatch, aged, str)
    with pytest.raises(MetadataError, match=r"Image\.age is string, and a value of it is int"):
        aged.images.add(images=PIXELS[:1] + 1, metadata={"age": [5]}, prefix="new", progress=False)
    assert ages(aged) == ["1", "2", None, "4"]
    assert aged.doctor().sound


@pytest.mark.parametrize("name", WRITES)
def test_a_writer_while_the_values_are_converted(
    aged: og.Workspace, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It comes first or last, and its value is there, of the new type."""
    write, expected = WRITES[name]
    values, writers = retyping._values, []

    def then(*args: Any) -> Iterator[dict[str, Any]]:
        rows = list(values(*args))
        if not writers:
            writers.append(threading.Thread(target=write, args=(aged,)))
            writers[0].start()
            writers[0].join(1)  # on Neo4j it waits for the one that is at work here
        yield from rows

    monkeypatch.setattr(retyping, "_values", then)
    aged.fields.retype("age", float)
    writers[0].join()
    found = ages(aged)
    assert found == expected
    assert {type(age) for age in found} - {type(None)} == {float}
    assert aged.doctor().sound
