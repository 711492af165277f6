"""Every Python block of docs/server.md runs against a real server, and its curl line as well."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

import odin_graph as og
from odin_graph import example
from odin_graph.catalog.records.tokens import create_token
from odin_graph.server import Settings, create_app
from tests.docs.pages import DOCS, run_page
from tests.server.serving import served
from tests.stored import filled

pytestmark = pytest.mark.one_engine  # what a server adds, whatever its graph is in


def test_every_example_runs(db: og.Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    filled(db, example.build, experiments=1)
    monkeypatch.chdir(tmp_path)
    token = create_token(db._stores, "docs", "write")
    with served(db, Settings()) as port:
        with og.connect(f"http://127.0.0.1:{port}", token=token) as far:
            names: dict[str, Any] = run_page("server.md", far, monkeypatch)
            assert 0 < len(names["near"]) <= 5
            eyes = db.experiment("small-cnn/1").layer("features").units[[3, 17]]
            wrong = db.images("retina-test").where(db.experiment("small-cnn/1").wrong, og.F("age") > 40)
            here = wrong.order_by(eyes.mean().desc()).limit(5)
            assert names["top"].keys().tolist() == here.keys().tolist()
            assert (tmp_path / "near.png").read_bytes().startswith(b"\x89PNG")
        line = re.search(r"^curl .*?\}'$", (DOCS / "server.md").read_text(), re.MULTILINE | re.DOTALL)
        assert line is not None
        command = line[0].replace(":8000", f":{port}")
        known = {**os.environ, "ODIN_GRAPH_TOKEN": token}
        ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, env=known)
        assert ran.stdout.count('"distance"') == 5


def test_the_table_names_every_route(db: og.Workspace) -> None:
    text = (DOCS / "server.md").read_text()
    for path in create_app(db, Settings(cypher=True)).openapi()["paths"]:
        last = path.removesuffix("/{id}").rpartition("/")[2]
        assert last in text, path
