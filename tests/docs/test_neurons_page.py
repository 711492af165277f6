"""Every Python block of docs/neurons.md runs, in its order, in one session, and its answers are those it promises."""

from __future__ import annotations

import numpy as np
import pytest

import odin_graph as og
from odin_graph import example
from tests.docs.pages import DOCS, run_page
from tests.stored import filled


def test_every_example_runs(db: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(db, example.build, experiments=1)
    names = run_page("neurons.md", db, monkeypatch)
    test, eyes, layer = names["test"], names["eyes"], names["layer"]
    assert (len(layer.units), len(layer.channels)) == (512, 8)
    means = eyes.values(test).astype(np.float64).mean(axis=1)
    assert names["top"].keys().tolist() == test.keys()[np.lexsort((test.keys(), -means))[:5]].tolist()
    assert len(names["alike"]) == 5
    assert names["estimate"].highest(5).num_rows == 5
    assert len(names["found"].of("bright")) == len(layer.channels)
    assert names["again"].id == names["held"].id


def test_the_picture_is_there() -> None:
    assert (DOCS / "neurons.png").read_bytes().startswith(b"\x89PNG")
