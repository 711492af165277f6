"""Data set versions: frozen content under a digest, versions, members in order."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from odin_graph.catalog.datasets.datasets import Derivation, create_dataset, resolve
from odin_graph.catalog.images.images import add_images
from odin_graph.catalog.records import leases
from odin_graph.errors import ConflictError, DataError, UnknownNameError
from odin_graph.graph.member_chunks import draw_chunks, versions_with
from odin_graph.stores import Stores
from tests.catalog.test_images import batch
from tests.kept import kept


@kept
def keys(stores: Stores) -> np.ndarray:
    """Six images, labeled cat, dog, cat, dog ..."""
    return add_images(stores, batch(6, labels=["cat", "dog"] * 3, metadata={"age": [1, 2, 3, None, 5, 6]})).keys


def members(stores: Stores, id: str) -> list[tuple[int, Any]]:  # noqa: A002
    table = stores.columns.members(id)
    return list(zip(table.column("key").to_pylist(), table.column("label").to_pylist(), strict=True))


def test_order_and_labels_are_frozen(stores: Stores, keys: np.ndarray) -> None:
    order = keys[[4, 0, 3]]
    assert create_dataset(stores, "pets", order) == "pets@1"
    stores.graph.write("MATCH (i:Image) SET i.label = 'changed'")
    assert members(stores, "pets@1") == [(order[0], "cat"), (order[1], "cat"), (order[2], "dog")]
    rows = stores.graph.read(
        "MATCH (d:Dataset {id: 'pets@1'})-[:HAD_MEMBER]->(i) "
        "RETURN d.base AS base, d.version AS version, d.size AS size, d.state AS state, d.label_field AS field, "
        "d.lease_owner AS owner, collect(i.key) AS keys"
    )
    assert sorted(rows[0].pop("keys")) == sorted(order)
    assert rows == [{"base": "pets", "version": 1, "size": 3, "state": "ready", "field": "label", "owner": None}]


def test_same_content_is_the_same_version(stores: Stores, keys: np.ndarray) -> None:
    assert create_dataset(stores, "pets", keys) == create_dataset(stores, "pets", keys) == "pets@1"
    assert stores.graph.read("MATCH (d:Dataset) RETURN count(d) AS n") == [{"n": 1}]


@pytest.mark.parametrize("change", ["order", "images", "labels"])
def test_other_content_is_refused_or_a_revision(stores: Stores, keys: np.ndarray, change: str) -> None:
    create_dataset(stores, "pets", keys)
    other: dict[str, Any] = {
        "order": {"keys": keys[::-1]},
        "images": {"keys": keys[:5]},
        "labels": {"keys": keys, "labels": pa.array(["cat"] * 6)},
    }[change]
    with pytest.raises(ConflictError) as caught:
        create_dataset(stores, "pets", **other)
    assert str(caught.value) == (
        "The data set 'pets' exists with other images, another order or other labels (latest version: pets@1). "
        "A version is frozen: give another id, or revise=True to make pets@2."
    )
    assert create_dataset(stores, "pets", **other, revise=True) == "pets@2"
    assert create_dataset(stores, "pets", keys) == "pets@1", "content that was there stays the version it was"
    assert resolve(stores, "pets") == "pets@2"
    assert resolve(stores, "pets@1") == "pets@1"
    edges = stores.graph.read("MATCH (a:Dataset)-[:REVISION_OF]->(b:Dataset) RETURN a.id AS a, b.id AS b")
    assert edges == [{"a": "pets@2", "b": "pets@1"}]


def test_labels_of_other_types_are_other_labels(stores: Stores, keys: np.ndarray) -> None:
    ids = [
        create_dataset(stores, name, keys, labels=labels)
        for name, labels in {
            "int": pa.array([1] * 6),
            "float": pa.array([1.0] * 6),
            "bool": pa.array([True] * 6),
            "string": pa.array(["1"] * 6),
            "list": pa.array([["1"]] * 6),
        }.items()
    ]
    digests = stores.graph.read("MATCH (d:Dataset) RETURN DISTINCT d.digest AS digest")
    assert len(digests) == len(ids) == 5


def test_any_field_can_be_the_label(stores: Stores, keys: np.ndarray) -> None:
    create_dataset(stores, "ages", keys[:3], label="age")
    assert [label for _, label in members(stores, "ages@1")] == [1, 2, 3]


def test_missing_labels_are_named(stores: Stores, keys: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"1 of 6 images have no 'age', first 'i3'\."):
        create_dataset(stores, "ages", keys, label="age")
    assert create_dataset(stores, "unlabeled", keys, label=None) == "unlabeled@1"
    assert [label for _, label in members(stores, "unlabeled@1")] == [None] * 6


@pytest.mark.parametrize(
    ("pick", "says"),
    [
        ([0, 1, 0], "1 images are in the list twice, first 'i0'"),
        ([], "needs at least one image"),
    ],
)
def test_lists_that_are_no_set_are_refused(stores: Stores, keys: np.ndarray, pick: list[int], says: str) -> None:
    with pytest.raises(DataError, match=says):
        create_dataset(stores, "pets", keys[np.array(pick, int)])


def test_unknown_images_are_refused(stores: Stores, keys: np.ndarray) -> None:
    with pytest.raises(DataError, match="No image has the key 99999"):
        create_dataset(stores, "pets", np.array([keys[0], 99999]))


@pytest.mark.parametrize("base", ["", "pets@1"])
def test_ids_that_are_none_are_refused(stores: Stores, keys: np.ndarray, base: str) -> None:
    with pytest.raises(DataError, match="data set id"):
        create_dataset(stores, base, keys)


def test_unknown_data_sets_are_listed(stores: Stores, keys: np.ndarray) -> None:
    create_dataset(stores, "pets", keys)
    with pytest.raises(UnknownNameError) as caught:
        resolve(stores, "pest")
    assert str(caught.value) == "There is no data set 'pest'. Did you mean 'pets'? There is: pets."
    with pytest.raises(UnknownNameError):
        resolve(stores, "pets@2")


def test_a_subset_knows_what_it_came_from(stores: Stores, keys: np.ndarray) -> None:
    create_dataset(stores, "pets", keys)
    create_dataset(
        stores, "pets/train", keys[:4], derived=Derivation({"part": "train"}, "pets@1"), metadata={"site": "A"}
    )
    rows = stores.graph.read(
        "MATCH (a)-[r:DERIVED_FROM]->(b:Dataset) RETURN a.id AS a, a.site AS site, r.query AS query, b.id AS b"
    )
    assert rows == [{"a": "pets/train@1", "site": "A", "query": '{"part": "train"}', "b": "pets@1"}]


def test_an_unfinished_version_is_invisible_and_completed(stores: Stores, keys: np.ndarray) -> None:
    """As a crash leaves it: building, without its chunks, with some of the edges, its writer gone."""
    create_dataset(stores, "pets", keys)
    stores.graph.write(
        "MATCH (d:Dataset)-[m:HAD_MEMBER]->(i) WHERE i.key > $key "
        "SET d.state = 'building', d.lease_owner = 'elsewhere/1:1:0:ab', d.lease_until = 1.0 DELETE m",
        {"key": int(keys[2])},
    )
    stores.graph.write("MATCH (c:MemberChunk) DETACH DELETE c")
    with pytest.raises(UnknownNameError):
        resolve(stores, "pets")
    assert create_dataset(stores, "pets", keys) == "pets@1"
    rows = stores.graph.read("MATCH (d:Dataset {state: 'ready'})-[:HAD_MEMBER]->(i) RETURN i.key AS key ORDER BY key")
    assert [row["key"] for row in rows] == sorted(keys)
    assert versions_with(stores.graph.read, keys).keys() == {"pets@1"}


def test_a_version_that_another_process_writes_is_not_touched(stores: Stores, keys: np.ndarray) -> None:
    create_dataset(stores, "pets", keys)
    stores.graph.write("MATCH (d:Dataset) SET d.state = 'building'")
    with leases.acquire(stores.graph, "Dataset", "pets@1"):
        for content in (keys, keys[:2]):
            with pytest.raises(ConflictError, match="Dataset 'pets@1' is being written by process"):
                create_dataset(stores, "pets", content)


def test_versions_from_before_there_were_chunks_get_them_when_they_are_opened(stores: Stores, keys: np.ndarray) -> None:
    """Also a deleted one, since it can come back; one that is being made gets them from its writer."""
    create_dataset(stores, "pets", keys)
    create_dataset(stores, "dogs", keys[1::2])
    create_dataset(stores, "cats", keys[::2])
    before = stores.graph.read(
        "MATCH (c:MemberChunk) RETURN c.id AS id, c.keys AS keys, c.labels AS labels ORDER BY id"
    )
    stores.graph.write("MATCH (c:MemberChunk) DETACH DELETE c")
    stores.graph.write("MATCH (d:Dataset {id: 'dogs@1'}) SET d.deleted = true, d.state = 'deleted'")
    stores.graph.write("MATCH (d:Dataset {id: 'cats@1'}) SET d.state = 'building'")
    stores.graph.write("MATCH (w:Workspace) SET w.schema_version = 5")
    for _ in range(2):
        with closing(Stores.open(stores.address, create=False)) as opened:
            rows = opened.graph.read(
                "MATCH (c:MemberChunk) RETURN c.id AS id, c.keys AS keys, c.labels AS labels ORDER BY id"
            )
            assert rows == [row for row in before if not row["id"].startswith("cats")]
            assert opened.graph.read("MATCH (d:Dataset) WHERE d.odin_unchunked RETURN d.id AS id") == []


def test_chunks_are_found_from_either_end(stores: Stores) -> None:
    """Over many ranges, with few keys of a range and with many, whatever their order."""
    chance = np.random.default_rng(0)
    worlds = {f"d@{n}": np.sort(chance.choice(5_000, 1_500, replace=False)) for n in range(3)}
    for id_, members in worlds.items():
        stores.graph.write("CREATE (:Dataset {id: $id})", {"id": id_})
        table = pa.table({"key": chance.permutation(members), "label": pa.nulls(len(members))})
        for _ in range(2):  # the second time nothing is missing
            draw_chunks(stores.graph, id_, table)
    for asked in ([], [4_999], chance.choice(5_000, 40), np.arange(300, 2_000), np.arange(100_000, 100_003)):
        expected = {id_: np.intersect1d(asked, members).tolist() for id_, members in worlds.items()}
        found = versions_with(stores.graph.read, asked)
        assert {id_: own.tolist() for id_, own in found.items()} == {id_: own for id_, own in expected.items() if own}
