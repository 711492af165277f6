"""Conditions on lineage, membership and use; the rank of the truth; columns of earlier steps as fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import odin_graph as og
from odin_graph import F, example
from odin_graph.errors import QueryError, UnknownNameError
from tests.kept import kept
from tests.stored import filled


@kept
def world(db: og.Workspace) -> og.Workspace:
    """Digits that are ``retina-test``; of the first ten, crops, and of two of these, blurred ones; a volume."""
    filled(db, example.build, experiments=1)
    crops = db.images()[:10].crop((1, 1, 6, 6)).store("crop", progress=False)
    crops[:2].blur(1.0).store("blur", progress=False)
    db.volumes.add("head", np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5), progress=False)
    return db


def ids(query: og.Query) -> set[str]:
    return set(query.to_arrow("id").column("id").to_pylist())


def test_lineage_as_a_condition(world: og.Workspace) -> None:
    every = world.images()
    made = {"scan000.png#crop", "scan000.png#crop#blur"}
    assert ids(every.where(og.derived_from("scan000.png"))) == made
    assert ids(every.where(og.has_root(world.images["scan000.png"]))) == made
    assert ids(every.where(og.derived_from("scan000.png#crop"))) == {"scan000.png#crop#blur"}
    assert ids(every.where(og.has_root("scan000.png#crop"))) == set()
    slices = ids(every.where(og.derived_from("head")))
    assert len(slices) == 3
    assert ids(every.where(og.has_root(world.volumes["head"]))) == slices
    assert ids(every.where(og.derived_from("scan001.png") | og.derived_from("head"))) == slices | {
        "scan001.png#crop",
        "scan001.png#crop#blur",
    }


def test_membership_and_use_as_conditions(world: og.Workspace) -> None:
    every = world.images()
    inside = ids(world.images("retina-test"))
    assert ids(every.where(og.in_dataset("retina-test"))) == inside
    assert ids(every.where(og.used_by("small-cnn/1"))) == inside
    assert ids(every.where(og.used_by(world.experiment("small-cnn/1"), role="test"))) == inside
    assert ids(every.where(og.used_by("small-cnn/1", role="train"))) == set()
    outside = every.where(~og.in_dataset("retina-test"))
    assert len(outside) == len(every) - len(inside)


@pytest.mark.parametrize(
    "said",
    [
        lambda: og.derived_from("scan000.png"),
        lambda: og.has_root("scan000.png"),
        lambda: og.in_dataset("retina-test"),
        lambda: og.used_by("small-cnn/1", role="test"),
        lambda: ~og.in_dataset("retina-test") & og.derived_from("head"),
    ],
)
def test_cypher_says_the_same(world: og.Workspace, said: Callable[[], Any]) -> None:
    query = world.images().where(said())
    statement = query.to_cypher()
    rows = world.cypher(statement.text, **statement.parameters)
    assert [row["key"] for row in rows] == query.keys().tolist() != []


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (lambda: og.derived_from("nobody"), "There is no image, volume or video 'nobody'"),
        (lambda: og.in_dataset("retina-tset"), "There is no data set 'retina-tset'. Did you mean 'retina-test'?"),
        (lambda: og.used_by("small-cnn/9"), "There is no experiment 'small-cnn/9'. Did you mean 'small-cnn/1'?"),
    ],
)
def test_a_relation_to_nothing_is_refused(world: og.Workspace, said: Callable[[], Any], message: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        world.images().where(said())
    assert message in str(caught.value)


def test_what_another_client_derived_has_the_roots_of_all_its_parents(world: og.Workspace) -> None:
    """By an edge alone, and of two: near, in Cypher, and sound to the doctor, which holds a root to be one of them."""
    a, b, c = [image.id for image in world.images("retina-test")[:3]]
    made = world.images([a]).crop((0, 0, 4, 4)).store("corner", progress=False)[0].id
    for child, parent in ((made, b), (c, b)):
        world.cypher(
            "MATCH (i:Image {id: $child}) MATCH (p:Image {id: $parent}) CREATE (i)-[:DERIVED_FROM]->(p)",
            child=child,
            parent=parent,
            write=True,
        )
    for root, wanted in ((a, {made}), (b, {made, c})):
        query = world.images().where(og.has_root(root))
        statement = query.to_cypher()
        assert {row["key"] for row in world.cypher(statement.text, **statement.parameters)} == set(
            query.keys().tolist()
        )
        assert set(ids(query)) >= wanted
    named = [str(fault) for fault in world.doctor().faults if made in str(fault)]
    assert named == []


def test_the_rank_of_the_truth(world: og.Workspace) -> None:
    exp, test = world.experiment("small-cnn/1"), world.images("retina-test")
    table = test.to_pandas("id", "label", rank=exp.rank, **{name: exp.probability(name) for name in example.NAMES})
    said, truth = table[list(example.NAMES)].to_numpy(), table["label"].to_numpy()
    own = said[np.arange(len(truth)), [example.NAMES.index(label) for label in truth]]
    assert np.array_equal(table["rank"], (said > own[:, None]).sum(axis=1) + 1)  # no ties among these
    assert ids(test.where(exp.rank == 1)) == ids(test.where(~exp.wrong))
    assert 0 < len(test.where(exp.rank > 1)) == len(test.where(exp.wrong))


def test_columns_of_earlier_steps_are_fields(world: og.Workspace) -> None:
    exp, test = world.experiment("small-cnn/1"), world.images("retina-test")
    doubled = test.with_columns(twice=F("age") * 2).where(F("twice") > 100)
    assert doubled.keys().tolist() == test.where(F("age") > 50).keys().tolist()
    assert doubled.order_by(F("twice").desc()).to_arrow("twice").column("twice")[0].as_py() == 158
    layer = exp.layer("features")
    near = test.nearest("scan000.png", by=layer, k=50)
    distances = near.to_arrow("distance").column("distance").to_numpy()
    limit = float(distances[20])
    assert near.where(F("distance") < limit).keys().tolist() == near.keys()[distances < limit].tolist()
    few = test.where(exp.wrong).representative(3, by=layer).where(F("pair_predicted") != F("pair_truth"))
    assert len(few) == 3
    with pytest.raises(UnknownNameError, match="There is no image field 'distance'"):
        test.where(F("distance") < 1)
    with pytest.raises(QueryError, match="compares a float with a string"):
        near.where(F("distance") < "1")
