"""README.md: its program runs as it stands, as a script of somebody who has nothing but the package."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import odin_graph as og
from tests.docs.pages import DOCS


def test_the_program_runs(tmp_path: Path) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```$", (DOCS.parent / "README.md").read_text(), re.M | re.S)
    (tmp_path / "first.py").write_text(program)
    done = subprocess.run([sys.executable, "first.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
    assert (tmp_path / "wrong.png").stat().st_size > 5_000
    with og.connect(tmp_path / "digits.odin", create=False) as db:
        assert db.experiment("small/1").results("digits/test").accuracy > 0.7
        assert db.doctor(deep=True).sound
