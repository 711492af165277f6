"""A folder of large files takes no more memory than the budget, whatever is in it all together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import odin_graph as og

pytestmark = pytest.mark.starts_engine

ADD = """
import sys
from pathlib import Path

import numpy as np
import odin_graph as og
from odin_graph import config

def peak():
    # Not getrusage: its peak is the parent's too, which was forked.
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) << 10

config._memory_limit = lambda: int(sys.argv[3])
with og.connect(sys.argv[1]) as db:
    db.images.add(images=np.zeros((1, 1, 1), np.uint8), progress=False)  # imports all that it takes
    before = peak()
    report = db.images.add(sys.argv[2], progress=False)
    print(report.added, db.images._stores.budget.memory, before, peak())
"""
LIMIT = 768 << 20
"""What the process may use; the budget is half of it, and a 64th of that is huge: 6 MiB."""
FILES = {"whole": (32, (2_000, 2_000)), "gray": (6, (6_000, 6_000)), "color": (2, (6_000, 6_000, 3))}
"""How many, and of which shape: those of the first kind are decoded whole and ahead, the others by rows."""


def test_a_folder_of_large_png(tmp_path: Path) -> None:
    """Forty files, together more than the budget."""
    total = 0
    for kind, (number, shape) in FILES.items():
        (tmp_path / "files" / kind).mkdir(parents=True)
        pixels = picture(shape)
        Image.fromarray(pixels).save(first := tmp_path / "files" / kind / "00.png", compress_level=1)
        for place in range(1, number):
            (tmp_path / "files" / kind / f"{place:02d}.png").hardlink_to(first)
        total += number * pixels.nbytes
    run = subprocess.run(
        [sys.executable, "-c", ADD, str(tmp_path / "w.odin"), str(tmp_path / "files"), str(LIMIT)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(og.__file__).parent.parent,
    )
    added, budget, before, peak = map(int, run.stdout.split())
    assert (added, budget) == (40, LIMIT // 2)
    assert total > 1.25 * budget
    assert peak - before < budget, f"{(peak - before) >> 20} MiB"


def picture(shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A ramp with noise in every 16th row: it packs well, and its file is not small."""
    pixels = np.empty(shape, np.uint8)
    pixels[:] = np.arange(shape[0])[(slice(None), *[np.newaxis] * (len(shape) - 1))] // 32
    pixels[::16] = np.random.default_rng(0).integers(0, 255, pixels[::16].shape, np.uint8)
    return pixels
