"""Whoever writes meanwhile, in this process or another, every read is an answer of one moment."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from random import SystemRandom

import numpy as np
import pyarrow as pa
import pytest

import odin_graph as og
from odin_graph import F
from odin_graph.address import Address
from odin_graph.client import LocalSession
from odin_graph.columns import snapshot_file
from odin_graph.errors import ExpressionError
from odin_graph.schema.metadata import FieldType
from tests.forking import Program
from tests.workspaces import as_server

WORKER = """
import json, random, sys, time, traceback
import numpy as np
import odin_graph as og
from odin_graph import F
how, me, seed, seconds = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
chance, reads, failed = random.Random(seed), 0, []
db = og.connect(**how)
mine, made, end = [], 0, time.time() + seconds
def add():
    global made
    ids = [f"{me}/{made + place}" for place in range(3)]
    made += 3
    mine.extend(ids)
    pixels, fields = np.full((3, 8, 8, 1), me, np.uint8), {"left": [1] * 3, "right": [1] * 3}
    db.images.add(images=pixels, ids=ids, labels=["x"] * 3, metadata=fields, progress=False)
def label(): db.labels.update({chance.choice(mine): chance.choice("xyz")}, why="trial")
def update():
    number = chance.randrange(9)  # both fields in one transaction: a reader never sees one without the other
    db.images.update({chance.choice(mine): {"left": number, "right": number}})
def field(): db.images.update({chance.choice(mine): {f"new {me} {made}": 1}})
def delete(): db.image(mine.pop(0)).delete(why="trial")
def dataset(): db.datasets.add(f"set {me}", db.images().where(F("label") == "x"), revise=True)
def read():
    global reads
    reads += 1
    table = db.images().where(F("label").is_not_null()).to_arrow("id", "label", "left", "right")
    rows = table.select(["id", "left", "right"]).to_pylist()
    torn = [row for row in rows if row["id"] is None or row["left"] != row["right"]]
    assert not torn, torn[:3]
    assert table.column("label").null_count == 0
    query = db.images().where(F("label") == "x")
    assert query.count() >= 0 and query.group_by("left").count().to_arrow().num_rows >= 0
    if chance.random() < 0.3:
        for image in query[:20]:
            assert image.id
    if chance.random() < 0.2:
        db.images().to_pandas()
        db.experiments().to_pandas()
while time.time() < end:
    act = chance.choice([add, label, update, update, field, delete, dataset, read, read, read, read])
    if act not in (add, read) and len(mine) < 9:
        act = add
    try:
        act()
    except Exception as error:
        if act is read or not isinstance(error, og.OdinError):
            failed.append(traceback.format_exc()[-1500:])
print(json.dumps({"reads": reads, "failed": failed[:3]}))
"""
SECONDS = [6, pytest.param(600, marks=pytest.mark.soak)]


@pytest.mark.parametrize("seconds", SECONDS)
def test_every_read_beside_writers_is_an_answer(
    db: og.Workspace, address: Address, tmp_path: Path, seconds: int
) -> None:
    """Six processes add, relabel, update, delete, make fields and data sets, and read."""
    import json

    number = int(os.environ.get("ODIN_SEED") or SystemRandom().randrange(2**31))
    print(f"ODIN_SEED={number} repeats what each process does, if not when")
    pixels = np.zeros((200, 8, 8, 1), np.uint8)
    fields = {"left": [0] * 200, "right": [0] * 200}
    db.images.add(images=pixels, ids=[f"base/{n}" for n in range(200)], labels=["x"] * 200, metadata=fields)
    how = as_server(db, address.arrays)
    running = [Program(["-c", WORKER, json.dumps(how), str(me), str(number + me), str(seconds)]) for me in range(6)]
    said = [json.loads(process.communicate()[0].strip().splitlines()[-1]) for process in running]
    assert sum(one["reads"] for one in said) >= 6
    assert not [failure for one in said for failure in one["failed"]]


def test_a_file_of_columns_that_another_process_replaced(db: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns of the same moment that another process put in the place of ours, with other fields, are not ours."""
    db.images.add(images=np.zeros((3, 8, 8), np.uint8), ids=["a", "b", "c"], labels=["x"] * 3)
    save = snapshot_file.save

    def replaced(file: Path, table: pa.Table, token: str) -> None:
        save(file, table.select(["key"]), token)

    monkeypatch.setattr(snapshot_file, "save", replaced)
    assert db.images().where(F("label") == "x").to_arrow("id").num_rows == 3


def test_the_columns_of_an_answer_are_of_one_moment(db: og.Workspace) -> None:
    """What the conditions saw and what the columns show is one state, however many writes come between."""
    fields = {"left": [0] * 50, "right": [0] * 50}
    db.images.add(images=np.zeros((50, 8, 8), np.uint8), ids=[str(n) for n in range(50)], metadata=fields)
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.wait(0.2):
            number += 1
            db._stores.graph.write("MATCH (i:Image) SET i.left = $n, i.right = $n", {"n": number})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(10):
            table = db.images().where(F("left") >= 0).with_columns(was=F("left")).to_arrow("right")
            assert table.column("was").to_pylist() == table.column("right").to_pylist()
            assert len(set(table.column("was").to_pylist())) == 1
    finally:
        stop.set()
        writer.join()


def test_a_field_of_another_type_by_now_is_said(db: og.Workspace) -> None:
    """A query that was written before a field got another type says what does not fit, and answers where it does."""
    db.images.add(images=np.zeros((3, 8, 8), np.uint8), ids=["a", "b", "c"], metadata={"age": ["1", "2", "3"]})
    query, any_type = db.images().where(F("age") == "2"), db.images().where(F("age").is_not_null())
    assert query.count() == 1
    graph = db._stores.graph
    graph.write("MATCH (i:Image) SET i.age = toInteger(i.age)")
    graph.write("MATCH (f:Field {kind: 'Image', name: 'age'}) SET f.type = $type", {"type": FieldType.INT.value})
    for ask in (query.count, query.to_arrow, query.keys, lambda: query.explain(run=True)):
        with pytest.raises(ExpressionError, match="compares an int with a string"):
            ask()
    with pytest.raises(ExpressionError, match="compares an int with a string"):
        db.images().where(F("age") == "2")
    assert any_type.count() == 3


def test_an_image_that_is_gone_is_left_out(db: og.Workspace) -> None:
    """Going through images while one is deleted gives the others, each under its own id."""
    db.images.add(images=np.zeros((40, 8, 8), np.uint8), ids=[f"{n:02}" for n in range(40)])
    keys = db.images().keys()
    db.image("07").delete(why="trial")
    held = [image.id for image in og.Image.of_keys(LocalSession(db._stores), keys)]
    assert held == [f"{n:02}" for n in range(40) if n != 7]
