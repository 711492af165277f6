"""Whatever is inserted, updated, corrected, deleted, revised and purged, in whatever order: a dict says the same."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import odin_graph as og
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.client import LocalSession
from odin_graph.errors import ConflictError, DataError, FrozenError, UnknownNameError
from odin_graph.stores import Stores
from tests.conftest import Engine
from tests.shares import share

NAMES = ["a", "b", "c", "d"]
LABELS = ["cat", "dog"]


@dataclass
class Truth:
    """The same workspace as a dict would hold it."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By id: pixel value, label and age of images that are there."""
    gone: set[str] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)
    """Members of the version ``all@1``, once it is made."""


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    names = st.sampled_from(NAMES)
    some = st.lists(names, min_size=1, max_size=3, unique=True)
    label = st.sampled_from(LABELS)
    step = st.one_of(
        st.tuples(st.just("insert"), names, label),
        st.tuples(st.just("update"), some, st.integers(0, 99)),
        st.tuples(st.just("label"), some, label),
        st.tuples(st.just("delete"), some, st.booleans()),
        st.tuples(st.just("purge"), some, st.booleans()),
        st.tuples(st.just("freeze")),
    )
    return draw(st.lists(step, min_size=4, max_size=10))


def apply(db: og.Workspace, truth: Truth, step: tuple[Any, ...]) -> None:  # noqa: C901 - one case a verb
    """Do a step in the workspace and in the dict; both refuse it, or neither."""
    match step:
        case ("insert", name, label):
            pixels = np.full((1, 3, 3), NAMES.index(name), np.uint8)

            def insert() -> None:
                db.images.add(images=pixels, ids=[name], labels=[label], metadata={"age": [1]})

            if name in truth.gone:
                refused(insert, ConflictError)
            elif name not in truth.rows:
                insert()
                truth.rows[name] = {"label": label, "age": 1}
        case ("update", names, age):
            table = {"id": names, "age": [age + place for place in range(len(names))]}
            if set(names) <= truth.rows.keys():
                db.images.update(table)
                for place, name in enumerate(names):
                    truth.rows[name]["age"] = age + place
            else:
                refused(lambda: db.images.update(table), DataError)
        case ("label", names, label):
            if set(names) <= truth.rows.keys():
                changed = sum(truth.rows[name]["label"] != label for name in names)
                assert db.labels.update(dict.fromkeys(names, label)).changed == changed
                for name in names:
                    truth.rows[name]["label"] = label
            else:
                refused(lambda: db.labels.update(dict.fromkeys(names, label)), DataError)
        case ("delete" | "purge" as verb, names, force):
            known = truth.rows.keys() | truth.gone
            if not set(names) <= known:
                refused(lambda: getattr(db.images, verb)(names, force=force), UnknownNameError)
                return
            used = set(names) & truth.frozen
            counts = used if verb == "purge" else used & truth.rows.keys()  # a tombstone is not deleted again
            if counts and not force:
                refused(lambda: getattr(db.images, verb)(names), FrozenError)
                return
            getattr(db.images, verb)(names, force=force)
            truth.gone |= set(names)
            for name in names:
                truth.rows.pop(name, None)
        case ("freeze",):
            if truth.rows and not truth.frozen:
                db.datasets.add("all", db.images())
                truth.frozen = set(truth.rows)


def refused(call: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        call()


def check(db: og.Workspace, truth: Truth) -> None:
    """Every reader shows what the dict holds."""
    expected = {name: {**row, "pixels": NAMES.index(name)} for name, row in truth.rows.items()}
    table = db.images().to_arrow("id", "label", "age").to_pylist() if expected else []
    assert {row["id"]: {"label": row["label"], "age": row["age"]} for row in table} == truth.rows
    shown = {i.id: {"label": i.label, "age": i.age, "pixels": int(i.pixels[0, 0, 0])} for i in db.images()}
    assert shown == expected
    assert len(db.images) == len(expected)
    if truth.frozen:
        held = db.datasets["all"]
        assert (held.size, len(held)) == (len(truth.frozen), len(truth.frozen & truth.rows.keys()))
        assert held.deleted_members() == sorted(truth.frozen - truth.rows.keys())
        assert {image.id for image in held.images()} == truth.frozen & truth.rows.keys()
    assert set(db.deletions()["id"]) == truth.gone
    report = examine(db._stores, deep=True)
    assert report.sound, str(report)


@settings(max_examples=share(10))
@given(steps=steps())
def test_a_dict_says_the_same(engine: Engine, steps: list[tuple[Any, ...]]) -> None:
    engine.wipe()
    with tempfile.TemporaryDirectory() as folder:
        stores = Stores.open(engine.address(Path(folder) / "arrays"))
        stores.keep()
        with og.Workspace(LocalSession(stores)) as db:
            truth = Truth()
            for name in NAMES[:2]:
                apply(db, truth, ("insert", name, "cat"))
            for step in steps:
                apply(db, truth, step)
            check(db, truth)
