"""Files are decoded ahead in as much memory as there is for that, however many threads there are."""

from __future__ import annotations

from pathlib import Path
from threading import Condition

import numpy as np
import pytest
from PIL import Image

from odin_graph.config import Budget
from odin_graph.ingest.decoding import decoded
from odin_graph.ingest.entry import Entry
from odin_graph.ingest.room import Room

NUMBER = THREADS = 6
SIDE = 512
SECONDS = 60
"""In which every thread has begun with a file."""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Noise, so that none is too small to be decoded ahead."""
    paths = [tmp_path / f"{place}.png" for place in range(NUMBER)]
    for place, path in enumerate(paths):
        Image.fromarray(np.random.default_rng(place).integers(0, 255, (SIDE, SIDE), np.uint8)).save(path)
    return paths


def test_files_that_are_decoded_ahead_share_the_room(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """All threads ask for room, and together they have no more than there is; in the end each file was decoded."""
    asked, changed = 0, Condition()
    taken: list[int] = []
    sizes: list[int] = []
    most = 0
    take, give = Room.take, Room.give

    def counted(room: Room, size: int, turn: int) -> None:
        nonlocal asked, most
        with changed:
            asked += 1
            changed.notify_all()
        take(room, size, turn)
        with changed:
            taken.append(size)
            sizes.append(size)
            most = max(most, sum(taken))
            changed.notify_all()

    def given(room: Room, size: int) -> None:
        with changed:
            taken.remove(size)
        give(room, size)

    monkeypatch.setattr(Room, "take", counted)
    monkeypatch.setattr(Room, "give", given)
    room = 8 * SIDE * SIDE
    entries = [Entry(path.name, path, name=path.name) for path in files]
    found = decoded(entries, {}, budget=Budget(32 * room, THREADS), keep_data=False)
    shapes = [np.shape(next(found).pixels)]  # the first has been decoded, and waits to be stored
    with changed:
        assert changed.wait_for(lambda: asked == NUMBER, SECONDS)
        changed.wait_for(lambda: len(taken) == NUMBER, 0.2)  # which they would be where nobody waits
    shapes += [np.shape(item.pixels) for item in found]
    assert shapes == [(SIDE, SIDE, 1)] * NUMBER
    assert most <= room + max(sizes), "whose turn it is gets what it needs"
