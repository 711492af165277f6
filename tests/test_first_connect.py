"""Several processes open a workspace that there is not yet, as DistributedDataParallel and job arrays do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from odin_graph.address import Address
from odin_graph.graph import install
from tests.conftest import Engine
from tests.forking import Program

PROGRAM = """
import json, sys
import numpy as np
import odin_graph.workspace
from odin_graph.address import Address
from tests.workspaces import connect
who = sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
with connect(Address(**json.loads(sys.argv[1]))) as db:
    images = np.full((20, 4, 4), int(who), np.uint8)
    db.images.add(images=images, ids=[f"{who}/{n}" for n in range(20)], metadata={"n": list(range(20))}, progress=False)
    print(json.dumps([db._stores.workspace_id, [db.image(f"{who}/{n}").key for n in range(20)]]), flush=True)
"""


@pytest.fixture
def new(engine: Engine, tmp_path: Path) -> Iterator[Address]:
    """Of a workspace that nobody has made: on a server without a single constraint."""
    if engine.folder is not None:
        yield Address.of(tmp_path / "new.odin")
        return
    graph = engine.graph
    engine.wipe()
    graph.write("MATCH (n) DETACH DELETE n")
    for row in graph.read("SHOW CONSTRAINTS YIELD name"):
        graph.autocommit(f"DROP CONSTRAINT `{row['name']}`")
    for row in graph.read("SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP' RETURN name"):
        graph.autocommit(f"DROP INDEX `{row['name']}`")
    yield engine.address(tmp_path / "arrays")
    graph.write("MATCH (n) DETACH DELETE n")
    install(graph)


@pytest.mark.parametrize("processes", [4, pytest.param(8, marks=pytest.mark.soak)])
def test_all_open_one_workspace(new: Address, processes: int) -> None:
    """Each opens it and stores its images; it is one workspace, and no key is given twice."""
    running = [Program(["-c", PROGRAM, json.dumps(asdict(new)), str(who)]) for who in range(processes)]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("\n")
    answers = []
    for process in running:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        answers.append(json.loads(out))
    assert len({workspace for workspace, _ in answers}) == 1
    keys = [key for _, mine in answers for key in mine]
    assert len(keys) == len(set(keys)) == 20 * processes
