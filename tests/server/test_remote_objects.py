"""What the objects of a workspace give from far away; what writes is refused there in one place."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import odin_graph as og
from odin_graph import F
from odin_graph.catalog.doctor import doctor
from odin_graph.catalog.doctor.checks.fault import Fault
from odin_graph.deadline import deadline
from tests.server.serving import features

pytestmark = pytest.mark.one_engine  # far and near ask one graph: what is near is asked of both engines elsewhere


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
    ("store", lambda db: db.images().resize(4).store("small")),
    ("add", lambda db: db.datasets.add("mine", db.images().limit(2))),
    ("tag", lambda db: db.dataset("retina-test").tag("mine")),
    ("split", lambda db: db.dataset("retina-test").split({"a": 0.5, "b": 0.5})),
    ("add_checkpoint", lambda db: db.model("small-cnn").add_checkpoint({})),
    ("predict", lambda db: db.experiment("small-cnn/1").predict("retina-test")),
    ("run", lambda db: db.run(id="mine")),
    ("update", lambda db: db.labels.update(["scan001.png"], "DME")),
    ("retype", lambda db: db.fields.retype("age", str)),
    ("materialize", lambda db: features(db).materialize(db.images())),
    ("pin", lambda db: db.storage.pin(db.activations.ids()[0])),
    ("map", lambda db: db.images().map(len, name="lengths")),
    ("map", lambda db: db.experiments().map(str, name="texts")),
    ("doctor", lambda db: db.doctor(repair=True)),
    ("gc", lambda db: db.gc(dry_run=True)),
    ("backup", lambda db: db.backup("there")),
    ("delete", lambda db: db.views.delete("mine")),
]


def test_what_writes_is_refused_in_one_place(retina: og.Workspace, far: og.Workspace) -> None:
    before = retina._stores.graph.change_token()
    for name, call in WRITES:
        with pytest.raises(og.RemoteError) as caught:
            call(far)
        assert str(caught.value).startswith(f"{name} needs the workspace itself"), name
    assert retina._stores.graph.change_token() == before
    with pytest.raises(AttributeError):
        _ = far.images().wehre  # type: ignore[attr-defined]


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
