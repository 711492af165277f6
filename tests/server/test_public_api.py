"""The whole public API, far away as near: every method says whether it reads or writes; what reads gives the same."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import odin_graph as og
from odin_graph import F
from odin_graph.analysis.leak_rules import Matches
from odin_graph.catalog.datasets.exchange import MANIFEST
from odin_graph.objects.base.in_session import InSession
from odin_graph.objects.base.listed import Listed
from odin_graph.picture import Picture
from odin_graph.schema.added_kinds import ADDED
from tests.catalog.test_added_kinds import PATIENT
from tests.docs.api_page import Member, members, public_classes
from tests.docs.near_and_far import same
from tests.server.serving import features

pytestmark = pytest.mark.one_engine  # far and near ask one graph: what is near is asked of both engines elsewhere

Of = Callable[[Any], Any]


def images(db: Any) -> Any:
    return db.images("retina-test").limit(6)


def beside(thing: Any) -> og.Workspace:
    """The workspace of a thing."""
    return og.Workspace(thing._session)


def vectors_of(thing: Any) -> Any:
    return beside(thing).vectors["line"]


def of_one_size(train: Any, test: Any) -> Matches:
    """A leak rule of a user's: reads all that a side has."""
    fields = [side.fields("height", "width").to_pandas().astype(str).sum(axis=1) for side in (train, test)]
    assert [len(side.keys) for side in (train, test)] == [len(column) for column in fields]
    assert train.ids(train.keys[:1])
    assert train.pixels.read_list(train.keys[:1])[0].ndim == 3
    return Matches.equal(*map(pa.array, fields))


def fresh_folder() -> Path:
    return Path(tempfile.mkdtemp()) / "fresh"


THINGS: dict[str, Of] = {
    "ActivationSet": lambda db: db.activations[db.activations.ids()[0]],
    "ActivationSets": lambda db: db.activations,
    "Channels": lambda db: features(db).channels,
    "Checkpoint": lambda db: db.experiment("small-cnn/1").best_checkpoint(),
    "Checkpoints": lambda db: db.checkpoints,
    "Dataset": lambda db: db.dataset("retina-test"),
    "Datasets": lambda db: db.datasets,
    "DerivedImage": lambda db: images(db).resize(4)[0],
    "DerivedQuery": lambda db: images(db).resize(4),
    "Draft": lambda db: db.dataset("retina-test") | db.dataset("retina-test"),
    "Experiment": lambda db: db.experiment("small-cnn/1"),
    "Experiments": lambda db: db.experiments,
    "Fields": lambda db: db.fields,
    "Grouping": lambda db: images(db).group_by("site"),
    "Groups": lambda db: images(db).group_by("site").count(),
    "Image": lambda db: images(db)[0],
    "Images": lambda db: db.images,
    "Labels": lambda db: db.labels,
    "Layer": lambda db: features(db),
    "Leaks": lambda db: db.leaks("retina-test", "retina-test"),
    "Model": lambda db: db.model("small-cnn"),
    "Models": lambda db: db.models,
    "PatchQuery": lambda db: images(db).patches(4),
    "PredictionSet": lambda db: db.predictions[db.predictions.ids()[0]],
    "PredictionSets": lambda db: db.predictions,
    "Query": lambda db: images(db),
    "Relatives": lambda db: images(db)[0].descendants(),
    "Storage": lambda db: db.storage,
    "Tables": lambda db: db.tables,
    "Thing": lambda db: db.things("patient")["ann"],
    "ThingQuery": lambda db: db.experiments(),
    "Things": lambda db: db.things("patient"),
    "UnitEstimates": lambda db: features(db).units[[3, 17]].estimate(images(db).keys()),
    "Units": lambda db: features(db).units[[3, 17]],
    "VectorSet": lambda db: db.vectors["line"],
    "Vectors": lambda db: db.vectors,
    "Video": lambda db: db.videos["clip"],
    "Videos": lambda db: db.videos,
    "Views": lambda db: db.views,
    "Volume": lambda db: db.volumes["scan"],
    "Volumes": lambda db: db.volumes,
    "Workspace": lambda db: db,
}
"""One of every class that asks a workspace. A `Run` is none: it is made by writing, and begins and ends near."""

WRITES = frozenset(
    """
    add() add_checkpoint() delete() derive() distrust() kfold() log_predictions() materialize() pin() predict() purge()
    retype() revise() split() store() tag() undelete() unpin() untag() update() gc()
    Workspace.run() Draft.save() Datasets.load()
    Layer.slabs() Layer.maps() Thing.lease()
    """.split()  # noqa: SIM905 - many a line says less
)
"""What stores something; units that are missing are stored by the last two. With a class, only there."""
HERE = {
    "backup()": "copies the files of the engine, which only its machine has",
    "bolt": "is a login to the engine, with its password",
    "orm()": "is the same",
}
"""What hands out the engines themselves, and why it does not travel."""
READS = frozenset(
    """
    & () - [...] ^ | a-loop activations activations() affinity() agg() aggregated() ancestors() apply()
    apply_step() argmax() base batches() best best_checkpoint() between() blur() bounds() budget build()
    center_crop() channels checkpoint checkpoints checkpoints() clahe() classes close() cluster() commit compare()
    confidence contrast() count() counts created_at crop() cypher() dataset dataset() datasets definition
    deleted_members() deletions() desc() descendants() diff() difference() digest dimensions distinct() doctor()
    dtype embeddings() entropy epoch estimate() experiment experiment() experiments experiments() explain()
    export() facts fields flip() fps frames() from_json() geometry() group group_by() highest() history() id ids()
    image() image_keys() images images() impact() in input input_shape intersection() is_null() isin() keys() kind
    known_leaks l1() l2() label label_counts() labels layer layer() layers() leaks() len limit() linked() load()
    loader() loaders loss() map() margin max() mean() metadata metrics() min() missing() model model() models models()
    near_duplicates() nearest() neighborhoods() node normalize() not_finite numbers of_images() on() order_by()
    outliers() overview packages pad() parameters parent patches() path per_image() picture() pixels plan_of()
    pooling predicted predictions predictions() preprocess probability() query() rank report() representative()
    resize() results() rotate() run() sample() save() seed select() selectivity() shape sheet() show()
    similar_units() size slices() sql() stale() state stats() step storage sum() tables tags task test_keys()
    test_uses() things() threshold() to_arrow() to_batches() to_cypher() to_float() to_grayscale() to_huggingface()
    to_json() to_numpy() to_pandas() to_rgb() to_stream() to_torch() today() top() top_units() uncovered union()
    uniqueness() units unusual() unusual_units() used_by() using() value() values() vectors verify() version
    versions() videos views volumes voxels warnings weighted() weights() where() with_columns() wrong
    """.split()  # noqa: SIM905
)

HOW: dict[str, Of] = {
    "Channels.[...]": lambda it: it[[0, 2]],
    "Datasets.[...]": lambda it: it["retina-test"],
    "Experiments.[...]": lambda it: it["small-cnn/1"],
    "Image.[...]": lambda it: it["age"],
    "Images.[...]": lambda it: it["scan003.png"],
    "Units.[...]": lambda it: it[0],
    "in": lambda it: "nothing" in it,
    "Query.apply_step()": lambda it: it.apply_step("sample", {"k": 3}),
    "Fields.[...]": lambda it: it["age"],
    "Image.crop()": lambda it: it.crop((1, 1, 5, 5)),
    "Image.unusual_units()": lambda it: it.unusual_units(features(beside(it)), images(beside(it))),
    "Image.top_units()": lambda it: it.top_units(features(beside(it))),
    "ThingQuery.distinct()": lambda it: it.distinct("model"),
    "Groups.distinct()": lambda it: it.distinct("site"),
    "ThingQuery.where()": lambda it: it.where(F("model") == "small-cnn"),
    "Groups.where()": lambda it: it.where(F("count") > 1),
    "Groups.order_by()": lambda it: it.order_by("count", "site"),
    "ThingQuery.order_by()": lambda it: it.order_by("id"),
    "Groups.select()": lambda it: it.select("site"),
    "ThingQuery.group_by()": lambda it: it.group_by("model").count(),
    "ThingQuery.using()": lambda it: it.using(images(beside(it))),
    "ThingQuery.map()": lambda it: it.map(str),
    "Query.map()": lambda it: it.map(lambda image: float(image.pixels.mean())),
    "UnitEstimates.nearest()": lambda it: it.nearest("scan003.png", 3),
    "UnitEstimates.compare()": lambda it: it.compare("max", ">=", 0.25),
    "UnitEstimates.highest()": lambda it: it.highest(3),
    "Units.unusual()": lambda it: it.unusual(images(beside(it))[0].key, images(beside(it)), 2, "z"),
    "Video.[...]": lambda it: it[1],
    "Volume.[...]": lambda it: it[1],
    "activations()": lambda it: it.activations(["scan003.png"]),
    "affinity()": lambda it: it.affinity({"age": F("iop")}, images(beside(it))),
    "aggregated()": lambda it: it.aggregated("mean"),
    "apply()": lambda it: it.apply(np.flipud),
    "between()": lambda it: it.max().between(0, 1),
    "blur()": lambda it: it.blur(1.0),
    "center_crop()": lambda it: it.center_crop(4),
    "close()": lambda it: isinstance(it, og.Workspace),  # the others of this file go on with it
    "cluster()": lambda it: it.cluster(by=vectors_of(it), k=2),
    "Workspace.compare()": lambda it: it.compare("small-cnn/1", "small-cnn/1", on="retina-test"),
    "contrast()": lambda it: it.contrast(1.5),
    "crop()": lambda it: it.crop((0, 0, 3, 3)),
    "cypher()": lambda it: it.cypher("MATCH (i:Image) RETURN count(i) AS n"),
    "dataset()": lambda it: it.dataset("retina-test"),
    "Dataset.diff()": lambda it: it.diff("retina-test@1"),
    "difference()": lambda it: it.difference(it),
    "distinct()": lambda it: it.distinct("site"),
    "doctor()": lambda it: it.doctor(deep=True).faults,
    "embeddings()": lambda it: it.embeddings(["scan003.png"]),
    "estimate()": lambda it: it.estimate(images(beside(it)).keys()),
    "experiment()": lambda it: it.experiment("small-cnn/1"),
    "export()": lambda it: pq.read_table(it.export(fresh_folder(), progress=False) / MANIFEST),
    "from_json()": lambda it: it.from_json(it.query.address if hasattr(it, "query") else it.address, it.to_json()),
    "group_by()": lambda it: it.group_by("site").count(),
    "history()": lambda it: it.history(["scan003.png"]),
    "image()": lambda it: it.image("scan003.png"),
    "impact()": lambda it: it.impact(["scan003.png"]).counts,
    "intersection()": lambda it: it.intersection(it),
    "isin()": lambda it: it.max().isin([1.0]),
    "layer()": lambda it: it.layer("features"),
    "leaks()": lambda it: it.leaks("retina-test", "retina-test", rules=["digest", of_one_size]).counts,
    "limit()": lambda it: it.limit(2),
    "loss()": lambda it: float(it.loss(torch.ones(1, 3), torch.tensor([1]))),
    "missing()": lambda it: it.missing(["scan003.png"]),
    "model()": lambda it: it.model("small-cnn"),
    "near_duplicates()": lambda it: it.near_duplicates(by=vectors_of(it)),
    "nearest()": lambda it: it.nearest("scan003.png", by=vectors_of(it), k=2),
    "neighborhoods()": lambda it: it.neighborhoods("scan003.png", a=vectors_of(it), b=vectors_of(it), k=2).overlap,
    "normalize()": lambda it: it.normalize([0.5], [0.5]),
    "of_images()": lambda it: it.of_images(["scan003.png"]),
    "on()": lambda it: it.on("retina-test"),
    "order_by()": lambda it: it.order_by("id"),
    "outliers()": lambda it: it.outliers(by=vectors_of(it)),
    "patches()": lambda it: it.patches(4),
    "per_image()": lambda it: it.per_image("small-cnn/1", activations="features"),
    "Tables.images()": lambda it: it.images("retina-test", pixels=True),
    "plan_of()": lambda it: it.plan_of(["scan003.png"]),
    "probability()": lambda it: it.probability("DME"),
    "query()": lambda it: it.query(images(it).to_json()),
    "representative()": lambda it: it.representative(2, by=vectors_of(it)),
    "resize()": lambda it: it.resize(5),
    "results()": lambda it: str(it.results("retina-test")),
    "rotate()": lambda it: it.rotate(90.0),
    "sample()": lambda it: it.sample(1, seed=1),
    "save()": lambda it: it.save(fresh_folder().with_suffix(".png")).stat().st_size > 100,
    "select()": lambda it: it.select("id"),
    "sql()": lambda it: it.sql("SELECT count(*) AS n FROM images"),
    "linked()": lambda it: it.linked("images"),
    "things()": lambda it: it.things("patient"),
    "threshold()": lambda it: it.threshold(20),
    "to_batches()": lambda it: next(it.to_batches("id")).num_rows,
    "to_huggingface()": lambda it: it.to_huggingface("label").column_names,
    "top()": lambda it: it.top(1),
    "union()": lambda it: it.union(it),
    "uniqueness()": lambda it: it.uniqueness(by=vectors_of(it)),
    "used_by()": lambda it: it.used_by("Dataset"),
    "values()": lambda it: it.values(["scan003.png"]),
    "weighted()": lambda it: it.weighted([1, 2]),
    "weights()": lambda it: {name: value.numpy() for name, value in sorted(it.weights().items())},
    "build()": lambda it: type(it.build()).__name__,
    "Checkpoint.load()": lambda it: [value.detach().numpy() for value in it.load().parameters()],
    "where()": lambda it: it.where(F("iop") > 11),
    "DerivedQuery.where()": lambda it: it.where(F("iop") > 11),
    "&": lambda it: it & it,
    "|": lambda it: it | it,
    "-": lambda it: it - it,
    "^": lambda it: it ^ it,
    "()": lambda it: it(),
    "len": len,
    "[...]": lambda it: it[it.ids()[0]] if isinstance(it, Listed) else it[0],
    "a loop": lambda it: list(islice(it, 2)),
    "batches()": lambda it: list(islice(it.batches(), 1)),
}
"""How it is called, where it needs arguments: by class and word, or by the word alone."""


@pytest.fixture(scope="module")
def far(retina: og.Workspace, far: og.Workspace) -> Iterator[og.Workspace]:
    """The workspace from far away, with one of everything."""
    retina.volumes.add("scan", np.arange(48, dtype=np.uint8).reshape(3, 4, 4), progress=False)
    retina.videos.add("clip", np.arange(48, dtype=np.uint8).reshape(3, 4, 4), progress=False)
    retina.views.add("old", retina.images().where(F("age") > 60))
    features(retina).materialize(retina.images("retina-test"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ADDED, "_entries", {"patient": PATIENT})
        retina.things("patient").add("ann", born=1960, images=retina.images()[:3], site="Lima")
        yield far


def listed() -> Iterator[tuple[str, Member]]:
    """Every method and property of a class that asks a workspace."""
    for cls in public_classes():
        if cls.__name__ in THINGS:
            yield from ((cls.__name__, member) for member in members(cls))


def found(table: Iterable[str], cls: str, word: str) -> str | None:
    """The entry of a table for a word of a class."""
    word = word.replace(" ", "-")
    return next((name for name in (f"{cls}.{word}", word) if name in table), None)


def writes(cls: str, word: str) -> bool:
    return found(WRITES, cls, word) is not None


def test_every_method_says_whether_it_reads_or_writes() -> None:
    """A new one is to be entered here; what reads works far away."""
    asking = {cls.__name__ for cls in public_classes() if issubclass(cls, InSession)}
    assert asking - THINGS.keys() == {"Run"}
    tables = (WRITES, READS, HERE)
    used: set[str] = set()
    for cls, member in listed():
        entries = [entry for table in tables if (entry := found(table, cls, member.spelled))]
        special = [entry for entry in entries if entry.startswith(f"{cls}.")]
        assert len(special or entries) == 1, f"{cls}.{member.spelled}: does it read or write? {entries}"
        used.update(entries)
    assert set().union(*tables) == used


def call(cls: str, member: Member, thing: Any) -> Any:
    """What a method gives; an error of ours as its text."""
    try:
        for name in (f"{cls}.{member.spelled}", member.spelled):
            if name in HOW:
                return HOW[name](thing)
        value = getattr(thing, member.name)
        return value if member.is_property else value()
    except (og.OdinError, TypeError) as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("cls", THINGS)
def test_what_reads_gives_the_same(
    retina: og.Workspace, far: og.Workspace, cls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Picture, "show", lambda _: None)
    differing: list[str] = []
    for of, member in listed():
        if of != cls or writes(cls, member.spelled) or member.spelled in HERE:
            continue
        here = call(cls, member, THINGS[cls](retina))  # first: what is missing is stored here
        there = call(cls, member, THINGS[cls](far))
        if not same(here, there) or "RemoteError" in str(there)[:20]:
            differing.append(f"{cls}.{member.spelled}: {here!r:.200} / {there!r:.200}")
    assert not differing, "\n".join(differing)


def test_what_hands_out_the_engines_is_refused(far: og.Workspace, tmp_path: Path) -> None:
    for use in (lambda: far.backup(tmp_path / "copy"), lambda: far.bolt, lambda: far.orm()):
        with pytest.raises(og.RemoteError, match="needs the workspace itself"):
            use()
