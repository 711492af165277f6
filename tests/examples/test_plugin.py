"""The example of a plug-in: installed as a user would, and found by name from a process that never imports it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.starts_engine

PLUGIN = Path(__file__).parents[2] / "examples" / "plugin"

PROGRAM = """
import sys
import numpy as np
import odin_graph as og
from odin_graph.ops import OPS, Pipeline

assert not any(name.startswith("odin_graph_sky") for name in sys.modules)
assert "asinh-stretch" in OPS
stretch = Pipeline.of([{"op": "asinh-stretch", "parameters": {"softening": 4.0}}])
light = np.array([[[0.0], [0.1], [1.0]]], np.float32)
np.testing.assert_allclose(stretch(light), np.arcsinh(4 * light) / np.arcsinh(4), rtol=1e-6)
assert Pipeline.from_json(stretch.to_json()) == stretch

with og.connect("sky.odin") as db:
    images = np.random.default_rng(0).integers(0, 2**16, (6, 8, 8), np.uint16)
    ra = [10.0, 20.0, 30.0, 10.0 + 0.5 / 3600, 20.0 + 2.0 / 3600, None]
    db.images.add(images=images, metadata={"ra": ra, "dec": [0.0] * 6}, progress=False)
    db.datasets.add("train", [f"image/{n:06}" for n in range(3)], label=None)
    db.datasets.add("test", [f"image/{n:06}" for n in range(3, 6)], label=None)
    found = db.leaks("train", "test", rules=["arc-second"]).to_arrow().to_pylist()
    assert [(row["train"], row["test"]) for row in found] == [("image/000000", "image/000003")], found
    assert abs(found[0]["distance"] - 0.5) < 1e-3
    assert len(db.leaks("train", "test", rules=["arc-second"], within=3.0).to_arrow()) == 2
    apart = og.fn.separation(og.F("ra"), og.F("dec"), 10.0, 0.0)
    near = db.images().where(apart < 1.0).to_pandas("id", apart=apart)
    assert near["id"].tolist() == ["image/000000", "image/000003"]
    np.testing.assert_allclose(near["apart"], [0.0, 0.5 / 3600], atol=1e-9)
    cone = db.images(og.source("cone", ra=20.0, dec=0.0, within=0.001))
    assert [image.id for image in cone] == ["image/000001", "image/000004"]
    assert cone.where(og.F("ra") > 20.0).count() == 1
    assert type(cone).from_json(cone.address, cone.to_json()).keys().tolist() == cone.keys().tolist()
    vlt = db.things("telescope").add("vlt", aperture=8.2, site="Paranal", images=cone)
    assert db.things("telescope").where(og.F("aperture") > 8).ids() == ["vlt"]
    assert vlt.images().count() == 2
print("found")
"""
WITHOUT = """
import odin_graph as og

with og.connect("sky.odin") as db:
    vlt = db.things("telescope")["vlt"]
    assert (vlt.aperture, vlt.site, vlt.images().count()) == (8.2, "Paranal", 2)
    assert db.doctor().sound, db.doctor()
print("found")
"""


def test_a_package_adds_an_operation_a_leak_rule_a_function_a_source_and_a_kind(tmp_path: Path) -> None:
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(target), str(PLUGIN)], check=True, capture_output=True, timeout=120)
    for program, path in ((PROGRAM, [target, PLUGIN.parents[1]]), (WITHOUT, [PLUGIN.parents[1]])):
        ran = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.startswith("found")
