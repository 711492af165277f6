"""README.md and docs/training.md: their programs run as they stand, as scripts of somebody who has just the package."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import odin_graph as og
from tests.docs.pages import DOCS

pytestmark = pytest.mark.starts_engine


def run_as_script(page: Path, folder: Path) -> str:
    """The Python of a page in a process of its own; what it prints."""
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S)
    assert len(blocks) == page.read_text().count("```python") > 0
    (folder / "first.py").write_text("\n".join(blocks))
    done = subprocess.run([sys.executable, "first.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_program_runs(tmp_path: Path) -> None:
    assert "accuracy" in run_as_script(DOCS.parent / "README.md", tmp_path)
    assert (tmp_path / "wrong.png").stat().st_size > 5_000
    with og.connect(tmp_path / "digits.odin", create=False) as db:
        assert db.experiment("small/1").results("digits/test").accuracy > 0.7
        assert db.doctor(deep=True).sound


def test_the_guide_on_training_runs(tmp_path: Path) -> None:
    assert "accuracy" in run_as_script(DOCS / "training.md", tmp_path)
    with og.connect(tmp_path / "digits.odin", create=False) as db:
        exp = db.experiment("small/1")
        assert [version.id for version in db.models["small"].versions()] == ["small", "small@2"]
        assert exp.metrics().num_rows == 8
        assert exp.best_checkpoint().epoch in range(4)
        assert exp.results("digits/test").accuracy > 0.5
        assert [loader["of"] for loader in exp.loaders] == ["digits/train@1", "digits/validation@1"]
        assert (len(db.predictions["volumes/1/predictions/1"]), len(db.datasets["scans/test"])) == (4, 24)
        assert db.experiment("volumes/1").results("scans/test").n == 4
        assert db.doctor(deep=True).sound
