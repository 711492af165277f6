"""A workspace whose arrays are in a bucket: what a user does with it, and what goes wrong on the way there."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import odin_graph as og
from odin_graph import F
from odin_graph.address import Address
from odin_graph.arrays import ArrayStore
from odin_graph.config import Budget
from odin_graph.errors import StoreError, WorkspaceError
from odin_graph.stores import Stores
from tests.conftest import Engine
from tests.engines.s3 import Moto, S3Server, in_s3, start
from tests.forking import run
from tests.workspaces import add_digits, connect

BUDGET = Budget(memory=256 << 20, threads=2)
SECRET = "corr3ct-horse"
READER = """
import hashlib, json, sys
from odin_graph.address import Address
from odin_graph.stores import Stores
from odin_graph import F
from tests.workspaces import connect
with connect(Address(**json.loads(sys.argv[1])), create=False) as db:
    for image in db.images().order_by(F("id")):
        print(image.id, image.label, hashlib.sha256(image.pixels.tobytes()).hexdigest())
    print(db.doctor(deep=True).sound)
"""


@pytest.fixture
def address(engine: Engine, s3: S3Server, tmp_path: Path) -> Address:
    """Of an empty workspace with its arrays in the bucket, not yet opened."""
    engine.wipe()
    return engine.address(in_s3(tmp_path))


def read_elsewhere(address: Address) -> list[str]:
    """What another process reads."""
    held = {name: getattr(address, name) for name in ("arrays", "folder", "graph", "database", "user", "password")}
    done = run(["-c", READER, json.dumps(held)], timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


def test_another_process_reads_what_was_stored_and_no_secret_is_stored(address: Address, s3: S3Server) -> None:
    with connect(address) as db:
        for prefix in ("digit", "more"):
            add_digits(db, 10, prefix)
        expected = [
            f"{image.id} {image.label} {hashlib.sha256(image.pixels.tobytes()).hexdigest()}"
            for image in db.images().order_by(F("id"))
        ]
        written = str(list(db.cypher("MATCH (n) RETURN properties(n) AS n"))).encode()
        cache = Stores.at(address).cache
    assert read_elsewhere(address) == [*expected, "True"]
    names = s3.names(address.arrays)
    assert len(names) >= 7
    stored = b"".join(map(s3.get, names)) + written
    stored += b"".join(file.read_bytes() for file in cache.rglob("*") if file.is_file())
    assert s3.secret.encode() not in stored
    assert s3.key.encode() not in stored


def test_garbage_is_as_old_as_the_service_says(s3: S3Server, tmp_path: Path) -> None:
    """Key vectors too, whose names have no date; one that is used again is young again."""
    store = ArrayStore(in_s3(tmp_path), BUDGET)
    keys, rows = np.array([901, 902]), np.zeros((2, 3, 3, 1), np.uint8)
    lost = store.write_dense("pixels", keys, rows)
    time.sleep(2.1)  # its dates are whole seconds
    ages = {file.uri: file.age for file in store.files()}
    assert ages.keys() == {lost.uri, f"keys/{lost.keys}.npy"}
    assert all(age > 1 for age in ages.values())
    again = store.write_dense("other", keys, rows)
    young = {file.uri for file in store.files() if file.age < min(ages.values())}
    assert young == {again.uri, f"keys/{lost.keys}.npy"}
    store.remove(again.uri, unless_younger=60)
    assert store.check(again, deep=True) == []
    store.remove(again.uri)
    assert s3.names(f"{store.root}/{again.uri}") == []


def test_a_bucket_that_belongs_to_another_workspace_is_refused(address: Address, s3: S3Server) -> None:
    s3.put(f"{address.arrays}/workspace.json", b'{"id": "another"}')
    with pytest.raises(og.errors.MismatchError, match="its arrays belong to workspace another"):
        connect(address)


@pytest.mark.parametrize(
    ("root", "changed", "message"),
    [
        ("s3://nothing/a", {}, "there is no such bucket: make it"),
        ("s3://retina/a", {"AWS_SECRET_ACCESS_KEY": SECRET}, "refuses the credentials: set AWS_ACCESS_KEY_ID"),
        ("s3://retina/a", {"AWS_ACCESS_KEY_ID": SECRET}, "refuses the credentials: set AWS_ACCESS_KEY_ID"),
        ("s3://retina/a", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "nothing answers: check that the service runs"),
        (
            "s3://retina/a",
            {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"},
            "nothing answers: check that the service runs",
        ),
    ],
)
def test_what_is_wrong_is_said_with_the_remedy(
    s3: S3Server, root: str, changed: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match=message) as caught:
        ArrayStore(root, BUDGET)
    assert str(caught.value).startswith(f"{root} cannot be used: ")
    assert not any(secret in str(caught.value) for secret in (s3.secret, s3.key, SECRET))
    monkeypatch.undo()
    for name, value in s3.environment.items():  # whoever has corrected it goes on in the same process
        monkeypatch.setenv(name, value)
    ArrayStore("s3://retina/a", BUDGET)


@pytest.mark.parametrize("url", ["127.0.0.1:9000", "ftp://host", f"http://ada:{SECRET}@host", "http://"])
def test_an_endpoint_that_is_none_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(WorkspaceError, match="AWS_ENDPOINT_URL is not an address of a service") as caught:
        ArrayStore("s3://retina/a", BUDGET)
    assert SECRET not in str(caught.value)


def test_who_may_only_read_changes_nothing(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what was to be written again, and is there, stays: others name it."""
    if not isinstance(s3, Moto):
        pytest.skip("s3proxy has one user")
    store = ArrayStore(in_s3(tmp_path), BUDGET)
    info = store.write_dense("pixels", np.arange(5), np.zeros((5, 4), np.uint8))
    before = s3.names(store.root)
    key, secret = s3.reader()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    reader = ArrayStore(store.root, BUDGET)
    for write in (
        lambda: reader.write_dense("pixels", np.arange(5), np.zeros((5, 4), np.uint8)),
        lambda: reader.write_table("table", pa.table({"key": [1, 2]})),
        lambda: reader.claim("another"),
    ):
        with pytest.raises(StoreError, match="cannot be written: the service refuses the credentials"):
            write()
    with pytest.raises(StoreError, match="cannot be removed: the service refuses the credentials"):
        reader.remove(info.uri)
    assert reader.check(info, deep=True) == []
    assert s3.names(store.root) == before


def test_a_service_that_goes_away_is_said_and_nothing_half_is_named(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start("moto")
    try:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        engine.wipe()
        with connect(engine.address(in_s3(tmp_path))) as db:
            add_digits(db, 4)
            server.stop()
            with pytest.raises(StoreError, match="nothing answers"):
                add_digits(db, 4, "lost")
            with pytest.raises(StoreError, match="nothing answers"):
                db.doctor()
            assert db.images().count() == 4
    finally:
        server.stop()


def test_forked_children_read_and_write(s3: S3Server, tmp_path: Path) -> None:
    """As the workers of a loader do."""
    store = ArrayStore(in_s3(tmp_path), BUDGET)
    rows = np.random.default_rng(0).integers(0, 256, (40, 100), np.uint8)
    info = store.write_dense("pixels", np.arange(40), rows)
    assert store.check(info, deep=True) == []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            try:
                same = (store.read(info, slice(None)) == rows).all()
                again = store.write_dense("pixels", np.arange(40), rows)
                os._exit(0 if same and (store.read(again, slice(None)) == rows).all() else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
    assert (store.read(info, slice(3, 9)) == rows[3:9]).all()
