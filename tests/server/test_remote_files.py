"""Weights, models that are files, exports and deep checks from far away: as near, with their digests."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from fastapi.testclient import TestClient
from torch import nn

import odin_graph as og
from odin_graph.catalog.datasets.exchange import FORMATS, MANIFEST
from odin_graph.catalog.records.files import WEIGHTS
from odin_graph.catalog.records.segments import segments_of
from odin_graph.objects.things.checkpoint import Checkpoint
from odin_graph.runtime.models import trust
from tests.server.serving import cut_after

pytestmark = pytest.mark.one_engine  # files travel, whatever the graph is in


def best(db: og.Workspace) -> Checkpoint:
    found = db.experiment("small-cnn/1").best_checkpoint()
    assert found is not None
    return found


def test_a_model_with_its_weights_is_the_same(retina: og.Workspace, far: og.Workspace) -> None:
    here, there = best(retina).weights(), best(far).weights()
    assert here.keys() == there.keys()
    assert all(torch.equal(here[name], there[name]) for name in here)
    pixels = torch.rand(3, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(best(far).load()(pixels), best(retina).load()(pixels))
        assert best(far).load()(pixels).shape == far.model("small-cnn").build()(pixels).shape


def test_code_of_a_server_runs_when_it_is_trusted_there(
    retina: og.Workspace, far: og.Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To trust a workspace on this machine is not to trust a server that says it is that workspace."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    program = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    retina.models.add("program", program, classes=list("abc"), task="multi-class", input_shape=(1, 8, 8))
    retina.model("program").build(trust_source=True)

    def new_process() -> None:
        monkeypatch.setattr(trust, "_vouched", set())
        monkeypatch.setattr(trust, "_live", {})

    new_process()
    pixels = torch.rand(2, 1, 8, 8)
    with pytest.raises(og.errors.TrustError, match="load an exported program"):
        far.model("program").build()
    made = far.model("program").build(trust_source=True)
    with torch.no_grad():
        assert torch.allclose(made(pixels), program(pixels))
    new_process()
    far.model("program").build()
    assert far.model("program").distrust()
    with pytest.raises(og.errors.TrustError):
        far.model("program").build()
    retina.model("program").build()


def test_a_file_that_was_changed_or_cut_short_is_refused(
    retina: og.Workspace, port: int, far: og.Workspace, secret: str
) -> None:
    file = Path(retina._stores.arrays.root) / WEIGHTS.uri(best(retina).digest)
    data = file.read_bytes()
    try:
        file.write_bytes(data[:-1] + b"!")
        with pytest.raises(og.StoreError, match="is not what was written"):
            best(retina).weights()
        with pytest.raises(og.UnreachableError, match="is not the file that 'small-cnn/1/1' names"):
            best(far).weights()
        (fault,) = far.doctor(deep=True).faults
        assert fault.thing == "checkpoint 'small-cnn/1/1'"
        assert fault.reason.endswith("is not what was written.")
    finally:
        file.write_bytes(data)
    with cut_after(port, 1_500) as cut, og.connect(f"http://127.0.0.1:{cut}", token=secret) as cut_off:
        record = Checkpoint(far._session, best(far).id)._record()
        with pytest.raises(og.UnreachableError):
            cut_off._session.files.read(WEIGHTS, record.weights, record.id)
    assert best(far).weights().keys() == best(retina).weights().keys()


def test_the_route_of_a_file_says_its_digest(retina: og.Workspace, client: TestClient) -> None:
    checkpoint = best(retina)
    answer = client.get(f"/v1/checkpoints/{checkpoint.id.replace('/', '%2F')}/weights")
    assert hashlib.sha256(answer.content).hexdigest() == checkpoint.digest
    assert int(answer.headers["content-length"]) == len(answer.content)
    digest = answer.headers["repr-digest"].removeprefix("sha-256=:").removesuffix(":")
    assert b64decode(digest).hex() == checkpoint.digest
    assert client.get("/v1/checkpoints/nobody/weights").status_code == 404
    assert client.get("/v1/models/nobody/file").status_code == 404
    assert "it is made of its definition" in client.get("/v1/models/small-cnn/file").json()["error"]["message"]
    strange = TestClient(client.app, headers={"Authorization": "Bearer odin_no"})
    assert strange.get("/v1/checkpoints/small-cnn%2F1%2F1/weights").status_code == 401


@pytest.mark.parametrize("kind", FORMATS)
def test_an_export_is_the_same(retina: og.Workspace, far: og.Workspace, tmp_path: Path, kind: Any) -> None:
    here, there = (
        db.dataset("retina-test").export(tmp_path / name, format=kind, progress=False)
        for name, db in (("here", retina), ("there", far))
    )
    files = sorted(path.relative_to(here) for path in here.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(there) for path in there.rglob("*") if path.is_file())
    assert all((here / name).read_bytes() == (there / name).read_bytes() for name in files if name.suffix != ".tar")
    assert pq.read_table(here / MANIFEST).equals(pq.read_table(there / MANIFEST), check_metadata=True)
    with pytest.raises(og.ConflictError, match="is not empty"):
        far.dataset("retina-test").export(there)


def test_pixels_that_were_changed_are_not_exported(
    retina: og.Workspace, far: og.Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither near nor far: what is written has the digests of the version, or is not written."""
    reader = type(retina._session.pixels)
    monkeypatch.setattr(reader, "read_list", lambda _, keys: [np.zeros((8, 8, 1), np.uint8)] * len(keys))
    for name, db in (("here", retina), ("there", far)):
        with pytest.raises(og.StoreError, match=r"The pixels of 'scan000.png' are not those that were stored"):
            db.dataset("retina-test").export(tmp_path / name, progress=False)
        assert not list(tmp_path.iterdir())


def test_the_deep_doctor_reads_everything_from_far_away(retina: og.Workspace, far: og.Workspace) -> None:
    assert far.doctor(deep=True).sound
    stores = retina._stores
    (segment,) = segments_of(stores, "Dataset/retina-test@1/members")
    tables = [path for path in (Path(stores.arrays.root) / segment.uri).rglob("*") if path.is_file()]
    tables = tables or [Path(stores.arrays.root) / segment.uri]
    before = tables[0].read_bytes()
    try:
        tables[0].write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        here, there = retina.doctor(deep=True), far.doctor(deep=True)
        assert f"segment {segment.id} of {segment.array!r}" in {fault.thing for fault in there.faults}
        assert [fault.thing for fault in here.faults] == [fault.thing for fault in there.faults]
        assert stores.arrays.root not in str(there)
    finally:
        tables[0].write_bytes(before)
