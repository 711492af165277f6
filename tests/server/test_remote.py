"""The query builder from far away gives what it gives beside the workspace; mistakes are the same errors."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom
from typing import Any

import hypothesis
import numpy as np
import pytest
from PIL import Image as PillowImage

import odin_graph as og
from odin_graph import F
from odin_graph.errors import QueryError
from odin_graph.objects.query.query import Query
from odin_graph.query.expressions.nodes import ImageField
from odin_graph.query.plan.plan import Members, Plan
from odin_graph.query.plan.steps.where import Where
from tests.query.strategies import predicates
from tests.server.serving import features

pytestmark = pytest.mark.one_engine  # far and near ask one graph: what is near is asked of both engines elsewhere

# Each is built on both, near and far.
QUERIES: dict[str, Callable[[Any], Any]] = {
    "all": lambda db: db.images(),
    "a data set": lambda db: db.images("retina-test"),
    "named": lambda db: db.images(["scan003.png", "scan001.png"]),
    "cypher": lambda db: db.images(cypher="MATCH (i:Image) WHERE i.age > $age RETURN i", age=40),
    "where": lambda db: db.images("retina-test").where(F("age") > 40, ~db.experiment("small-cnn/1").wrong),
    "text": lambda db: db.images().where(F("site").lower().matches("[a-l].*") | F("age").is_null()),
    "order": lambda db: db.images("retina-test").order_by(F("age").desc(), F("id"))[3:40:2],
    "sample": lambda db: db.images().sample(9, seed=3),
    "distinct": lambda db: db.images().distinct("site"),
    "columns": lambda db: db.images().with_columns(decade=og.fn.floor(F("age") / 10)).where(F("decade") == 4),
    "select": lambda db: db.images("retina-test").select("id", said=db.experiment("small-cnn/1").predicted),
    "union": lambda db: db.images("retina-test").limit(5).union(db.images().where(F("age") > 70)),
    "lineage": lambda db: db.images().where(og.in_dataset("retina-test") & ~og.derived_from("scan001.png")),
    "near": lambda db: db.images("retina-test").nearest(
        "scan003.png", by=db.experiment("small-cnn/1").layer("features"), k=5
    ),
    "near a vector": lambda db: db.images().nearest([7.2, 1.0], by=db.vectors["line"], k=4, metric="l2"),
    "near pixels": lambda db: db.images("retina-test").nearest(
        db.image("scan003.png").pixels, by=db.experiment("small-cnn/1").layer("features"), k=5
    ),
    "near several": lambda db: db.images().nearest(
        ["scan003.png", db.image("scan004.png")], unlike="scan009.png", by=db.vectors["line"], k=5
    ),
    "where units": lambda db: db.images("retina-test").where(
        (features(db).units[3] > 0.5) | ~(features(db).channels[2] < F("age") / 30)
    ),
    "highest": lambda db: db.images("retina-test").order_by(features(db).units[[3, 17, 28]].mean().desc()).limit(9),
    "weighted": lambda db: db.images("retina-test").order_by(features(db).units[[3, 17]].weighted([2, -0.5])),
    "near by units": lambda db: db.images("retina-test").nearest(
        "scan003.png", by=features(db).units[[3, 17, 28]][[2, 0]], k=5, metric="l1", weights=[1, 0.5]
    ),
    "near pixels by units": lambda db: db.images("retina-test").nearest(
        db.image("scan003.png").pixels, by=features(db).channels.mean()[[0, 1, 5]], k=5, metric="linf"
    ),
    "groups of units": lambda db: (
        db.images("retina-test").group_by("label").agg(most=features(db).units[[3, 17]].max().max(), n=og.count())
    ),
    "what units say": lambda db: db.images("retina-test").select("id", said=features(db).channels.argmax()[4].value()),
    "clusters of units": lambda db: db.images("retina-test").cluster(by=features(db).units[[3, 17, 28]], k=3),
    "clusters": lambda db: db.images("retina-test").cluster(by=db.vectors["line"], k=3),
    "representative": lambda db: db.images("retina-test").representative(
        4, by=db.experiment("small-cnn/1").layer("features")
    ),
    "groups": lambda db: (
        db.images("retina-test")
        .group_by("site", decade=og.fn.floor(F("age") / 10))
        .agg(n=og.count(), wrong=db.experiment("small-cnn/1").wrong.mean())
        .where(F("n") > 1)
    ),
    "experiments": lambda db: db.experiments.where(F("results.accuracy") > 0.1),
    "using": lambda db: db.models().using(db.images().where(F("age") > 40), role="test"),
    "data sets": lambda db: db.datasets(),
}


@pytest.mark.parametrize("name", QUERIES)
def test_the_same_query_gives_the_same_table(retina: og.Workspace, far: og.Workspace, name: str) -> None:
    here, there = QUERIES[name](retina), QUERIES[name](far)
    assert there.plan == here.plan
    expected = here.to_arrow()  # first: units that are missing are stored here, and not for a token that reads
    assert there.to_arrow().equals(expected)
    assert there.count() == len(there) == len(here)
    assert there.to_json() == here.to_json()
    assert repr(there).partition("(")[2] == repr(here).partition("(")[2]


def test_random_queries(retina: og.Workspace, far: og.Workspace, soak: bool) -> None:
    number = int(os.environ.get("ODIN_SEED") or SystemRandom().randrange(2**32))
    print(f"ODIN_SEED={number} repeats these cases")
    types = {ImageField("age"): "int", ImageField("iop"): "float", ImageField("site"): "string"}
    url = far._session.address

    @hypothesis.seed(number)
    @hypothesis.settings(
        max_examples=300 if soak else 25, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(said=predicates(types))
    def agree(said: Any) -> None:
        plan = Plan(Members("retina-test@1")).then(Where(said))
        here, there = Query(retina._stores.address, plan), Query(url, plan)
        try:
            expected = here.keys().tolist()
        except QueryError:  # of integers that leave 64 bits
            with pytest.raises(QueryError):
                there.keys()
            return
        assert there.keys().tolist() == expected

    agree()


def test_answers_in_other_forms(retina: og.Workspace, far: og.Workspace, tmp_path: Path) -> None:
    exp = retina.experiment("small-cnn/1")
    here, there = (db.images("retina-test").order_by(F("age")) for db in (retina, far))
    assert there.to_pandas("id", said=exp.predicted).equals(here.to_pandas("id", said=exp.predicted))
    assert [batch.num_rows for batch in there.to_batches("id", batch_size=50)] == [
        batch.num_rows for batch in here.to_batches("id", batch_size=50)
    ]
    for mine, theirs in zip(here[:5], there[:5], strict=True):
        assert (theirs.id, theirs.key, theirs.label, theirs["age"]) == (mine.id, mine.key, mine.label, mine["age"])
        np.testing.assert_array_equal(theirs.pixels, mine.pixels)
    assert there[-1].id == here[-1].id
    assert there[2].predictions() == far.image(here[2].id).predictions() != []
    assert str(there.explain()) == str(here.explain())
    assert there.explain(run=True).parts[0].rows == len(here)
    said, wanted = (q.where(F("age") > 40).to_cypher() for q in (there, here))
    assert (said.text, said.parameters) == (wanted.text, wanted.parameters)
    near = there.nearest("scan003.png", by=far.vectors["line"], k=3)
    with PillowImage.open(near.save(tmp_path / "near.png")) as sheet:
        assert min(sheet.size) > 100
    both = there.neighborhoods("scan003.png", a=exp.layer("features"), b=far.vectors["line"], k=5)
    assert (
        both.overlap
        == here.neighborhoods("scan003.png", a=exp.layer("features"), b=retina.vectors["line"], k=5).overlap
    )
    with pytest.raises(og.PositionError, match="no image at position 9999"):
        there[9999]


MISTAKES: list[Callable[[Any], Any]] = [
    lambda db: db.images("retina-tset"),
    lambda db: db.images("retina-test").where(F("lable") == "DME", F("age") > 60),
    lambda db: db.images().where(F("age") > "60"),
    lambda db: db.images().where(db.experiment("small-cnn/1").wrong),
    lambda db: db.images().nearest("scan003.png", by=db.vectors["clip"], k=3),
    lambda db: db.images().nearest("nobody.png", by=db.vectors["line"], k=3),
    lambda db: db.images().nearest([1.0, 2.0, 3.0], by=db.vectors["line"], k=3).to_arrow(),
    lambda db: db.images().nearest([1.0, 2.0], by=db.vectors["line"], k=0),
    lambda db: db.images("retina-test").nearest(b"GIF89a", by=db.experiment("small-cnn/1").layer("features"), k=3),
    lambda db: db.images().cluster(by=db.vectors["line"], k=3).to_cypher(),
    lambda db: db.images().limit(-1),
    lambda db: db.images().where(F("age") > 3).count(timeout=-1),
    lambda db: db.images(["scan003.png", "nobody.png"]),
    lambda db: db.images().where(features(db).units[[3, 17]] > 1),
    lambda db: db.images().where(features(db).units[[3, 17]][2] > 1),
    lambda db: db.images().where(features(db).units[512] > 1),
    lambda db: db.images().order_by(features(db).channels[[1, 8]].mean()),
    lambda db: db.images().order_by(features(db).units[[3, 17]].weighted([1, 2, 3])),
    lambda db: db.images().nearest([1.0, 2.0], by=features(db).units[[3, 17]], k=2, weights=[1, -2]),
    lambda db: db.images().order_by(db.experiment("small-cnn/1").layer("faetures").units[3].value()),
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_the_same_error(retina: og.Workspace, far: og.Workspace, mistake: Callable[[Any], Any]) -> None:
    with pytest.raises(og.OdinError) as here:
        mistake(retina)
    with pytest.raises(og.OdinError) as there:
        mistake(far)
    assert type(there.value) is type(here.value)
    assert str(there.value) == str(here.value)
    drawn = getattr(here.value, "__notes__", [])  # nothing, where names are looked up before there is a query
    assert not drawn or getattr(there.value, "__notes__", []) == drawn


def test_what_json_cannot_hold_is_refused(far: og.Workspace) -> None:
    eyes = features(far).units[[3, 17]]
    said = "a value that does not work over HTTP: NaN, infinity"
    for weights in ([1, float("nan")], [float("inf"), 1]):
        with pytest.raises(og.QueryError, match=said):
            far.images().order_by(eyes.weighted(weights))
        with pytest.raises(og.QueryError, match=said):
            far.images().nearest([1.0, 2.0], by=eyes, k=2, weights=weights)
    with pytest.raises(og.QueryError):
        far.images().nearest([1.0, float("nan")], by=eyes, k=2)


def test_bytes_of_a_file_travel(retina: og.Workspace, far: og.Workspace, tmp_path: Path) -> None:
    image = retina.images("retina-test")[5]
    out = io.BytesIO()
    PillowImage.fromarray(image.pixels[:, :, 0]).save(out, "PNG")
    (tmp_path / "new.png").write_bytes(out.getvalue())
    layer = far.experiment("small-cnn/1").layer("features")
    for file in (out.getvalue(), tmp_path / "new.png", PillowImage.open(out)):
        near = far.images("retina-test").nearest(file, by=layer, k=1)
        assert near[0].id == image.id
