"""The query builder from far away gives what it gives beside the workspace, and says what does not travel."""

from __future__ import annotations

import base64
import io
import os
import pickle
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import SystemRandom
from typing import Any

import hypothesis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
import trustme
from fastapi.testclient import TestClient
from PIL import Image as PillowImage

import odin_graph as og
from odin_graph import F
from odin_graph.address import Remote
from odin_graph.analysis.units.kinds import Hypothesis
from odin_graph.catalog.doctor import doctor
from odin_graph.catalog.doctor.checks.fault import Fault
from odin_graph.catalog.records.tokens import create_token, revoke_token
from odin_graph.deadline import deadline
from odin_graph.errors import QueryError
from odin_graph.objects.query.query import Query
from odin_graph.query.expressions.nodes import ImageField
from odin_graph.query.plan.plan import AllImages, Members, Plan
from odin_graph.query.plan.steps.where import Where
from odin_graph.server import Settings
from tests.query.strategies import predicates
from tests.server.serving import cut_after, served


@pytest.fixture(scope="module")
def port(retina: og.Workspace) -> Iterator[int]:
    retina.vectors.add("line", retina.images(), [[float(n), 1.0] for n in range(len(retina.images()))])
    with served(retina, Settings(cypher=True)) as number:
        yield number


@pytest.fixture(scope="module")
def far(port: int, secret: str) -> Iterator[og.Workspace]:
    with og.connect(f"http://127.0.0.1:{port}", token=secret) as workspace:
        yield workspace


def features(db: Any) -> Any:
    return db.experiment("small-cnn/1").layer("features")


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


def test_what_there_is(retina: og.Workspace, far: og.Workspace) -> None:
    retina.views.add("young", retina.images().where(F("age") < 40))
    retina.views.add("by site", retina.images().group_by("site").count())
    assert far.views.ids() == ["by site", "young"]
    assert (
        far.views["young"]
        .where(F("site") == "Lima")
        .to_arrow()
        .equals(  # type: ignore[union-attr]
            retina.images().where(F("age") < 40, F("site") == "Lima").to_arrow()
        )
    )
    assert far.views["by site"].to_arrow().equals(retina.images().group_by("site").count().to_arrow())
    assert far.vectors.ids() == ["line"]
    assert (far.datasets.ids(), far.models.ids()) == (["retina-test@1"], ["small-cnn"])
    assert len(far.dataset("retina-test")) == far.images(far.dataset("retina-test")).count()
    assert far.experiment("small-cnn/1").state == retina.experiment("small-cnn/1").state
    assert [one.id for one in far.checkpoints()] == retina.checkpoints.ids()
    assert far.checkpoints[retina.checkpoints.ids()[0]].model == "small-cnn"
    (row,) = far.cypher("MATCH (i:Image) WHERE i.age > $age RETURN count(i) AS n", age=40)
    assert row == {"n": retina.images().where(F("age") > 40).count()}
    assert repr(far) == repr(retina).replace(str(retina._session.address), str(far._session.address))
    retina.views.delete("young")
    retina.views.delete("by site")


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


def test_sql_far_away(retina: og.Workspace, far: og.Workspace, tmp_path: Path) -> None:
    joined = """
        SELECT m.label, count(*) AS n, count(*) FILTER (p.wrong) AS wrong
        FROM predictions p JOIN members m USING (dataset, key) JOIN images i USING (key)
        WHERE i.age > $age AND i.site <> $site GROUP BY m.label ORDER BY m.label
    """
    assert far.sql(joined, age=40, site="x'; DROP").equals(retina.sql(joined, age=40, site="x'; DROP"))
    (tmp_path / "secret.csv").write_text("a\n1\n")
    for statement in ("DROP VIEW images", f"FROM '{tmp_path}/secret.csv'", "SELECT nosuch FROM images"):
        with pytest.raises(og.OdinError) as here:
            retina.sql(statement)
        with pytest.raises(type(here.value)) as there:
            far.sql(statement)
        assert str(there.value) == str(here.value)


def test_the_doctor_far_away(retina: og.Workspace, far: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = retina.doctor(), far.doctor()
    assert there == replace(here, workspace=str(far._session.address))
    assert str(there).replace(there.workspace, here.workspace) == str(here)
    address = retina._stores.address
    amiss = Fault("roots", f"{address.arrays}/x of {address.folder or address.graph} is amiss.", "Mend it.", str)
    monkeypatch.setattr(doctor, "check_roots", lambda _: [amiss])
    assert retina.doctor().faults == (amiss,)
    assert far.doctor().faults == (Fault("roots", ".../x of ... is amiss.", "Mend it."),)
    with pytest.raises(og.errors.TimeLimitError), deadline(1e-9):
        doctor.examine(retina._stores)  # and no report of a workspace that could not be looked at


def test_estimates_far_away(retina: og.Workspace, far: og.Workspace) -> None:
    images = retina.images("retina-test")
    features(retina).materialize(images)
    half = images.order_by(F("age")).limit(40)
    here, there = (features(db).units[[3, 17, 28]].estimate(half.keys()) for db in (retina, far))
    assert repr(there) == repr(here)
    assert there.uncovered.tolist() == here.uncovered.tolist()
    near = far.images(["scan003.png"])[0]
    asked: list[Callable[[Any], Any]] = [
        lambda said: said.bounds(),
        lambda said: said.bounds("weighted", [1, -0.5, 2]),
        lambda said: said.highest(np.int64(5), "l2", largest=False),
        lambda said: said.nearest("scan003.png", 5),
        lambda said: said.nearest(near, 5, metric="l1", weights=[1, 0.5, 2]),
        lambda said: said.nearest(np.array([1, 2, -3]), 5, metric="l2"),
        lambda said: said.compare("max", ">=", 0.25),
    ]
    for ask in asked:
        assert ask(there).equals(ask(here))
    wrong: list[Callable[[Any], Any]] = [
        lambda said: said.bounds("mena"),
        lambda said: said.bounds("weighted", [1, 2]),
        lambda said: said.highest(0),
        lambda said: said.nearest([1, 2], 5),
        lambda said: said.nearest("nobody.png", 5),
        lambda said: said.nearest([1, 2, 3], 5, metric="cosin"),
    ]
    for ask in wrong:
        with pytest.raises(og.OdinError) as mine:
            ask(here)
        with pytest.raises(type(mine.value)) as theirs:
            ask(there)
        assert str(theirs.value) == str(mine.value)


def test_affinity_far_away(retina: og.Workspace, far: og.Workspace) -> None:
    here, there = features(retina), features(far)
    images = retina.images("retina-test").order_by(F("id").desc()).limit(40)
    keys = images.keys().tolist()
    here.materialize(images, codec="f32")
    here.materialize(images, codec="f32", view="channels-max")
    pixels = np.stack([image.pixels[..., 0] for image in images])
    ages = pd.Series([float(number) if number % 7 else None for number in range(40)])
    cases: list[dict[str, Any]] = [
        {"age": F("age"), "DME": F("label") == "DME", "site": F("site")},
        {"list": [None, *range(39)], "series": ages, "truth": [number % 3 == 0 for number in range(40)]},
        {"array": np.arange(40) % 5, "column": pa.array(["a", None, "b", "b"] * 10)},
        {"by": Hypothesis(np.arange(40) % 4, measures=("spearman", "kruskal-wallis"))},
        {"bright": pixels > pixels.mean()},
    ]
    for case in cases:
        found = there.affinity(case, keys)
        assert str(found) == str(here.affinity(case, keys))
        assert found.to_pandas().equals(here.affinity(case, keys).to_pandas())
        assert len(found)
    masks = [None, *(pixels[1:] > pixels.mean())]
    for wrong in (
        {"x": masks},
        {"x": [1, 2]},
        {"x": "age"},
        {"x": 5},
        {"x": [1] * 40},
        {"x": Hypothesis([1] * 40, measures="no")},
        {},
    ):
        with pytest.raises(og.OdinError) as mine:
            here.affinity(wrong, keys)
        with pytest.raises(type(mine.value)) as theirs:
            there.affinity(wrong, keys)
        assert str(theirs.value) == str(mine.value)

    class Own:
        name, effect, maps = "own", "own", False

    with pytest.raises(og.RemoteError, match="'own' of the hypothesis 'x' is code of yours"):
        there.affinity({"x": Hypothesis([1, 2], measures=Own())}, keys)  # type: ignore[arg-type]


def test_hypotheses_of_others_are_read_strictly(client: TestClient) -> None:
    of = {"experiment": "small-cnn/1", "layer": "features"}
    pickled = base64.b64encode(pickle.dumps(np.array([object()], object))).decode()
    for given in ({"array": pickled}, {"array": "?"}, {"column": {"name": "a"}}, {"values": 3}, {}, 7):
        body = {"arguments": {"of": of, "images": None, "hypotheses": {"x": given}, "view": "units"}}
        answer = client.post("/v1/ask/unit_questions.affinity_of", json=body)
        assert (answer.status_code, "well formed" in answer.text) == (422, True), answer.text


def test_batches_for_training_far_away(retina: og.Workspace, far: og.Workspace, secret: str) -> None:
    """The order, the operations and the place to go on from are the client's; only pixels come over HTTP."""
    ways: list[Callable[[Any], Any]] = [
        lambda db: db.images("retina-test").limit(20).loader(8, seed=3, model="small-cnn"),
        lambda db: db.dataset("retina-test").loader(16, shuffle=False, drop_last=True),
        lambda db: db.images("retina-test").limit(20).loader(8, augment=[og.ops.RandomApply("flip")]),
        lambda db: db.images("retina-test").limit(20).loader(8, weights="balanced"),
        lambda db: db.images("retina-test").limit(20).loader(8, stream=True),
        lambda db: db.images("retina-test").limit(20).resize(16).loader(8, transform=torch.neg),
        lambda db: db.images("retina-test").limit(6).crop((2, 2, 6, 6)).loader(4, shuffle=False),
        lambda db: db.images("retina-test").limit(3).patches(4).loader(8),
        lambda db: db.images("retina-test").limit(20).to_stream(seed=5),
    ]
    for way in ways:
        here, there = list(way(retina)), list(way(far))
        assert len(here) == len(there) > 0
        for (mine, targets), (theirs, others) in zip(here, there, strict=True):
            assert torch.equal(mine, theirs)
            assert torch.equal(torch.as_tensor(targets), torch.as_tensor(others))
    first, second = (db.images("retina-test").limit(20).loader(8, seed=3) for db in (retina, far))
    began = iter(first)
    next(began)
    second.load_state_dict(first.state_dict())  # begun near, gone on with far away
    for (mine, _), (theirs, _) in zip(began, second, strict=True):
        assert torch.equal(mine, theirs)
    same = far.images("retina-test").limit(20).loader(8, seed=3, model="small-cnn", workers=1)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(same, ways[0](retina), strict=True))
    assert secret.encode() not in pickle.dumps(far.images("retina-test").limit(2).to_torch())
    with pytest.raises(og.UnknownNameError):
        far.images().loader(model="nobody")


WRITES: list[tuple[str, Callable[[og.Workspace], Any]]] = [
    ("add", lambda db: db.images.add(images=np.zeros((1, 4, 4), np.uint8))),
    ("update", lambda db: next(iter(db.images)).update(seen=True)),
    ("delete", lambda db: db.images().limit(1).delete()),
    ("purge", lambda db: next(iter(db.images)).purge()),
    ("revise", lambda db: next(iter(db.images)).revise(np.zeros((4, 4), np.uint8))),
    ("map", lambda db: db.images().map(len)),
    ("store", lambda db: db.images().resize(4).store("small")),
    ("add", lambda db: db.datasets.add("mine", db.images().limit(2))),
    ("tag", lambda db: db.dataset("retina-test").tag("mine")),
    ("split", lambda db: db.dataset("retina-test").split({"a": 0.5, "b": 0.5})),
    ("export", lambda db: db.dataset("retina-test").export("there")),
    ("build", lambda db: db.model("small-cnn").build()),
    ("weights", lambda db: db.experiments["small-cnn/1"].best_checkpoint().weights()),  # type: ignore[union-attr]
    ("predict", lambda db: db.experiment("small-cnn/1").predict("retina-test")),
    ("run", lambda db: db.run(id="mine")),
    ("update", lambda db: db.labels.update(["scan001.png"], "DME")),
    ("retype", lambda db: db.fields.retype("age", str)),
    ("materialize", lambda db: features(db).materialize(db.images())),
    ("pin", lambda db: db.storage.pin(db.activations.ids()[0])),
    ("doctor", lambda db: db.doctor(deep=True)),
    ("backup", lambda db: db.backup("there")),
    ("delete", lambda db: db.views.delete("mine")),
]


def test_what_writes_or_takes_code_is_refused_in_one_place(retina: og.Workspace, far: og.Workspace) -> None:
    before = retina._stores.graph.change_token()
    for name, call in WRITES:
        with pytest.raises(og.RemoteError) as caught:
            call(far)
        assert str(caught.value).startswith(f"{name} needs the workspace itself"), name
    assert retina._stores.graph.change_token() == before
    with pytest.raises(AttributeError):
        _ = far.images().wehre  # type: ignore[attr-defined]


def test_units_far_away(retina: og.Workspace, far: og.Workspace) -> None:
    here, there = features(retina), features(far)
    assert (there.shape, there.type, len(there.units), len(there.channels)) == (
        here.shape,
        here.type,
        len(here.units),
        len(here.channels),
    )
    assert there.units[:3].node == here.units[:3].node
    images = retina.images("retina-test")
    expected = here.units[[3, 17]].values(images)  # first: what is missing is stored here
    np.testing.assert_array_equal(there.units[[3, 17]].values(far.images("retina-test")), expected)
    with pytest.raises(og.QueryError, match="A unit is given by its number, not by 'a'"):
        there.units["a"]


def test_a_query_pickles_without_the_token(far: og.Workspace, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    query = far.images().where(F("age") > 40)
    data = pickle.dumps(query)
    assert secret.encode() not in data
    assert secret not in repr(query.address)
    lonely = pickle.loads(data)
    with pytest.raises(og.LoginError, match="refuses the token"):
        lonely.count()
    monkeypatch.setenv("ODIN_GRAPH_TOKEN", secret)
    assert pickle.loads(data).count() == query.count()


def test_a_token_that_reads_computes_nothing(retina: og.Workspace, port: int, secret: str) -> None:
    writer = create_token(retina._stores, "writer", "write")
    url = f"http://127.0.0.1:{port}"
    before = len(retina.activations)

    def near(db: og.Workspace) -> Any:
        layer = db.experiment("small-cnn/1").layer("features", pooling="max")
        return db.images("retina-test").nearest("scan003.png", by=layer, k=3).to_arrow("id")

    with og.connect(url, token=secret) as reading, pytest.raises(og.ReadOnlyError, match="not stored yet"):
        near(reading)
    assert len(retina.activations) == before
    with og.connect(url, token=writer) as writing:
        found = near(writing)
    assert len(retina.activations) == before + 1
    with og.connect(url, token=secret) as reading:
        assert near(reading).equals(found)
    revoke_token(retina._stores, "writer")


def test_cypher_as_a_source_is_off_where_cypher_is(retina: og.Workspace, secret: str) -> None:
    with served(retina, Settings()) as port, og.connect(f"http://127.0.0.1:{port}", token=secret) as far:
        hidden = far.images(cypher="MATCH (i:Image) RETURN i")
        for query in (hidden, far.images().intersection, far.models().using):
            with pytest.raises(og.ReadOnlyError, match="odin serve --cypher"):
                query(hidden) if callable(query) else query.count()
        with pytest.raises(og.ReadOnlyError, match="odin serve --cypher"):
            far.cypher("RETURN 1")


def test_warnings_of_an_answer_travel(retina: og.Workspace, far: og.Workspace) -> None:
    """A leaderboard of parts is that far away as well; what a data set lacks is said there, too."""
    test = retina.datasets["retina-test"]
    truth = retina.images("retina-test").to_pandas("id", "label")[:3]
    with retina.run(id="few", test=test) as run:
        run.log_predictions(test, truth["label"].tolist(), images=truth["id"].tolist())
    try:
        for ask in (
            lambda db: db.experiments().order_by(F("results.accuracy").desc()).to_arrow("id"),
            lambda db: db.experiments().where(F("results.accuracy") > 0.9).count(),
        ):
            for db in (retina, far):
                with pytest.warns(og.errors.CoverageWarning, match=r"results.accuracy is of a part .* few \(3 of"):
                    ask(db)
        assert far.dataset("retina-test").deleted_members() == retina.datasets["retina-test"].deleted_members()
    finally:
        retina.experiment("few").delete(force=True)


def test_a_server_that_goes_away_in_mid_stream(retina: og.Workspace, port: int, secret: str) -> None:
    whole = len(retina.images())
    batches: list[Any] = []
    with cut_after(port, 8_000) as cut:
        far = Query(Remote.of(f"http://127.0.0.1:{cut}", token=secret), Plan(AllImages()))
        with pytest.raises(og.UnreachableError) as caught:
            deque(map(batches.append, far.to_batches(batch_size=10)))
    assert 0 < sum(batch.num_rows for batch in batches) < whole
    assert "stopped before" in str(caught.value) or "cut short" in str(caught.value)
    with pytest.raises(og.UnreachableError, match="is `odin serve` running there"):
        far.count()  # nobody listens any more


@pytest.mark.parametrize("limit", [1, 200, 400, 900, 2_000, 5_000])
def test_no_cut_gives_a_part_of_an_answer(port: int, secret: str, limit: int) -> None:
    with cut_after(port, limit) as cut:
        far = Query(Remote.of(f"http://127.0.0.1:{cut}", token=secret), Plan(Members("retina-test@1")))
        with pytest.raises(og.UnreachableError):
            far.to_arrow()


def test_a_busy_server_is_asked_again(retina: og.Workspace, secret: str) -> None:
    settings = Settings(concurrency=1, body_seconds=1.5)
    with served(retina, settings) as port, socket.create_connection(("127.0.0.1", port)) as slow:
        head = f"POST /v1/query HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\r\nContent-Length: 90\r\n\r\n"
        slow.sendall(head.encode())
        with og.connect(f"http://127.0.0.1:{port}", token=secret) as far:
            assert far.images().count() == len(retina.images())


def test_time_limits_travel(far: og.Workspace) -> None:
    long = "UNWIND range(1, 30000) AS a UNWIND range(1, 30000) AS b WITH a, b WHERE a * b % 7919 = 3 RETURN count(*)"
    with pytest.raises(og.TimeLimitError, match="takes longer than 1 s"):
        far.cypher(long, timeout=1)


def test_addresses_and_servers_that_are_none(port: int, secret: str, retina: og.Workspace) -> None:
    for url, message in (
        ("http://", "is not an address of a server"),
        ("http://a:hunter2@b", "ends up in logs"),
        ("https://host/?x=1", "is not an address of a server"),
    ):
        with pytest.raises(og.WorkspaceError, match=message) as caught:
            og.connect(url, token="odin_x")
        assert "hunter2" not in str(caught.value)
    with pytest.raises(og.LoginError, match="refuses the token"):
        og.connect(f"http://127.0.0.1:{port}", token="odin_wrong")
    with pytest.raises(og.UnreachableError, match="is `odin serve` running there"):
        og.connect("http://127.0.0.1:9", token=secret)
    with pytest.raises(og.WorkspaceError, match="pass only token="):
        og.connect(f"http://127.0.0.1:{port}", arrays="there")
    with pytest.raises(og.WorkspaceError, match="are for a server"):
        og.connect("folder.odin", token=secret)
    with OtherServer() as other, pytest.raises(og.UnreachableError, match="not as `odin serve` does"):
        og.connect(f"http://127.0.0.1:{other}", token=secret)


def test_tls(retina: og.Workspace, secret: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    held = authority.issue_cert("localhost", "127.0.0.1")
    chain, key, ca = tmp_path / "chain.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    held.private_key_pem.write_to_path(str(key))
    for number, blob in enumerate(held.cert_chain_pems):
        blob.write_to_path(str(chain), append=number > 0)
    authority.cert_pem.write_to_path(str(ca))
    with served(retina, Settings(), ssl_certfile=str(chain), ssl_keyfile=str(key)) as port:
        url = f"https://localhost:{port}"
        with og.connect(url, token=secret, certificate=ca) as far:
            assert far.images().count() == len(retina.images())
        with pytest.raises(og.UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
            og.connect(url, token=secret)


class OtherServer:
    """Something that speaks HTTP, and is not ours."""

    def __enter__(self) -> int:
        from http.server import BaseHTTPRequestHandler, HTTPServer

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = b"<html>hello</html>"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return int(self._server.server_address[1])

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_bytes_of_a_file_travel(retina: og.Workspace, far: og.Workspace, tmp_path: Path) -> None:
    image = retina.images("retina-test")[5]
    out = io.BytesIO()
    PillowImage.fromarray(image.pixels[:, :, 0]).save(out, "PNG")
    (tmp_path / "new.png").write_bytes(out.getvalue())
    layer = far.experiment("small-cnn/1").layer("features")
    for file in (out.getvalue(), tmp_path / "new.png", PillowImage.open(out)):
        near = far.images("retina-test").nearest(file, by=layer, k=1)
        assert near[0].id == image.id


def test_a_sheet_of_deep_images_has_one_scale_however_large_they_are(retina: og.Workspace, far: og.Workspace) -> None:
    """What is drawn are values of the images, not pictures that the server has stretched each by itself."""
    y, x = np.mgrid[:2100, :2050]
    pixels = np.stack([(x + y) % 4000, (x + y) % 4000 + 20_000]).astype(np.uint16)
    retina.images.add(images=list(pixels), ids=["deep/dark", "deep/bright"], progress=False)
    try:
        query = far.images(["deep/dark", "deep/bright"])
        shown = query._displayed(query.to_arrow("key", "id"))
        assert [(one.dtype, max(one.shape) <= 512) for one in shown] == [(np.uint16, True)] * 2
        for one, stored in zip(shown, pixels, strict=True):
            np.testing.assert_array_equal(one[..., 0], stored[::5, ::5])
    finally:
        retina.images.purge(["deep/dark", "deep/bright"], force=True)
