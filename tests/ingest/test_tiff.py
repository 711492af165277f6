"""TIFF: whatever depth, sign, color, compression, order and name a file has: its pixels are those that were written.

Files are written by tifffile and by hand; what is expected is the array that was written.
"""

from __future__ import annotations

import io
import itertools
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import tifffile
from numpy.typing import NDArray
from PIL import Image

from odin_graph.errors import UnreadableImageError
from odin_graph.ingest.readers import Readers
from tests.ingest import by_hand
from tests.ingest.drawing import HEIGHT, TURNS, WIDTH, assert_reads, by_hand_deep, drawn, opened, read, written


def tiffs() -> Iterator[tuple[str, bytes, NDArray[Any]]]:
    """Name, file and pixels of every combination that there is a writer for."""
    dtypes = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "float16", "float32", "float64")
    layouts: list[dict[str, Any]] = [{"rowsperstrip": 10}, {"rowsperstrip": HEIGHT}, {"tile": (16, 32)}]
    packings: list[dict[str, Any]] = [{}, *({"compression": c} for c in ("zlib", "lzw", "packbits", "zstd", "lzma"))]
    packings += [{"compression": c, "predictor": True} for c in ("zlib", "lzw", "zstd")]
    for seed, (dtype, layout, packing) in enumerate(itertools.product(dtypes, layouts, packings)):
        bands, order = (1, 2, 3, 4)[seed % 4], "<>"[seed // 4 % 2]
        if packing.get("predictor") and (dtype in ("uint64", "float16")):
            continue
        how = {**layout, **packing, "byteorder": order}
        if bands == 3 and seed % 8 == 2:
            how["planarconfig"] = "separate"
        pixels = drawn(dtype, bands, seed)
        yield f"{dtype} {bands} {how}", written(pixels, **how), pixels
    for orientation, dtype, layout in itertools.product(TURNS, ("uint8", "int16", "float32"), layouts[::2]):
        pixels = drawn(dtype, 3, orientation)
        how = {**layout, "compression": ("zlib", None)[orientation % 2], "extratags": [(274, 3, 1, orientation, True)]}
        yield f"turned {dtype} {how}", written(pixels, **how), np.ascontiguousarray(TURNS[orientation](pixels))
    for bits, bands, fill, order in itertools.product((*range(1, 17), 32), (1, 3), (1, 2), "<>"):
        stored = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
        pixels = drawn(stored, bands, bits, (1 << bits) - 1)
        expected = pixels.astype(bool) if bits == 1 else pixels
        if bits > 8 and bits not in (16, 32) and order == ">":
            continue  # written by hand from the most significant bit on, whatever the order of bytes
        data = by_hand_deep(pixels, bits, order, fill)
        yield f"{bits} bits {bands} bands fill {fill} {order}", data, expected
        inverted = ~expected if bits == 1 else ((1 << bits) - 1 - pixels.astype(np.int64)).astype(stored)
        if bands == 1:
            yield f"{bits} bits, white is zero", by_hand_deep(pixels, bits, order, fill, t262=0), inverted


def test_tiff_of_every_kind() -> None:
    """Depth, sign, bands, compression, predictor, tiles, planes, orders, orientation, white as zero."""
    for name, data, pixels in tiffs():
        assert_reads(data, pixels, name)


WITHOUT = """
import sys
sys.modules["imagecodecs"] = None
from pathlib import Path
import numpy as np
from odin_graph.errors import UnreadableImageError
from odin_graph.ingest.readers import Readers

readers, read, refused = Readers.installed(), 0, 0
for path in sorted(Path(sys.argv[1]).glob("*.tif")):
    expected = np.load(path.with_suffix(".npy"))
    try:
        found = readers.read(path, path.read_bytes())
    except UnreadableImageError as error:
        assert "needs the package imagecodecs: pip install 'odin-graph[tiff]'" in str(error), error
        refused += 1
        continue
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), path
    assert np.array_equal(found, expected), path
    read += 1
print(read, refused)
"""


def test_pixels_do_not_depend_on_what_is_installed(tmp_path: Path) -> None:
    """Without imagecodecs each TIFF has the same pixels, or is refused with what to install; never others."""
    plain = 0
    for number, (name, data, pixels) in enumerate(tiffs()):
        (tmp_path / f"{number:04}.tif").write_bytes(data)
        np.save(tmp_path / f"{number:04}.npy", pixels)
        plain += not any(word in name for word in ("lzw", "zstd", "lzma", "True")) and " bits" not in name
    command = [sys.executable, "-c", WITHOUT, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    read, refused = map(int, run.stdout.split())
    assert read >= plain
    assert refused > 100


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm"])
def test_a_name_changes_nothing(suffix: str) -> None:

    pixels = drawn("int16", 1)
    readers = Readers.installed()
    for data in (written(pixels), written(pixels, compression="lzw"), written(pixels, tile=(16, 16))):
        np.testing.assert_array_equal(readers.read(Path(f"x{suffix}"), data), pixels)


def test_palettes_of_tiff_become_their_colors() -> None:
    """Of 8 bits, as nearly all are; of 8 bits that a program wrote as they are; and of 16 where the file says more."""
    index = drawn("uint8", 1, most=15)
    colors = np.random.default_rng(0).integers(0, 256, (3, 16), np.uint16)
    deep = np.random.default_rng(1).integers(0, 2**16, (3, 16), np.uint16)
    for table, expected in [(colors * 257, colors), (colors * 256, colors), (colors, colors), (deep, deep)]:
        data = by_hand.tiff(index, 4, t262=3, t320=table.ravel().tolist())
        dtype = np.uint16 if table is deep else np.uint8
        assert_reads(data, expected.T[index[..., 0]].astype(dtype))


def test_predictor_of_packed_numbers() -> None:
    """Differences of 12 bits are summed along the row, and wrap at 12 bits."""
    pixels = drawn("uint16", 1, most=4095)
    steps = np.diff(pixels.astype(int), axis=1, prepend=0) % 4096
    assert_reads(by_hand_deep(steps.astype(np.uint16), 12, "<", 1, t317=2), pixels)


def test_cmyk_and_ycbcr_of_tiff() -> None:
    """8 bits become RGB, YCbCr by the weights of the file; CMYK of 16 bits or with further inks is refused."""
    inks = drawn("uint8", 4)
    rgb = np.asarray(Image.frombytes("CMYK", (WIDTH, HEIGHT), inks.tobytes()).convert("RGB"))
    assert_reads(written(inks, photometric="separated", extrasamples=[]), rgb)
    for refused in (drawn("uint16", 4), drawn("uint8", 5)):
        data = by_hand.tiff(refused, refused.dtype.itemsize * 8, t262=5)
        with pytest.raises(UnreadableImageError, match=r"^x: it is CMYK of (16|8) bits in [45] bands: convert it"):
            read(data)
    numbers = drawn("uint8", 3)
    y, cb, cr = np.moveaxis(numbers.astype(float) - [0, 128, 128], 2, 0)
    for red, blue in ((0.299, 0.114), (0.2126, 0.0722)):
        green = 1 - red - blue
        r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
        expected = np.stack([r, (y - red * r - blue * b) / green, b], axis=-1).round().clip(0, 255).astype(np.uint8)
        data = rational(by_hand.tiff(numbers, 8, t262=6, t530=[1, 1], t529=[0] * 6), 529, (red, green, blue))
        assert np.abs(read(data).astype(int) - expected).max() <= 1


def rational(data: bytes, code: int, values: tuple[float, ...]) -> bytes:
    """The file with a tag of fractions in the place of one of numbers, at its end."""
    at = data.index(struct.pack("<HHI", code, 3, 2 * len(values)))
    body = b"".join(struct.pack("<II", round(value * 10_000), 10_000) for value in values)
    return data[:at] + struct.pack("<HHII", code, 5, len(values), len(data)) + data[at + 12 :] + body


@pytest.mark.parametrize("how", [{}, {"outcolorspace": "rgb"}], ids=["YCbCr", "RGB"])
def test_jpeg_in_tiff(how: dict[str, Any]) -> None:
    """A photograph comes as it went in but for JPEG's loss, whichever way its colors are stored."""
    picture = skimage.data.astronaut()[:256, :256]
    found = read(written(picture, compression="jpeg", compressionargs={"level": 95, **how}))
    assert (found.shape, found.dtype) == (picture.shape, np.uint8)
    assert np.abs(found.astype(int) - picture).mean() < 3


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (by_hand.tiff(drawn("int16", 1), 16, t262=0), "its zero is white, which is not defined for int16"),
        (by_hand.tiff(drawn("uint8", 3), 8, t262=8), "its colors are CIELAB, which are not read"),
        (by_hand.tiff(drawn("uint8", 1), 8, t262=32803), "its colors are CFA, which are not read"),
        (by_hand.tiff(drawn("uint8", 1), 8, t32997=2), "it is a volume: hand it in with db.volumes.add"),
        (
            by_hand.tiff(drawn("uint8", 1), 8, t259=32809),
            "it is compressed as THUNDERSCAN, which imagecodecs has no code",
        ),
        (by_hand.tiff(drawn("uint8", 3), 8, t258=[8, 8, 4]), "its bands have different depths"),
        (by_hand.tiff(drawn("uint8", 1), 8, t254=1), None),
    ],
    ids=["signed white", "Lab", "Bayer", "volume", "ThunderScan", "unlike bands", "reduced alone"],
)
def test_what_is_not_read_says_what_it_is(data: bytes, reason: str | None) -> None:
    """The reason is the true one, and says what to do; a smaller version that stands alone is an image."""
    if reason is None:
        assert read(data).shape == (HEIGHT, WIDTH, 1)
        return
    with pytest.raises(UnreadableImageError) as caught:
        read(data)
    assert str(caught.value).startswith(f"x: {reason}")
    assert "array" in str(caught.value)


def test_a_stack_that_hides_behind_one_page_is_refused() -> None:
    """ImageJ and tifffile write planes behind the one that has a page; never is the first taken for all."""
    stack = np.stack([drawn("uint16", 1, seed)[..., 0] for seed in range(5)])
    for how in ({"imagej": True}, {}):
        out = io.BytesIO()
        tifffile.imwrite(out, stack, truncate=True, photometric="minisblack", **how)
        with pytest.raises(UnreadableImageError, match=r"^x: it has 5 frames: .*db\.volumes\.add"):
            read(out.getvalue())


@pytest.mark.parametrize(
    "how",
    [
        {"tile": (16, 32)},
        {"tile": (16, 32), "compression": "zlib", "planarconfig": "separate"},
        {"rowsperstrip": 5, "compression": "zlib"},
        {"rowsperstrip": 5},
    ],
    ids=["tiles", "planes", "strips", "as in memory"],
)
@pytest.mark.parametrize("orientation", TURNS)
def test_any_part_is_that_of_the_whole(orientation: int, how: dict[str, Any]) -> None:
    pixels = drawn("uint8", 3, orientation)
    expected = TURNS[orientation](pixels)
    height, width = expected.shape[:2]
    frame = opened(written(pixels, extratags=[(274, 3, 1, orientation, True)], **how))
    for box in (
        (0, 0, 5, 5),
        (10, 3, 37, 36),
        (33, 17, 35, 18),
        (0, 0, width, 7),
        (width - 1, height - 1, width, height),
    ):
        left, top, right, bottom = box
        np.testing.assert_array_equal(frame.read(box), expected[top:bottom, left:right])


def test_of_tiles_just_those_of_a_part_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    from odin_graph.ingest.formats import tiff

    decoded: list[int] = []
    segment = tiff._segment
    monkeypatch.setattr(tiff, "_segment", lambda *args: decoded.append(args[2]) or segment(*args))
    pixels = np.tile(drawn("uint8", 1), (4, 4, 1))
    frame = opened(written(pixels, tile=(32, 32), compression="zlib"))
    np.testing.assert_array_equal(frame.read((40, 40, 70, 60)), pixels[40:60, 40:70])
    assert decoded == [7, 8]


@pytest.mark.parametrize("tags", [{262: 0}, {262: 1}, {292: 1}, {278: 8}, {266: 2}], ids=str)
@pytest.mark.parametrize("packing", ["group3", "group4", "tiff_ccitt"])
def test_fax(packing: str, tags: dict[int, int]) -> None:
    """What scanners of pages write: 1 bit, by Pillow's libtiff."""
    pixels = np.repeat(drawn("bool", 1, 5)[..., 0], 3, axis=1)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "TIFF", compression=packing, tiffinfo=tags)
    shown = np.asarray(Image.open(io.BytesIO(file.getvalue())))
    assert_reads(file.getvalue(), shown[..., np.newaxis])
    assert shown.any()
    assert not shown.all()


def test_a_smaller_version_may_come_before_the_image() -> None:
    pixels = drawn("uint8", 1, 3)
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(pixels[::2, ::2, 0], subfiletype=1, photometric="minisblack")
        writer.write(pixels[..., 0], photometric="minisblack")
    assert_reads(file.getvalue(), pixels)
