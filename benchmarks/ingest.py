"""Images in: 70,000 with five metadata fields, beside writing the same as PNG files with a Parquet manifest.

python -m benchmarks.ingest [--quick] [--json FILE]

Fashion-MNIST, on both engines, from arrays and from the files themselves; then the memory of a process that stores
50,000 and 200,000 images of a mapped file, and PNG of 16 bits beside libpng.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.graph import embedded, server
from benchmarks.pictures import fashion
from benchmarks.report import Row, WrongAnswer, at_most, run, timed
from odin_graph.client import LocalSession
from odin_graph.ingest.readers import Readers
from odin_graph.objects.collections.images import Images
from odin_graph.stores import Stores

SLOWEST = 2.0
"""Times as long as the files may take: half their speed."""
FILES = 10.0 / 4.2
"""Times as long as decoding files alone may storing them take: 10 s where it takes 4.2."""
GROWTH = 256.0
"""MiB that four times the images may take beyond the peak."""

STORE = """
import sys
from pathlib import Path

import numpy as np
import odin_graph as og

pixels = np.load(sys.argv[2], mmap_mode="r")[: int(sys.argv[3])]
with og.connect(sys.argv[1]) as db:
    report = db.images.add(images=pixels, labels=[n % 10 for n in range(len(pixels))], progress=False)
    # Not getrusage: its peak is the parent's too, which was forked.
    print(report.added, int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024)
"""


def measure(quick: bool) -> list[Row]:
    """Every figure."""
    number = 7_000 if quick else 70_000
    pixels, labels = fashion()[0][:number], fashion()[1][:number].tolist()
    metadata: dict[str, list[Any]] = {
        "age": [n % 90 for n in range(number)],
        "patient": [f"p{n % 900}" for n in range(number)],
        "pressure": [10 + n % 7 / 8 for n in range(number)],
        "left": [n % 2 == 0 for n in range(number)],
        "site": [("Lima", "Oslo", "Pune")[n % 3] for n in range(number)],
    }
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files: list[float] = []
        with timed(files):
            write_files(folder / "files", pixels, labels, metadata)
        rows.append(Row(f"{number:,} PNG files and a Parquet manifest", files[0], "s"))
        with embedded(folder) as stores:
            rows += figures("ArcadeDB", stores, pixels, labels, metadata, files[0])
        with embedded(folder / "files") as stores:
            rows += of_files(stores, folder / "files", pixels, quick)
        with server(folder) as (stores, _):
            rows += figures("Neo4j", stores, pixels, labels, metadata, files[0])
        rows += deep_png(quick)
        rows += memory(folder, *((5_000, 20_000) if quick else (50_000, 200_000)))
    return rows


def figures(
    engine: str, stores: Stores, pixels: np.ndarray, labels: list[int], metadata: dict[str, list[Any]], files: float
) -> list[Row]:
    """Arrays with metadata; and the same again, which stores nothing."""
    seconds: list[float] = []
    stores.keep()  # queries find the open one by its address
    images = Images(LocalSession(stores))
    with timed(seconds):
        report = images.add(images=pixels, labels=labels, metadata=metadata, progress=False)
    table = images().to_arrow("label", *metadata)
    if report.added != len(pixels) or any(table.column(name).to_pylist() != said for name, said in metadata.items()):
        raise WrongAnswer(f"{report}")
    if not np.array_equal(images().limit(500).to_numpy()[..., 0], pixels[:500]):
        raise WrongAnswer("the pixels are not those that came in")
    with timed(seconds):
        again = images.add(images=pixels, labels=labels, metadata=metadata, progress=False)
    if again.already_there != len(pixels):
        raise WrongAnswer(f"{again}")
    title = f"{engine}: {len(pixels):,} images with 5 fields"
    return [
        at_most(title, seconds[0], "s", 25.0),
        at_most(f"{title}, against the files", seconds[0] / files, "x", SLOWEST),
        Row(f"{engine}: the same again", seconds[1], "s"),
    ]


def of_files(stores: Stores, folder: Path, pixels: np.ndarray, quick: bool) -> list[Row]:
    """The files that were written, by their manifest of seven columns; beside decoding them with Pillow and no more."""
    seconds: list[float] = []
    stores.keep()
    images = Images(LocalSession(stores))
    with timed(seconds):
        report = images.add(folder / "manifest.parquet", progress=False)
    if report.added != len(pixels) or not np.array_equal(images().limit(500).to_numpy()[..., 0], pixels[:500]):
        raise WrongAnswer(f"{report}")
    with timed(seconds):
        for path in sorted(folder.glob("*.png")):
            with Image.open(path) as image:
                np.asarray(image)
    number = f"{len(pixels):,} PNG files with a manifest of 7 columns"
    title, ratio = "ArcadeDB: against decoding them with Pillow alone", seconds[0] / seconds[1]
    # A few files are stored by an engine that is still cold.
    decoding = Row(title, ratio, "x") if quick else at_most(title, ratio, "x", FILES)
    return [Row(f"ArcadeDB: {number}", seconds[0], "s"), decoding]


def deep_png(quick: bool) -> list[Row]:
    """A radiograph of 16-bit RGB, beside libpng."""
    height, width = (768, 960) if quick else (3072, 3840)
    ramp = np.linspace(0, 40_000, width)[:, np.newaxis] + np.linspace(0, 20_000, height)[:, np.newaxis, np.newaxis]
    noise = np.random.default_rng(0).integers(0, 500, (height, width, 3))
    pixels = (ramp + noise).astype(np.uint16)
    data = imagecodecs.png_encode(pixels, level=1)
    seconds: list[float] = []
    readers = Readers.installed()
    with timed(seconds):
        found = readers.read(Path("deep.png"), data)
    with timed(seconds):
        imagecodecs.png_decode(data)
    if not np.array_equal(found, pixels):
        raise WrongAnswer("the pixels of 16 bits are not those that were written")
    title = f"16-bit RGB PNG of {height} x {width}"
    return [Row(title, seconds[0], "s"), at_most(f"{title}, against libpng", seconds[0] / seconds[1], "x", 3.0)]


def write_files(folder: Path, pixels: np.ndarray, labels: list[int], metadata: dict[str, list[Any]]) -> None:
    """What the images would be without a database."""
    folder.mkdir()
    paths = []
    for place, image in enumerate(pixels):
        path = folder / f"{place:06d}.png"
        Image.fromarray(image).save(path)
        paths.append(str(path))
    pq.write_table(pa.table({"path": paths, "label": labels, **metadata}), folder / "manifest.parquet")


def memory(folder: Path, few: int, many: int) -> list[Row]:
    """The peak of a process that stores so many: images beyond some thousands cost their ids alone."""
    pixels = fashion()[0]
    mapped = np.lib.format.open_memmap(folder / "mapped.npy", "w+", np.uint8, (many, 28, 28))
    for start in range(0, many, 10_000):
        part = np.arange(start, min(start + 10_000, many))
        mapped[part] = pixels[part % len(pixels)]
        mapped[part, 0, 0], mapped[part, 0, 1] = part % 251, part // 251 % 251
    mapped.flush()
    peaks = []
    for number in (few, many):
        command = [sys.executable, "-c", STORE, str(folder / f"{number}.odin"), str(folder / "mapped.npy"), str(number)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        if int(said[0]) != number:
            raise WrongAnswer(f"{said[0]} of {number} images were stored")
        peaks.append(float(said[1]))
    return [
        Row(f"peak of a process that stores {few:,} images", peaks[0], "MiB"),
        at_most(f"and {many:,}: more by", peaks[1] - peaks[0], "MiB", GROWTH),
    ]


if __name__ == "__main__":
    raise SystemExit(run("ingest", measure))
