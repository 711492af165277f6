"""Data sets as users hold them."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

import odin_graph as og
from odin_graph.catalog.images.images import add_images
from odin_graph.client import LocalSession
from odin_graph.errors import ConflictError, DataError, UnknownNameError
from odin_graph.objects.query.query import Query
from odin_graph.objects.things.dataset import Dataset, Datasets
from odin_graph.query.expressions.expressions import F
from odin_graph.query.plan.plan import AllImages, Plan
from odin_graph.stores import Stores
from tests.catalog.test_images import batch


@pytest.fixture
def datasets(stores: Stores) -> Datasets:
    labels = ["cat", "dog", "owl"] * 4
    add_images(stores, batch(12, labels=labels, metadata={"patient": [f"p{n // 3}" for n in range(12)]}))
    return Datasets(LocalSession(stores))


@pytest.fixture
def images(stores: Stores, datasets: Datasets) -> Query:
    return Query(stores.address, Plan(AllImages()))


def test_made_of_a_query(datasets: Datasets, images: Query) -> None:
    made = datasets.add("pets", images.where(F("label") != "owl"), site="Ulm")
    assert (made.id, made.base, made.version, len(made)) == ("pets@1", "pets", 1, 8)
    assert made.labels == ["cat", "dog"] * 4
    assert made.classes == ["cat", "dog"]
    assert made.label_counts() == {"cat": 4, "dog": 4}
    assert made.metadata == {"site": "Ulm"}
    assert made.images().keys().tolist() == made.keys().tolist()
    assert datasets["pets"] == made == datasets["pets@1"]
    assert (datasets.ids(), len(datasets), "pets" in datasets, "pest" in datasets) == (["pets@1"], 1, True, False)


def test_made_of_ids_keys_and_images(datasets: Datasets) -> None:
    by_id = datasets.add("a", ["i3", "i1"])
    by_key = datasets.add("b", by_id.keys().tolist())
    assert by_id.labels == by_key.labels == ["cat", "dog"]
    assert by_id.digest == by_key.digest
    with pytest.raises(DataError, match="1 ids do not exist, first 'ghost'"):
        datasets.add("c", ["i1", "ghost"])


def test_labels_can_be_given(datasets: Datasets) -> None:
    made = datasets.add("a", ["i0", "i1"], labels=[["x"], ["x", "y"]])
    assert made.labels == [["x"], ["x", "y"]]
    assert made.classes == ["x", "y"]
    with pytest.raises(DataError, match="There are 2 images and 1 labels"):
        datasets.add("b", ["i0", "i1"], labels=["x"])
    with pytest.raises(DataError, match="The labels are of several types"):
        datasets.add("b", ["i0", "i1"], labels=["x", 1])
    with pytest.raises(DataError, match="a set, which has no order"):
        datasets.add("b", {"i0", "i1"}, labels=["x", "y"])
    assert sorted(datasets.add("c", {"i0", "i1"}).labels) == ["cat", "dog"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"i1": "x", "i0": "y"}, "'labels' is {'i1': 'x', 'i0': 'y'}: give one value an image"),
        ("xy", "'labels' is 'xy': give one value an image"),
        ([pd.Timestamp("2024-01-01 00:00:00.000000001")] * 2, "finer than microseconds"),
        ([date(2024, 1, 1), datetime(2024, 1, 1, 12, tzinfo=UTC)], "of several types"),
        (["x", "\ud800"], "half a character"),
        ([1, 2**63], "beyond 64 bits"),
        ([{"a": 1}] * 2, "of type dict, which is not stored"),
        ([{"x"}, {"y"}], "of type set, which is not stored"),
    ],
)
def test_what_are_no_labels_is_refused(datasets: Datasets, labels: Any, message: str) -> None:
    """None of them is cut, taken apart, or taken for another."""
    with pytest.raises(DataError, match=re.escape(message)):
        datasets.add("a", ["i0", "i1"], labels=labels)
    assert list(datasets) == []


def test_a_label_is_one_field(datasets: Datasets, images: Query) -> None:
    with pytest.raises(DataError, match="is not the name of a field"):
        datasets.add("a", images, label=["label", "id"])  # type: ignore[arg-type]


def test_a_subset_keeps_frozen_labels_and_lineage(stores: Stores, datasets: Datasets, images: Query) -> None:
    whole = datasets.add("pets", images)
    stores.graph.write("MATCH (i:Image) SET i.label = 'corrected'")
    cats = datasets.add("cats", whole.images().where(F("label") == "cat"))
    assert cats.labels == ["cat"] * 4
    rows = stores.graph.read(
        "MATCH (a:Dataset)-[r:DERIVED_FROM]->(b:Dataset) RETURN a.id AS a, r.query AS q, b.id AS b"
    )
    assert (rows[0]["a"], rows[0]["b"]) == ("cats@1", "pets@1")
    again = Query.from_json(stores.address, json.loads(rows[0]["q"]))
    assert again.keys().tolist() == cats.keys().tolist(), "the recorded query finds the same images"


def test_split_is_seeded_whole_and_derived(stores: Stores, datasets: Datasets, images: Query) -> None:
    pytest.importorskip("odin_graph.ingest.split")
    whole = datasets.add("pets", images)
    parts = whole.split({"train": 0.75, "test": 0.25}, stratify="label", seed=3)
    assert {name: part.id for name, part in parts.items()} == {"train": "pets/train@1", "test": "pets/test@1"}
    assert parts["train"].label_counts() == {"cat": 3, "dog": 3, "owl": 3}
    assert sorted(np.concatenate([part.keys() for part in parts.values()])) == sorted(whole.keys())
    assert whole.split({"train": 0.75, "test": 0.25}, stratify="label", seed=3) == parts
    with pytest.raises(ConflictError, match="revise=True"):
        whole.split({"train": 0.75, "test": 0.25}, stratify="label", seed=4)
    edges = stores.graph.read("MATCH (a:Dataset)-[:DERIVED_FROM]->(b:Dataset) RETURN a.id AS a, b.id AS b ORDER BY a")
    assert edges == [{"a": "pets/test@1", "b": "pets@1"}, {"a": "pets/train@1", "b": "pets@1"}]


def test_a_group_is_never_torn_apart(stores: Stores, datasets: Datasets, images: Query) -> None:
    pytest.importorskip("odin_graph.ingest.split")
    parts = datasets.add("pets", images).split({"train": 0.5, "test": 0.5}, group_by="patient", seed=0)
    patients = [set(part.images().to_arrow("patient").column("patient").to_pylist()) for part in parts.values()]
    assert not patients[0] & patients[1]
    assert patients[0] | patients[1] == {"p0", "p1", "p2", "p3"}


def test_prints_what_it_is(datasets: Datasets, images: Query) -> None:
    made = datasets.add("pets", images)
    assert repr(made) == f"Dataset('pets@1': 12 images, 3 classes of 'label', digest {made.digest[:12]})"
    assert "<td>cat</td><td align='right'>4</td>" in made._repr_html_()
    assert repr(datasets).splitlines()[1].split()[:3] == ["pets@1", "12", made.digest[:12]]
    assert "no labels" in repr(datasets.add("bare", images, label=None))


def test_unknown_names_list_what_there_is(datasets: Datasets, images: Query) -> None:
    datasets.add("pets", images)
    with pytest.raises(UnknownNameError, match=r"There is no data set 'pest'\. Did you mean 'pets'"):
        datasets["pest"]


def test_html_is_escaped(stores: Stores, datasets: Datasets) -> None:
    made = datasets.add("<b>", ["i0"], labels=["<script>"])
    assert isinstance(made, Dataset)
    assert "<script>" not in made._repr_html_()
    assert "<b><b>" not in made._repr_html_()


def test_every_step_and_operation_of_a_query_is_one_of_a_data_set(db: og.Workspace) -> None:
    """Also those that packages register, and what has another signature there keeps its own."""
    db.images.add(images=np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8), progress=False)
    some = db.datasets.add("some", db.images(), label=None)
    assert some.map(lambda image: int(image.pixels[0, 0, 0])).tolist() == [0, 64, 128, 192]
    assert some.center_crop(size=4)[0].pixels.shape == (4, 4, 1)
    assert len(some.patches(4)) == 16
    missing = {name for name in dir(db.images()) if not name.startswith("_") and not hasattr(some, name)}
    assert missing == {"purge", "from_json", "to_json"}
    with pytest.raises(AttributeError, match="no attribute 'mapp'"):
        some.mapp  # noqa: B018
