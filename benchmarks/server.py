"""32 clients at once against `odin serve`: no error, no wrong answer, and how long they wait.

python -m benchmarks.server [--quick] [--json FILE]

The server is a process of its own, and so are the clients: each asks one question after another, of six kinds.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.graph import embedded
from benchmarks.queries import fill
from benchmarks.report import Row, run
from odin_graph import F
from odin_graph.catalog.records.tokens import create_token
from odin_graph.client import LocalSession
from odin_graph.objects.collections.images import Images
from odin_graph.objects.collections.vectors import Vectors
from odin_graph.objects.things.experiment import Experiment
from odin_graph.stores import Stores

CLIENTS = 32


def measure(quick: bool) -> list[Row]:
    """Serve a workspace, ask it for a minute."""
    number, seconds = (20_000, 8.0) if quick else (70_000, 60.0)
    with tempfile.TemporaryDirectory() as name, embedded(Path(name)) as stores:
        stores.keep()
        fill(stores, number, number // 2)
        questions = ask_here(stores)
        token = create_token(stores, "benchmark")
        command = [sys.executable, "-m", "odin_graph.cli", "serve", str(stores.address.folder), "--port", "0"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            try:
                assert server.stderr is not None
                url = server.stderr.readline().partition("/docs")[0]
                file = Path(name, "questions.json")
                file.write_text(json.dumps({"url": url, "token": token, "seconds": seconds, "questions": questions}))
                said = subprocess.run(
                    [sys.executable, "-m", "benchmarks.server", "--clients", str(file)],
                    capture_output=True,
                    text=True,
                    check=True,
                )
            finally:
                server.terminate()
    return rows(json.loads(said.stdout), seconds)


def rows(said: dict[str, Any], seconds: float) -> list[Row]:
    """Waits by kind of question, in milliseconds."""
    found: list[Row] = []
    waits = {kind: np.array(held) * 1000 for kind, held in said["waits"].items()}
    for kind, held in {"all": np.concatenate(list(waits.values())), **waits}.items():
        found += [Row(f"{kind}: p{at}", float(np.percentile(held, at)), "ms") for at in (50, 99)]
    answered = sum(map(len, waits.values()))
    wrong, errors = int(said["wrong"]), int(said["errors"])
    return [
        Row(f"answers by {CLIENTS} clients in {seconds:g} s", answered, "answers"),
        Row("answers a second", answered / seconds, "1/s"),
        Row("errors", errors, "answers", "0", errors == 0),
        Row("wrong answers", wrong, "answers", "0", wrong == 0),
        *found,
    ]


def ask_here(stores: Stores) -> list[dict[str, Any]]:
    """Questions and their answers, as this process has them."""
    images, exp = Images(LocalSession(stores)), Experiment(LocalSession(stores), "a")
    rows = np.random.default_rng(1).normal(size=(5_000, 64)).astype(np.float32)
    Vectors(LocalSession(stores)).add("v", images()[:5_000], rows, progress=False)
    small = images("small")
    questions: list[dict[str, Any]] = []
    for age in range(20, 80, 5):
        counted = small.where(exp.wrong, F("age") > age)
        questions.append(question("count", "/v1/query/count", {"query": counted.to_json()}, {"count": counted.count()}))
        page = small.where(F("age") > age).order_by(F("age"))
        answer = page[:100].to_arrow("id", "age").to_pylist()
        body = {"query": page.to_json(), "columns": ["id", "age"], "limit": 100}
        questions.append(question("page of 100", "/v1/query", body, {"rows": answer, "total": page.count()}))
        groups = small.where(F("age") > age).group_by("label").agg(wrong=exp.wrong.mean())
        questions.append(
            question("groups", "/v1/query", {"query": groups.to_json()}, {"rows": groups.to_arrow().to_pylist()})
        )
        near = images().nearest(rows[age].tolist(), by=Vectors(LocalSession(stores))["v"], k=10)
        body = {"vector": rows[age].tolist(), "by": {"vectors": "v"}, "columns": ["id"]}
        questions.append(question("similar", "/v1/similar", body, {"rows": near.to_arrow("id").to_pylist()}))
        image = images()[age]
        questions.append(question("image", f"/v1/images/{image.id}", None, {"id": image.id, "label": image.label}))
    return questions


def question(kind: str, path: str, body: dict[str, Any] | None, answer: dict[str, Any]) -> dict[str, Any]:
    """One question: a POST with a body, else a GET, and a part of its answer."""
    return {"kind": kind, "path": path, "body": body, "answer": answer}


async def clients(said: dict[str, Any]) -> dict[str, Any]:
    """Ask until the time is over."""
    waits: dict[str, list[float]] = {held["kind"]: [] for held in said["questions"]}
    counts = {"errors": 0, "wrong": 0}
    until = time.monotonic() + said["seconds"]
    headers = {"Authorization": f"Bearer {said['token']}"}

    async def client(place: int) -> None:
        turn = place
        async with httpx.AsyncClient(base_url=said["url"], headers=headers, timeout=60) as http:
            while time.monotonic() < until:
                asked = said["questions"][turn % len(said["questions"])]
                turn += 7
                began = time.perf_counter()
                try:
                    if asked["body"] is None:
                        answer = await http.get(asked["path"])
                    else:
                        answer = await http.post(asked["path"], json=asked["body"])
                except httpx.HTTPError:
                    counts["errors"] += 1
                    continue
                waits[asked["kind"]].append(time.perf_counter() - began)
                counts["errors"] += answer.status_code != 200
                found = answer.json()
                counts["wrong"] += any(found.get(name) != value for name, value in asked["answer"].items())

    await asyncio.gather(*(client(place) for place in range(CLIENTS)))
    return {"waits": waits, **counts}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--clients"]:
        print(json.dumps(asyncio.run(clients(json.loads(Path(sys.argv[2]).read_text())))))
        raise SystemExit(0)
    raise SystemExit(run("server", measure))
