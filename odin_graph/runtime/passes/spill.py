"""Outputs of layers on their way from rows to columns: written image by image, read unit by unit.

A model gives a row an image, and a segment holds a column a unit. Rows are written into blocks of units, each block a
piece of a file, so that a block is one read and everything together never has to be in memory. The file lies in the
workspace's cache, and says how far it is: a run that was killed goes on with the image after.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from odin_graph.arrays.unit_cache import boot
from odin_graph.arrays.units import slab_units
from odin_graph.errors import SpaceError
from odin_graph.folder import make_near

ROOM: Final = 64 << 20
"""Bytes of a block."""
IN_MEMORY: Final = 128 << 20
"""So many bytes of all layers together need no file."""
_KEPT_SECONDS: Final = 7 * 86_400.0
"""So long an interrupted run can be continued."""
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SETS: Final = "sets.json"
_KEYS: Final = "keys.npy"
_TURN: Final = (512, 128)
"""Images and units that are turned at once: what the processor's cache holds."""

Floats = NDArray[np.float32]


class Spill:
    """One layer's rows of float32.

    Args:
        units: Of a row.
        images: How many rows there will be.
        file: Where; None to keep them in memory.
    """

    def __init__(self, units: int, images: int, file: Path | None) -> None:
        self.units, self.images = units, images
        step = slab_units(units, images, ROOM)
        self._edges = [(start, min(units, start + step)) for start in range(0, units, step)]
        self._blocks: list[Floats] = []
        self._handle: int | None = None
        if file is None:
            self._blocks = [np.empty((images, end - start), np.float32) for start, end in self._edges]
            return
        self._handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        if os.fstat(self._handle).st_size != self.bytes:
            try:
                os.posix_fallocate(self._handle, 0, self.bytes)
            except (AttributeError, OSError) as error:
                if getattr(error, "errno", None) in _NO_SPACE:
                    self.close()
                    raise SpaceError(_no_space(file, self.bytes)) from error
                os.ftruncate(self._handle, self.bytes)

    @property
    def bytes(self) -> int:
        """The bytes that it takes."""
        return self.units * self.images * 4

    def write(self, first: int, rows: Floats) -> None:
        """Write the rows (n, units) of images, from a position on.

        Raises:
            SpaceError: No space is left.
        """
        for place, (start, end) in enumerate(self._edges):
            if self._handle is None:
                self._blocks[place][first : first + len(rows)] = rows[:, start:end]
                continue
            data = np.ascontiguousarray(rows[:, start:end]).data.cast("B")
            at = 4 * (start * self.images + first * (end - start))
            while data:
                try:
                    written = os.pwrite(self._handle, data, at)
                except OSError as error:
                    if error.errno not in _NO_SPACE:
                        raise
                    raise SpaceError(_no_space(None, self.bytes)) from error
                data, at = data[written:], at + written

    def columns(self) -> Iterator[Floats]:
        """All units in their order, some at a time: (units, images)."""
        for place in range(len(self._edges)):
            yield _turned(self._block(place))

    def rows(self) -> Floats:
        """All rows (images, units)."""
        return np.concatenate([self._block(place) for place in range(len(self._edges))], axis=1)

    def close(self) -> None:
        """Let go of the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        self._blocks = []

    def _block(self, place: int) -> Floats:
        if self._handle is None:
            return self._blocks[place]
        start, end = self._edges[place]
        block = np.empty((self.images, end - start), np.float32)
        room, at = block.data.cast("B"), 4 * start * self.images
        while room:
            read = os.preadv(self._handle, [room], at)
            if not read:
                raise SpaceError(_no_space(None, self.bytes))
            room, at = room[read:], at + read
        return block


@dataclass(frozen=True, eq=False)
class Job:
    """The spills of one run over some images."""

    spills: tuple[Spill, ...]
    done: int
    """Images that an interrupted run has written."""
    progress: Path | None

    def wrote(self, images: int) -> None:
        """So many images are in every spill."""
        if self.progress is not None:
            fresh = self.progress.with_suffix(".tmp")  # replaced as a whole: a number that is cut off is another one
            fresh.write_text(str(images), encoding="ascii")
            fresh.replace(self.progress)


@contextmanager
def job(
    folder: Path, name: Sequence[object], units: Sequence[int], keys: NDArray[np.int64], sets: Sequence[str]
) -> Iterator[Job]:
    """Spills for some layers; they are removed when the block has succeeded, and kept to be continued when it has not.

    Args:
        folder: For all jobs.
        name: What it is: the same words for the same images and sets are the same job.
        units: Of each layer.
        keys: The images.
        sets: The ids of the sets that are made of it, whose leases are held.

    Raises:
        SpaceError: No space is left.
    """
    images = len(keys)
    if 4 * sum(units) * images <= IN_MEMORY:
        yield Job(tuple(Spill(number, images, None) for number in units), 0, None)
        return
    words = json.dumps([list(name), sorted(sets), list(units), hashlib.sha256(keys.tobytes()).hexdigest(), ROOM])
    digest = hashlib.sha256(words.encode()).hexdigest()[:24]
    job_folder = folder / digest
    make_near(job_folder)
    with FileLock(folder / f"{digest}.lock"):
        (job_folder / _SETS).write_text(json.dumps(sorted(sets)), encoding="utf-8")
        np.save(job_folder / _KEYS, keys)
        progress = job_folder / f"done.{boot()}"  # by boot: a power cut may lose rows, but not their number
        files = [job_folder / f"{place}.rows" for place in range(len(units))]
        done = _done(progress, files, [4 * number * images for number in units])
        spills: list[Spill] = []
        try:
            try:
                for number, file in zip(units, files, strict=True):
                    spills.append(Spill(number, images, file))
            except SpaceError:
                shutil.rmtree(job_folder, ignore_errors=True)
                raise
            yield Job(tuple(spills), done, progress)
        finally:
            for spill in spills:
                spill.close()
        shutil.rmtree(job_folder, ignore_errors=True)


def sweep(folder: Path, *, all_unused: bool = False) -> None:
    """Remove what interrupted jobs left, a week after, or at once; never what a live process uses.

    A folder that does not name its sets was torn while it was made or removed, and no job goes on with it.
    """
    for lock in folder.glob("*.lock"):
        job_folder = lock.with_suffix("")
        with suppress(Timeout, OSError), FileLock(lock, timeout=0):
            if all_unused or _sets(job_folder) is None or time.time() - job_folder.stat().st_mtime > _KEPT_SECONDS:
                shutil.rmtree(job_folder, ignore_errors=True)
                lock.unlink(missing_ok=True)


def forget(folder: Path, missing: Mapping[str, Callable[[NDArray[np.int64]], NDArray[np.int64]]]) -> None:
    """Remove what killed jobs left, where their sets hold all of the images already.

    Args:
        folder: For all jobs.
        missing: For each set whose lease is held: which keys it does not cover.
    """
    for job_folder in folder.iterdir() if folder.is_dir() else ():
        sets = _sets(job_folder)
        try:
            keys = np.load(job_folder / _KEYS, allow_pickle=False)
        except (OSError, ValueError):
            continue
        if sets is not None and sets <= missing.keys() and not any(len(missing[each](keys)) for each in sets):
            shutil.rmtree(job_folder, ignore_errors=True)


def _sets(folder: Path) -> set[str] | None:
    """The ids of a job's sets; None where the folder is missing or incomplete."""
    try:
        return set(json.loads((folder / _SETS).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _done(progress: Path, files: Sequence[Path], sizes: Sequence[int]) -> int:
    try:
        done = int(progress.read_text(encoding="ascii"))
        return done if all(file.stat().st_size == size for file, size in zip(files, sizes, strict=True)) else 0
    except (OSError, ValueError):
        return 0


def _turned(block: Floats) -> Floats:
    """(units, images) of (images, units), by squares."""
    images, units = block.shape
    found = np.empty((units, images), np.float32)
    tall, wide = _TURN
    for first in range(0, images, tall):
        for start in range(0, units, wide):
            found[start : start + wide, first : first + tall] = block[first : first + tall, start : start + wide].T
    return found


def _no_space(file: Path | None, needed: int) -> str:
    where = f" at {file.parent}" if file is not None else ""
    return (
        f"No space is left{where} for {needed / 2**20:,.0f} MiB of activations on their way to the store; what was "
        "stored before is kept. Make room, for example with `odin gc`, and call again: it continues where it stopped."
    )
