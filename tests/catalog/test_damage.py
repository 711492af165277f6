"""Whatever is lost or altered in the graph or on disk, the doctor says that something is wrong, and never raises."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

import odin_graph as og
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.errors import StoreError, WorkspaceError
from odin_graph.stores import Stores
from tests.kept import kept
from tests.runtime.digits import PREPROCESS, add_digits, trained
from tests.runtime.networks import SmallNet

SHARE: Final = 15
"""So many of the damages are tried in the suite on an engine; all of them in the soak."""
SEED: Final = int(os.environ.get("ODIN_SEED") or random.SystemRandom().randrange(2**31))

NODES: Final = (
    "Image", "Volume", "Dataset", "MemberChunk", "Model", "Experiment", "Checkpoint", "PredictionSet", "Prediction",
    "ActivationSet", "VectorSet", "Segment", "LabelChange", "View", "Counter", "Field", "Deletion", "Workspace",
)  # fmt: skip
MADE: Final = (
    "Image", "Dataset", "MemberChunk", "Checkpoint", "PredictionSet", "Prediction", "ActivationSet", "VectorSet",
    "Segment", "LabelChange", "View", "Workspace",
)  # fmt: skip
LEAVES: Final = ("Volume", "Dataset", "Model", "Experiment", "Checkpoint", "PredictionSet", "ActivationSet")
"""Of these also the node with the fewest edges, which nothing else may miss."""
COUNTERS: Final = ("image", "label change", "checkpoints of second", "predictions of second")
PROPERTIES: Final = (
    ("Image", "id"), ("Image", "key"), ("Image", "digest"), ("Image", "height"), ("Image", "dtype"), ("Image", "label"),
    ("Image", "deleted"), ("Dataset", "digest"), ("Dataset", "size"), ("Dataset", "state"), ("Experiment", "state"),
    ("PredictionSet", "state"), ("Model", "definition"), ("Model", "classes"),
    ("Checkpoint", "weights"), ("PredictionSet", "rows"), ("Prediction", "predicted"), ("Prediction", "confidence"),
    ("Segment", "uri"), ("Segment", "keys"), ("Segment", "digest"), ("Segment", "rows"), ("Counter", "next"),
    ("Field", "type"), ("VectorSet", "rows"),
    ("PredictionSet", "task"), ("PredictionSet", "classes"), ("Image", "created_at"), ("Dataset", "frozen_at"),
    ("Experiment", "started_at"), ("LabelChange", "at"), ("Segment", "created_at"),
    ("MemberChunk", "id"), ("MemberChunk", "number"), ("MemberChunk", "keys"), ("MemberChunk", "labels"),
    ("Dataset", "base"), ("Dataset", "version"), ("View", "version"), ("Model", "tree"),
)  # fmt: skip
EDGES: Final = (
    ("Dataset", "HAD_MEMBER"), ("Dataset", "REVISION_OF"), ("Dataset", "DERIVED_FROM"), ("Image", "DERIVED_FROM"),
    ("Image", "HAS_ROOT"), ("Experiment", "USED"), ("Experiment", "INFORMED_BY"), ("Checkpoint", "GENERATED_BY"),
    ("Checkpoint", "SPECIALIZATION_OF"), ("PredictionSet", "GENERATED_BY"), ("PredictionSet", "OF"),
    ("PredictionSet", "DERIVED_FROM"), ("ActivationSet", "DERIVED_FROM"), ("Prediction", "OF"),
    ("Prediction", "PART_OF"), ("MemberChunk", "PART_OF"), ("Image", "INVALIDATED_BY"),
)  # fmt: skip
DRAWN: Final = (
    ("Dataset", "REVISION_OF", "Dataset"), ("Dataset", "DERIVED_FROM", "Dataset"), ("Dataset", "HAD_MEMBER", "Image"),
    ("Experiment", "USED", "Dataset"), ("Experiment", "USED", "Model"),
    ("Checkpoint", "GENERATED_BY", "Experiment"), ("Checkpoint", "SPECIALIZATION_OF", "Model"),
    ("PredictionSet", "GENERATED_BY", "Experiment"), ("PredictionSet", "DERIVED_FROM", "Checkpoint"),
    ("PredictionSet", "OF", "Dataset"), ("MemberChunk", "PART_OF", "Dataset"), ("Image", "HAS_ROOT", "Image"),
)  # fmt: skip
EDGE_PROPERTIES: Final = (
    ("Dataset", "HAD_MEMBER", "label", False), ("Dataset", "HAD_MEMBER", "label", True),
    ("Dataset", "DERIVED_FROM", "query", False), ("Experiment", "USED", "role", False),
    ("Experiment", "USED", "role", True), ("Image", "DERIVED_FROM", "params", False),
    ("Image", "DERIVED_FROM", "op", True),
)  # fmt: skip
FILES: Final = ("gone", "cut", "one byte", "emptied", "swapped")


@dataclass(frozen=True)
class Damage:
    """Something done to a workspace, which can be undone."""

    name: str
    do: Callable[[Stores], Callable[[], None] | None]
    """Does it; returns how to undo it, None where the world has no such thing."""


def _node_gone(label: str, *, leaf: bool = False) -> Damage:
    def do(stores: Stores) -> Callable[[], None] | None:
        graph = stores.graph
        rows = graph.read(
            f"MATCH (n:{label}) {'WHERE n.deleted IS NULL' if label == 'Image' else ''} "
            f"OPTIONAL MATCH (n)-[e]-() WITH n, count(e) AS edges ORDER BY {'edges, ' if leaf else ''}n.id LIMIT 1 "
            "RETURN elementId(n) AS id, labels(n) AS labels, properties(n) AS own"
        )
        if not rows:
            return None
        (row,) = rows
        edges = graph.read(
            "MATCH (n)-[e]->(m) WHERE elementId(n) = $id RETURN elementId(m) AS other, type(e) AS type, "
            "properties(e) AS own, true AS out UNION ALL "
            "MATCH (n)<-[e]-(m) WHERE elementId(n) = $id RETURN elementId(m) AS other, type(e) AS type, "
            "properties(e) AS own, false AS out",
            {"id": row["id"]},
        )
        graph.write("MATCH (n) WHERE elementId(n) = $id DETACH DELETE n", {"id": row["id"]})

        def undo() -> None:
            (made,) = graph.write(
                f"CREATE (n:{':'.join(row['labels'])}) SET n = $own RETURN elementId(n) AS id", {"own": row["own"]}
            )
            for edge in edges:
                left, right = ("n", "m") if edge["out"] else ("m", "n")
                graph.write(
                    f"MATCH (n) WHERE elementId(n) = $n MATCH (m) WHERE elementId(m) = $m "
                    f"CREATE ({left})-[e:{edge['type']}]->({right}) SET e = $own",
                    {"n": made["id"], "m": edge["other"], "own": edge["own"]},
                )

        return undo

    return Damage(f"a {'leaf ' if leaf else ''}{label} node deleted", do)


def _node_made(label: str) -> Damage:
    """By another client: like one that is there, under another id and without an edge."""

    def do(stores: Stores) -> Callable[[], None] | None:
        rows = stores.graph.read(f"MATCH (n:{label}) RETURN properties(n) AS own ORDER BY n.id LIMIT 1")
        if not rows:
            return None
        own = {**rows[0]["own"], "id": "foreign", "key": 10**9}
        stores.graph.write(f"CREATE (n:{label}) SET n = $own", {"own": own})
        return lambda: stores.graph.write(f"MATCH (n:{label} {{id: 'foreign'}}) DETACH DELETE n") and None

    return Damage(f"a {label} node made", do)


def _counter(name: str, *, gone: bool) -> Damage:
    def do(stores: Stores) -> Callable[[], None] | None:
        (row,) = stores.graph.read("MATCH (c:Counter {id: $id}) RETURN c.next AS next", {"id": name})
        if gone:
            stores.graph.write("MATCH (c:Counter {id: $id}) DELETE c", {"id": name})
        else:
            stores.graph.write("MATCH (c:Counter {id: $id}) SET c.next = 1", {"id": name})
        put = "MERGE (c:Counter {id: $id}) SET c.next = $next"
        return lambda: stores.graph.write(put, {"id": name, "next": row["next"]}) and None

    return Damage(f"the counter {name} {'deleted' if gone else 'set back'}", do)


def _altered(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return 0 if value else 7
    if isinstance(value, float):
        return value / 2
    if isinstance(value, list):
        return value[::-1] if len(value) > 1 else [*value, *value]
    if not isinstance(value, str):  # a date
        return str(value)
    return value[:-1] + ("x" if value[-1:] != "x" else "y")


def _property(label: str, name: str, *, gone: bool) -> Damage:
    def do(stores: Stores) -> Callable[[], None] | None:
        rows = stores.graph.read(
            f"MATCH (n:{label}) WHERE n.{name} IS NOT NULL AND (n.deleted IS NULL OR '{name}' = 'deleted') "
            f"WITH n ORDER BY n.id LIMIT 1 RETURN elementId(n) AS id, n.{name} AS value"
        )
        if not rows or (name == "deleted" and not gone):
            return None
        (row,) = rows
        put = f"MATCH (n) WHERE elementId(n) = $id SET n.{name} = $value"
        stores.graph.write(put, {"id": row["id"], "value": None if gone else _altered(row["value"])})
        return lambda: stores.graph.write(put, {"id": row["id"], "value": row["value"]}) and None

    return Damage(f"{label}.{name} {'removed' if gone else 'altered'}", do)


def _edge_gone(label: str, type_: str) -> Damage:
    def do(stores: Stores) -> Callable[[], None] | None:
        rows = stores.graph.read(
            f"MATCH (n:{label})-[e:{type_}]->(m) WITH n, e, m ORDER BY n.id LIMIT 1 "
            "RETURN elementId(n) AS n, elementId(m) AS m, properties(e) AS own"
        )
        if not rows:
            return None
        (row,) = rows
        stores.graph.write(
            f"MATCH (n)-[e:{type_}]->(m) WHERE elementId(n) = $n AND elementId(m) = $m DELETE e",
            {"n": row["n"], "m": row["m"]},
        )
        return lambda: (
            stores.graph.write(
                f"MATCH (n) WHERE elementId(n) = $n MATCH (m) WHERE elementId(m) = $m CREATE (n)-[e:{type_}]->(m) "
                "SET e = $own",
                row,
            )
            and None
        )

    return Damage(f"an edge {type_} of a {label} deleted", do)


def _edge_drawn(label: str, type_: str, end: str) -> Damage:
    """From a node that has one, a further edge, to another node of the same kind."""

    def do(stores: Stores) -> Callable[[], None] | None:
        rows = stores.graph.read(
            f"MATCH (n:{label})-[e:{type_}]->(:{end}) WITH n, e ORDER BY n.id LIMIT 1 MATCH (m:{end}) "
            f"WHERE NOT (n)-[:{type_}]->(m) AND m.id <> n.id WITH n, e, m ORDER BY m.id LIMIT 1 "
            "RETURN elementId(n) AS n, elementId(m) AS m, properties(e) AS own"
        )
        if not rows:
            return None
        (row,) = rows
        ends = "MATCH (n) WHERE elementId(n) = $n MATCH (m) WHERE elementId(m) = $m"
        stores.graph.write(f"{ends} CREATE (n)-[e:{type_}]->(m) SET e = $own", row)
        return lambda: stores.graph.write(f"{ends} MATCH (n)-[e:{type_}]->(m) DELETE e", row) and None

    return Damage(f"an edge {type_} of a {label} to another {end} drawn", do)


def _edge_property(label: str, type_: str, name: str, *, gone: bool) -> Damage:
    def do(stores: Stores) -> Callable[[], None] | None:
        rows = stores.graph.read(
            f"MATCH (n:{label})-[e:{type_}]->(m) WHERE e.{name} IS NOT NULL WITH n, e, m ORDER BY n.id LIMIT 1 "
            f"RETURN elementId(n) AS n, elementId(m) AS m, e.{name} AS value"
        )
        if not rows:
            return None
        (row,) = rows
        put = (
            f"MATCH (n)-[e:{type_}]->(m) WHERE elementId(n) = $n AND elementId(m) = $m SET e.{name} = $value "
            "RETURN 1 AS one"
        )
        stores.graph.write(put, {**row, "value": None if gone else _altered(row["value"])})
        return lambda: stores.graph.write(put, row) and None

    return Damage(f"{name} of an edge {type_} of a {label} {'removed' if gone else 'altered'}", do)


def _file(kind: str, pattern: str, how: str) -> Damage:
    def do(stores: Stores) -> Callable[[], None] | None:
        files = sorted(path for path in Path(stores.arrays.root).glob(pattern) if path.is_file())
        if not files or (how == "swapped" and len(files) < 2):
            return None
        file = max(files, key=lambda path: path.stat().st_size)
        other = next((path for path in files if path.read_bytes() != file.read_bytes()), None)
        if how == "swapped" and other is None:
            return None
        whole = {path: path.read_bytes() for path in (file, other) if path is not None}
        data = whole[file]
        if how == "gone":
            file.unlink()
        elif how == "swapped":
            assert other is not None
            file.write_bytes(whole[other])
            other.write_bytes(data)
        else:
            middle = len(data) // 2
            flipped = data[:middle] + bytes([data[middle] ^ 0x20]) + data[middle + 1 :]
            file.write_bytes({"cut": data[:middle], "one byte": flipped, "emptied": b""}[how])

        def undo() -> None:
            for path, content in whole.items():
                path.write_bytes(content)

        return undo

    return Damage(f"{kind}: {how}", do)


STORED: Final = {
    "pixels": "segments/*.pixels.*/__fragments/*/a0.tdb",
    "metadata of pixels": "segments/*.pixels.*/__fragments/*/__fragment_metadata.tdb",
    "a schema": "segments/*.pixels.*/__schema/__*",
    "members": "segments/*.Dataset.*",
    "prediction columns": "segments/*.PredictionSet.*",
    "probabilities": "segments/*.PredictionSet.*/__fragments/*/a0.tdb",
    "vectors": "segments/*.VectorSet.*/__fragments/*/a0.tdb",
    "embeddings": "segments/*.ActivationSet.*/__fragments/*/a0.tdb",
    "units": "segments/*.ActivationSet.*/values/__fragments/*/a0.tdb",
    "scales of units": "segments/*.ActivationSet.*/scales/__fragments/*/a0.tdb",
    "keys": "keys/*.npy",
    "weights": "weights/*.safetensors",
}
DAMAGES: Final = (
    *(_node_gone(label) for label in NODES),
    *(_node_gone(label, leaf=True) for label in LEAVES),
    *(_node_made(label) for label in MADE),
    *(_counter(name, gone=gone) for name in COUNTERS for gone in (True, False)),
    *(_property(label, name, gone=gone) for label, name in PROPERTIES for gone in (True, False)),
    *(_edge_gone(label, type_) for label, type_ in EDGES),
    *(_edge_drawn(label, type_, end) for label, type_, end in DRAWN),
    *(_edge_property(label, type_, name, gone=gone) for label, type_, name, gone in EDGE_PROPERTIES),
    *(_file(kind, pattern, how) for kind, pattern in STORED.items() for how in FILES),
)


def _examined_afresh(stores: Stores) -> tuple[object, ...]:
    """The faults that another process finds, which knows nothing yet; the refusal where it cannot even open."""
    try:
        with closing(Stores.open(stores.address, create=False)) as other:
            return examine(other, deep=True).faults
    except (WorkspaceError, StoreError) as refused:
        return (refused,)


@kept
def world(db: og.Workspace) -> og.Workspace:
    """One of everything."""
    add_digits(db._stores, 120)
    db.images.update({"id": [f"digit-{n}" for n in range(120)], "reader": ["ann", "bob"] * 60})
    db.images.delete("digit-119", why="blurred")
    db.images().where(og.F("reader") == "ann")[:20].crop((2, 2, 22, 22)).store("middle")
    db.image("digit-3").revise(np.full((28, 28), 7, np.uint8))
    db.volumes.add("brain", np.arange(4 * 20 * 20, dtype=np.uint16).reshape(4, 20, 20), progress=False)
    labeled = db.images().where(~og.F("label").is_null())
    first = db.datasets.add("digits", labeled[:100])
    first.revise(remove=["digit-40"])
    db.datasets.add("even", db.images("digits").where(og.F("reader") == "ann"))
    db.labels.update({"digit-50": 3}, why="misread")
    db.views.add("of ann", db.images().where(og.F("reader") == "ann"))
    model = db.models.add("small", SmallNet, preprocess=PREPROCESS, classes=range(10), input_shape=(1, 28, 28))
    db.models.add("unused", SmallNet, preprocess=PREPROCESS, classes=range(10), input_shape=(1, 28, 28))
    model.add_checkpoint(SmallNet(), id="imported")
    with db.run(model, id="first", train="even") as run:
        run.add_checkpoint(trained(), best=True)
    with db.run(model, id="second", train="digits@1", informed_by="first") as run:
        run.add_checkpoint(SmallNet())
    run.predict("digits")
    experiment = db.experiment("first")
    experiment.layer("norm").embeddings(db.images("digits"))
    experiment.layer("head").materialize(db.images("digits"), progress=False)
    rows = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    for start in (0, 30):
        db.vectors.add("own", [f"digit-{n}" for n in range(start, start + 30)], rows[start : start + 30])
    return db


@pytest.fixture
def chosen(soak: bool, engine: Any) -> list[Damage]:
    """The damages to try."""
    chance = random.Random(f"{SEED} {engine.name}")
    return list(DAMAGES) if soak else chance.sample(DAMAGES, SHARE)


def test_there_are_many_kinds_of_damage() -> None:
    """A share of them is a sample of what can happen, not of a handful."""
    assert len(DAMAGES) >= 60
    assert len({damage.name for damage in DAMAGES}) == len(DAMAGES)


def test_the_doctor_finds_whatever_is_lost_or_altered(world: og.Workspace, chosen: list[Damage]) -> None:
    """Each is a fault of a deep look, which never raises; then undone."""
    print(f"ODIN_SEED={SEED}")
    stores = world._stores
    assert str(examine(stores, deep=True)).split(": ")[1].startswith("sound"), examine(stores, deep=True)
    missed, tried = [], 0
    for damage in chosen:
        undo = damage.do(stores)
        if undo is None:
            continue
        tried += 1
        if _examined_afresh(stores) == ():
            missed.append(damage.name)
        undo()
        assert _examined_afresh(stores) == (), f"not undone: {damage.name}"
    assert tried >= len(chosen) * 3 // 4
    assert missed == [], f"ODIN_SEED={SEED}"


REPAIRED: Final = (
    _node_gone("MemberChunk"),
    *(_property("MemberChunk", name, gone=False) for name in ("number", "keys", "labels")),
    _edge_gone("Dataset", "HAD_MEMBER"),
    _edge_gone("Dataset", "DERIVED_FROM"),
    _edge_gone("Image", "HAS_ROOT"),
    _edge_gone("Experiment", "USED"),
    _edge_gone("Checkpoint", "GENERATED_BY"),
    _edge_gone("PredictionSet", "OF"),
    _edge_gone("Prediction", "OF"),
    _property("Prediction", "confidence", gone=False),
    _property("Image", "height", gone=False),
    _node_gone("Prediction"),
    _node_gone("Counter"),
    _counter("label change", gone=True),
    _counter("image", gone=False),
)


def test_what_can_be_made_again_is_repaired(world: og.Workspace) -> None:
    """Repair says what it did, and leaves the workspace sound, with the same answers."""
    stores = world._stores
    before = world.images("digits").with_columns(p=world.experiment("second").predicted).to_arrow("id").to_pylist()
    for damage in REPAIRED:
        assert damage.do(stores) is not None, damage.name
        report = examine(stores, repair=True)
        assert report.sound, (damage.name, report)
        assert report.repaired, damage.name
        assert all(what in str(report) for what in report.repaired)
    assert _examined_afresh(stores) == ()
    after = world.images("digits").with_columns(p=world.experiment("second").predicted).to_arrow("id").to_pylist()
    assert after == before


def test_what_cannot_be_made_again_stays_a_fault(world: og.Workspace) -> None:
    """Nothing is invented for what is lost."""
    stores = world._stores
    assert _node_gone("Checkpoint").do(stores) is not None
    report = examine(stores, repair=True)
    assert not report.sound
    assert report.repaired == ()
