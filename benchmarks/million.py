"""A million images on one machine: what each step of a day's work takes, and that it costs what it changes.

python -m benchmarks.million [--quick] [--json FILE]

Both engines, or the one that ODIN_BENCH_ENGINE names. The images are arrays of 8 x 8 with four fields. "Warm" is a
query whose columns are in memory; after a write a query is measured once more, and stands beside the warm one.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

import odin_graph as og
from benchmarks.graph import embedded, server
from benchmarks.report import Row, WrongAnswer, at_most, run, timed
from odin_graph import F
from odin_graph.address import Address
from odin_graph.client import LocalSession
from odin_graph.stores import Stores
from odin_graph.workspace import Workspace

MANY, FEW = 1_000_000, 50_000
PATIENTS = 20
"""Images of a patient."""
ENGINES = ("ArcadeDB", "Neo4j")


def measure(quick: bool) -> list[Row]:
    """The steps on both engines, or on the one that ODIN_BENCH_ENGINE names."""
    number = FEW if quick else MANY
    only = os.environ.get("ODIN_BENCH_ENGINE", "")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        if only in ("", "ArcadeDB"):
            with embedded(Path(folder)) as stores:
                rows += Steps("ArcadeDB", stores, number).rows()
        if only in ("", "Neo4j"):
            with server(Path(folder)) as (stores, _):
                rows += Steps("Neo4j", stores, number).rows()
    return rows


class Steps:
    """One workspace, and what was measured in it."""

    def __init__(self, engine: str, stores: Stores, number: int) -> None:
        self.engine, self.stores, self.number = engine, stores, number
        self.db = Workspace(LocalSession(stores))
        self.found: list[Row] = []
        self.turn = 0

    def rows(self) -> list[Row]:
        """Measure everything."""
        with _peak() as peak:
            self.add()
            self.freshness()
            self.versions()
            self.reading()
            self.care()
        self.note("peak of this process", peak[0] / 2**20, "MiB", 4_096)
        return self.found

    def note(self, name: str, value: float, unit: str, goal: float | None = None) -> None:
        """Keep a figure; goals are for a million images."""
        name = f"{self.engine}: {name}"
        few = goal is None or (self.number < MANY and unit != "x")
        self.found.append(Row(name, value, unit) if few else at_most(name, value, unit, goal))
        print(f"  {name}: {value:,.3f} {unit}", flush=True)

    def timed(self, name: str, goal: float | None, work: Callable[[], Any]) -> Any:
        """Measure one step."""
        seconds: list[float] = []
        with timed(seconds):
            answer = work()
        self.note(name, seconds[0], "s", goal)
        return answer

    def add(self) -> None:
        """All images, 100,000 a call."""
        chance = np.random.default_rng(0)

        def work() -> None:
            for first in range(0, self.number, 100_000):
                at = np.arange(first, min(first + 100_000, self.number))
                self.db.images.add(
                    images=chance.integers(0, 256, (len(at), 8, 8), np.uint8),
                    ids=[f"image-{n:07}" for n in at],
                    labels=np.where(at % 10 == 0, "DME", "normal").tolist(),
                    metadata={
                        "age": (20 + at * 7 % 60).tolist(),
                        "patient": [f"p{n // PATIENTS}" for n in at],
                        "site": [f"site {n % 7}" for n in at],
                    },
                    progress=False,
                )

        self.timed(f"{self.number:,} images go in", None, work)

    def query(self) -> float:
        """The seconds of a filter that was never asked before."""
        self.turn += 1
        bound = 20 + self.turn % 60 + 0.001 * self.turn
        seconds: list[float] = []
        with timed(seconds):
            answer = self.db.images.where(F("age") > bound, F("label") == "DME").count()
        if not 0 <= answer <= self.number // 10 + 10_000:
            raise WrongAnswer(f"{answer} images older than {bound}")
        return seconds[0]

    def freshness(self) -> None:
        """A filter after each kind of write, beside one after none."""
        self.note("the first filter after that", self.query(), "s", 12)
        warm = median(self.query() for _ in range(7))
        self.note("a warm filter", warm, "s")

        def after(name: str, write: Callable[[int], object], times: int = 5) -> None:
            seconds = []
            for turn in range(times):
                write(turn)
                seconds.append(self.query())
            self.note(f"a filter after {name}", median(seconds), "s")
            self.note(f"the same against a warm one ({warm * 1e3:.0f} ms)", median(seconds) / warm, "x", None)

        db = self.db
        after("a view was saved", lambda turn: db.views.add(f"v{turn}", db.images.where(F("age") > 30)))
        after("one label was corrected", lambda turn: db.labels.update(f"image-{turn:07}", "DME"))
        after("one field of one image", lambda turn: db.images.where(id=f"image-{turn:07}").update(age=33))
        ten = [f"image-{n:07}" for n in range(1000, min(11_000, self.number))]
        self.timed(f"labels of {len(ten):,} set", 3, lambda: db.labels.update(ten, "normal"))
        self.note("a filter after that", self.query(), "s")
        with _other(self.stores.address) as other:
            self.note("a filter in a new process", Steps("", other, self.number).query(), "s", 1)
        graph = self.stores.graph
        with graph.driver().session(database=graph.database) as session:
            session.run("MATCH (i:Image {id: 'image-0000005'}) SET i.age = 21").consume()
        self.note("a filter after a foreign client has written", self.query(), "s", 12)

    def versions(self) -> None:
        """A data set of all, its next version, its split."""
        db, number = self.db, self.number
        whole = self.timed("a data set of all", 20, lambda: db.datasets.add("all", db.images()))
        out = [f"image-{n:07}" for n in range(0, number, 100)]
        revised = self.timed("its next version, without 1 %", 4, lambda: whole.revise(remove=out))
        if len(whole) != number or len(revised) != number - len(out):
            raise WrongAnswer(f"{len(whole)} and {len(revised)} members")
        parts = self.timed(
            "a grouped, stratified split",
            10,
            lambda: whole.split({"train": 0.8, "test": 0.2}, group_by="patient", stratify="label", seed=0),
        )
        if sum(map(len, parts.values())) != number:
            raise WrongAnswer("a split that is not all")
        self.timed(
            "leaks by lineage, digest and field",
            10,
            lambda: db.leaks(parts["train"], parts["test"], rules=["lineage", "digest", F("patient")]),
        )
        self.predict(parts["test"])

    def predict(self, test: og.Dataset) -> None:
        """Predictions of two experiments on the test images, and what is asked of them."""
        chance, n = np.random.default_rng(1), len(test)
        experiments = []
        for name in ("first", "second"):
            wanted = chance.random((n, 2)).astype(np.float32)
            wanted /= wanted.sum(1, keepdims=True)
            with self.db.run(id=name, test=test) as made:
                self.timed(
                    f"{n:,} predictions of {name}",
                    None,
                    lambda made=made, wanted=wanted: made.log_predictions(
                        test, probabilities=wanted, classes=["DME", "normal"]
                    ),
                )
            experiments.append(made.experiment)
        results = self.timed("results with a bootstrap", 2, lambda: str(experiments[0].results(test)))
        if not results:
            raise WrongAnswer("no results")
        self.timed("two compared", 1, lambda: str(self.db.compare(*experiments, on=test)))

    def reading(self) -> None:
        """Going through everything."""
        db, number = self.db, self.number
        keys = self.timed("all keys", 1, lambda: len(db.images().keys()))
        gone = self.timed("all images, one after the other", 20, lambda: sum(1 for _ in db.images))
        if keys != number or gone != number:
            raise WrongAnswer(f"{keys} keys, {gone} images")
        fields = ["id", "label", "age", "patient", "site"]
        frame = self.timed("five fields as pandas", 3, lambda: db.images().select(*fields).to_pandas())
        groups = self.timed(
            "groups by patient", 0.5, lambda: db.images().group_by("patient").agg(n=og.count()).to_pandas()
        )
        if len(frame) != number or groups["n"].sum() != number:
            raise WrongAnswer("not all images in a table")

    def care(self) -> None:
        """What keeps a workspace in order."""
        db = self.db
        some = [f"image-{n:07}" for n in range(20_000, 20_100)]
        self.timed("impact of 100", 1, lambda: str(db.impact(some)))
        gone = [f"image-{n:07}" for n in range(30_000, 31_000)]
        self.timed("1,000 deleted", 2, lambda: db.images.delete(gone, force=True))
        report = self.timed("doctor", 60, lambda: db.doctor(progress=False))
        if not report.sound:
            raise WrongAnswer(str(report))
        self.timed("gc", 5, db.gc)


@contextmanager
def _other(address: Address) -> Iterator[Stores]:
    """The workspace as a new process has it: with what is on disk alone."""
    stores = Stores.open(address)
    yield stores
    stores.close()


@contextmanager
def _peak() -> Iterator[list[int]]:
    """The most memory that this process has meanwhile, in bytes."""
    process, most, stop = psutil.Process(), [0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.1):
            most[0] = max(most[0], process.memory_info().rss)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield most
    stop.set()
    thread.join()


if __name__ == "__main__":
    raise SystemExit(run("a million images", measure))
