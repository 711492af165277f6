"""Images too large for memory: in from tiled TIFF and arrays, cut by boxes, looked at small; on both engines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from numpy.typing import NDArray
from skimage import data as skimage_data

import odin_graph as og
from odin_graph import config
from odin_graph.arrays import tiled
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.images.batch import image_digest
from odin_graph.catalog.images.pixels import ARRAY

pytestmark = pytest.mark.one_engine

data: Any = skimage_data
LIMIT = 500 << 20
"""What a process may take that stores an image of 400 MB, everything that it imported included."""


def large(dtype: str = "uint8", bands: int = 3) -> NDArray[Any]:
    """A photograph, side by side and below itself, with something different in each place: (1100, 1300, bands)."""
    photograph = data.astronaut()
    wide = np.tile(photograph, (3, 3, 2))[:1100, :1300, :bands]
    ramp = np.linspace(0.2, 1, 1300)[np.newaxis, :, np.newaxis] * np.linspace(0.5, 1, 1100)[:, np.newaxis, np.newaxis]
    values = wide * ramp
    return (
        values.astype(np.float32) if dtype == "float32" else (values * (257 if dtype == "uint16" else 1)).astype(dtype)
    )


@pytest.fixture(autouse=True)
def huge_is_a_megabyte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "_HUGE", 1 << 20)
    monkeypatch.setattr(tiled, "SLAB_BYTES", 1 << 20)


def codec(db: og.Workspace, id_: str) -> str:
    keys = np.array([db.images[id_].key])
    (segment,) = [info for info in db.images._stores.columns.segments(ARRAY) if info.min_key <= keys[0] <= info.max_key]
    return segment.codec


def write_tiff(path: Path, pixels: NDArray[Any], **how: Any) -> Path:
    color = "rgb" if pixels.shape[-1] == 3 else "minisblack"
    tifffile.imwrite(
        path, pixels.squeeze(), photometric=color, **(how if pixels.shape[-1] > 1 else {**how, "planarconfig": None})
    )
    return path


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("bands", [1, 3, 5])
@pytest.mark.parametrize("how", [{"tile": (256, 256), "compression": "zlib"}, {"rowsperstrip": 64}])
def test_tiff_comes_in_as_it_is(db: og.Workspace, tmp_path: Path, dtype: str, bands: int, how: dict[str, Any]) -> None:
    pixels = large(dtype, bands)
    path = write_tiff(tmp_path / "a.tif", pixels, planarconfig="contig", **how)
    db.images.add(pd.DataFrame({"path": [str(path)], "id": ["a"], "label": ["x"]}))
    assert codec(db, "a") == "tiled"
    image = db.images["a"]
    assert (image.shape, image.dtype) == (pixels.shape, dtype)
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.fields["digest"] == image_digest(pixels)  # a machine with more memory says the same
    np.testing.assert_array_equal(image.crop((700, 300, 1300, 1100)), pixels[300:1100, 700:1300])
    with pytest.raises(og.ShapeError, match=r"\(700, 300, 1301, 1100\).*1100 x 1300"):
        image.crop((700, 300, 1301, 1100))


def test_arrays_and_mapped_files(db: og.Workspace, tmp_path: Path) -> None:
    pixels = large()
    np.save(tmp_path / "a.npy", pixels)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    small = data.chelsea()[:50, :60]
    db.images.add(images=[pixels, mapped, small], ids=["array", "mapped", "small"])
    assert [codec(db, id_) for id_ in ("array", "mapped")] == ["tiled", "tiled"]
    for id_, expected in (("array", pixels), ("mapped", pixels), ("small", small)):
        np.testing.assert_array_equal(db.images[id_].pixels, expected)
    again = db.images.add(images=[mapped, pixels], ids=["array", "mapped"])
    assert (again.added, again.already_there) == (0, 2)
    changed = pixels.copy()
    changed[1099, 1299, 2] += 1
    with pytest.raises(og.ConflictError, match="'array'"):
        db.images.add(images=[changed], ids=["array"])
    assert examine(db.images._stores, deep=True).sound


def test_crops_are_made_of_boxes_alone(db: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the whole image would not fit: no operation of this reads it."""
    pixels = large()
    db.images.add(images=[pixels], ids=["slide"], labels=["x"])
    stores = db.images._stores
    monkeypatch.setattr(stores.arrays, "budget", config.Budget(8 << 20, stores.arrays.budget.threads))
    with pytest.raises(og.QueryError, match=r"huge: 1,100 x 1,300 x 3 uint8.*crop"):
        _ = db.images["slide"].pixels
    lazy = db.images().crop((256, 512, 456, 812)).flip()
    expected = pixels[512:812, 256:456][:, ::-1]
    np.testing.assert_array_equal(lazy[0].pixels, expected)
    (stored,) = lazy.store("corner")
    np.testing.assert_array_equal(stored.pixels, expected)
    assert stored.parent == db.images["slide"]
    assert stored.geometry().box_on_parent((0, 0, 200, 300)) == (256, 512, 456, 812)
    tensor, _ = db.images().where(og.F("id") == "slide").crop((0, 0, 8, 8)).to_torch()[0]
    np.testing.assert_array_equal(tensor.numpy().transpose(1, 2, 0), pixels[:8, :8].astype(np.float32))


def test_it_is_looked_at_small(db: og.Workspace, tmp_path: Path) -> None:
    pixels = large()
    db.images.add(images=[pixels], ids=["slide"], labels=["x"])
    image = db.images["slide"]
    assert image.overview.shape == (550, 650, 3)
    np.testing.assert_allclose(image.overview[3, 4], pixels[6:8, 8:10].reshape(-1, 3).mean(axis=0), atol=0.5)
    assert image.save(tmp_path / "slide.png").stat().st_size > 10_000
    assert db.images().sheet().save(tmp_path / "sheet.png").stat().st_size > 10_000


def test_it_is_deleted_and_purged(db: og.Workspace) -> None:
    db.images.add(images=[large(), data.chelsea()[:9, :9]], ids=["slide", "small"])
    folder = Path(db.images._stores.arrays.root)
    held = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    report = db.images["slide"].purge()
    assert report.destroyed["images' pixels"] == 1
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < held / 10
    assert len(db.images) == 1
    assert examine(db.images._stores, deep=True).sound


@pytest.mark.parametrize("broken", ["cut", "text"])
def test_a_broken_file_is_named(db: og.Workspace, tmp_path: Path, broken: str) -> None:
    path = write_tiff(tmp_path / "a.tif", large(), tile=(256, 256), compression="zlib")
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2] if broken == "cut" else b"this is no picture")
    with pytest.raises(og.UnreadableImageError, match=r"a\.tif"):
        db.images.add(pd.DataFrame({"path": [str(path)], "id": ["a"]}))
    assert len(db.images) == 0
    assert examine(db.images._stores).sound


_STORE = """
import sys
from pathlib import Path

import pandas as pd
import odin_graph as og

with og.connect(sys.argv[1]) as db:
    db.images.add(pd.DataFrame({"path": [sys.argv[2]], "id": ["huge"]}), progress=False)
    image = db.images["huge"]
    # Not getrusage: its peak is the parent's too, which was forked.
    peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    print(image.crop((9_000, 9_000, 9_512, 9_512)).sum(), *image.shape, peak)
"""


def test_memory_while_storing(tmp_path: Path) -> None:
    """20,000 x 20,000 in a process of its own, whose peak is below 500 MB with all that it imports."""
    tile = np.random.default_rng(0).integers(0, 255, (512, 512), np.uint8)
    path, side = tmp_path / "huge.tif", 20_000
    across = -(-side // 512)
    tiles = (tile // (1 + number % 3) for number in range(across * across))
    tifffile.imwrite(path, tiles, tile=(512, 512), shape=(side, side), dtype=np.uint8, photometric="minisblack")
    said = subprocess.run(
        [sys.executable, "-c", _STORE, str(tmp_path / "huge.odin"), str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(og.__file__).parent.parent,
    ).stdout.split()
    # What lies there, by the arithmetic of tiles: the image repeats every three of them.
    rows, columns = np.mgrid[9_000:9_512, 9_000:9_512]
    expected = tile[rows % 512, columns % 512] // (1 + (rows // 512 * across + columns // 512) % 3)
    assert said[:4] == [str(expected.sum()), "20000", "20000", "1"]
    assert int(said[4]) * 1024 < LIMIT
