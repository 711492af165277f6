"""Whatever format, depth, sign, color, compression, order and name a file has: its pixels are those that were written.

Files are written by tifffile, imagecodecs, Pillow and by hand; what is expected is the array that was written.
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

import imagecodecs
import numpy as np
import pytest
import skimage.data
import tifffile
from numpy.typing import NDArray
from PIL import Image

from odin_graph.errors import UnreadableImageError
from odin_graph.ingest.pillow_reader import READER
from tests.ingest import by_hand

HEIGHT, WIDTH = 37, 41
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


def drawn(dtype: Any, bands: int, seed: int = 0, most: int | None = None) -> NDArray[Any]:
    """Numbers over the whole range of a dtype, or to a largest one, both ends among them."""
    draw, dtype = np.random.default_rng(seed), np.dtype(dtype)
    shape = (HEIGHT, WIDTH, bands)
    if dtype.kind == "b":
        return draw.random(shape) < 0.5
    if dtype.kind == "f":
        return draw.normal(0, 1e4, shape).astype(dtype)
    low, high = (0, most) if most is not None else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    found = draw.integers(low, high, shape, dtype, endpoint=True)
    found[0, 0], found[-1, -1] = low, high
    return found


def assert_reads(data: bytes, expected: NDArray[Any], what: object = "") -> None:
    found = READER.read(data)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), what
    np.testing.assert_array_equal(found, expected, err_msg=str(what))


def written(pixels: NDArray[Any], **how: Any) -> bytes:
    """By tifffile."""
    out = io.BytesIO()
    bands = pixels.shape[2]
    how.setdefault("photometric", "rgb" if bands > 2 else "minisblack")
    if bands == 2:
        how.setdefault("planarconfig", "contig")
        how.setdefault("extrasamples", ["unassalpha"])
    elif bands == 4:
        how.setdefault("extrasamples", ["unassalpha"])
    if how.get("planarconfig") == "separate":
        pixels = np.moveaxis(pixels, 2, 0)
    elif bands == 1:
        pixels = pixels[..., 0]
    tifffile.imwrite(out, pixels, metadata=None, **how)
    return out.getvalue()


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


def by_hand_deep(pixels: NDArray[Any], bits: int, order: str, fill: int, **tags: Any) -> bytes:
    """Numbers of more than 8 bits that are no whole bytes are packed by their bits."""
    if bits in (16, 32) or bits <= 8:
        return by_hand.tiff(pixels, bits, order=order, fill=fill, **tags)
    rows = pixels.reshape(len(pixels), -1)
    each = (rows[:, :, None] >> np.arange(bits - 1, -1, -1, dtype=np.uint16)) & 1
    packed = np.packbits(each.reshape(len(rows), -1).astype(np.uint8), axis=1)[..., None]
    height, width, bands = pixels.shape
    shown = {"t256": width, "t257": height, "t258": [bits] * bands, "t277": bands, "t339": [1] * bands}
    return by_hand.tiff(packed, 8, order=order, fill=fill, **{"t262": 2 if bands > 2 else 1, **shown, **tags})


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
from odin_graph.ingest.reader import Readers

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
    from odin_graph.ingest.reader import Readers

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
        with pytest.raises(UnreadableImageError, match=r"^it is CMYK of (16|8) bits in [45] bands: convert it to RGB"):
            READER.read(data)
    numbers = drawn("uint8", 3)
    y, cb, cr = np.moveaxis(numbers.astype(float) - [0, 128, 128], 2, 0)
    for red, blue in ((0.299, 0.114), (0.2126, 0.0722)):
        green = 1 - red - blue
        r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
        expected = np.stack([r, (y - red * r - blue * b) / green, b], axis=-1).round().clip(0, 255).astype(np.uint8)
        data = rational(by_hand.tiff(numbers, 8, t262=6, t530=[1, 1], t529=[0] * 6), 529, (red, green, blue))
        assert np.abs(READER.read(data).astype(int) - expected).max() <= 1


def rational(data: bytes, code: int, values: tuple[float, ...]) -> bytes:
    """The file with a tag of fractions in the place of one of numbers, at its end."""
    at = data.index(struct.pack("<HHI", code, 3, 2 * len(values)))
    body = b"".join(struct.pack("<II", round(value * 10_000), 10_000) for value in values)
    return data[:at] + struct.pack("<HHII", code, 5, len(values), len(data)) + data[at + 12 :] + body


@pytest.mark.parametrize("how", [{}, {"outcolorspace": "rgb"}], ids=["YCbCr", "RGB"])
def test_jpeg_in_tiff(how: dict[str, Any]) -> None:
    """A photograph comes as it went in but for JPEG's loss, whichever way its colors are stored."""
    picture = skimage.data.astronaut()[:256, :256]
    found = READER.read(written(picture, compression="jpeg", compressionargs={"level": 95, **how}))
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
        assert READER.read(data).shape == (HEIGHT, WIDTH, 1)
        return
    with pytest.raises(UnreadableImageError) as caught:
        READER.read(data)
    assert str(caught.value).startswith(reason)
    assert "array" in str(caught.value)


def test_a_stack_that_hides_behind_one_page_is_refused() -> None:
    """ImageJ and tifffile write planes behind the one that has a page; never is the first taken for all."""
    stack = np.stack([drawn("uint16", 1, seed)[..., 0] for seed in range(5)])
    for how in ({"imagej": True}, {}):
        out = io.BytesIO()
        tifffile.imwrite(out, stack, truncate=True, photometric="minisblack", **how)
        with pytest.raises(UnreadableImageError, match=r"^it has 5 frames: .*db\.volumes\.add"):
            READER.read(out.getvalue())


PNG_KINDS = [(0, d) for d in (1, 2, 4, 8, 16)] + [(c, d) for c in (2, 4, 6) for d in (8, 16)]


@pytest.mark.parametrize("interlaced", [False, True], ids=["straight", "interlaced"])
@pytest.mark.parametrize(("color", "depth"), PNG_KINDS)
def test_png_of_every_kind(color: int, depth: int, interlaced: bool) -> None:
    """Each depth and color type, by every filter; with a transparent color, an alpha band says where it was."""
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[color]
    values = drawn("uint16" if depth == 16 else "uint8", samples, depth, (1 << depth) - 1)
    spread = values * (255 // ((1 << depth) - 1)) if depth < 8 else values
    plain = values.astype(bool) if (color, depth) == (0, 1) else spread
    for pieces in (1, 5):
        assert_reads(by_hand.png(values, depth, color, interlaced=interlaced, pieces=pieces, seed=depth), plain)
    if color in (0, 2):
        clear = values[3, 4]
        trns = clear.astype(">u2").tobytes()
        data = by_hand.png(values, depth, color, interlaced=interlaced, before=[(b"tRNS", trns)])
        alpha = (values != clear).any(axis=2, keepdims=True) * np.iinfo(spread.dtype).max
        expected = np.concatenate([spread, alpha.astype(spread.dtype)], axis=2)
        assert_reads(data, expected)
        np.testing.assert_array_equal(imagecodecs.png_decode(data), expected, "libpng agrees")


@pytest.mark.parametrize("damage", ["none", "cut", "flipped"])
def test_png_of_16_bits_is_the_same_with_and_without_libpng(damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more than one step of decoding; what is damaged is refused by both."""
    from odin_graph.ingest import png

    values = np.tile(drawn("uint16", 3), (20, 30, 1))
    data = bytearray(by_hand.png(values, 16, 2, pieces=7))
    if damage == "cut":
        data = data[:-9_000]
    elif damage == "flipped":
        data[len(data) // 2] ^= 4
    for codecs in (imagecodecs, None):
        monkeypatch.setattr(png, "imagecodecs", codecs)
        if damage == "none":
            assert_reads(bytes(data), values)
            continue
        with pytest.raises(UnreadableImageError, match=r"^it is broken"):
            READER.read(bytes(data))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palettes_of_png(depth: int) -> None:
    values = drawn("uint8", 1, depth, (1 << depth) - 1)
    table = np.random.default_rng(0).integers(0, 256, (1 << depth, 3), np.uint8)
    before = [(b"PLTE", table.tobytes())]
    assert_reads(by_hand.png(values, depth, 3, before=before), table[values[..., 0]])
    alpha = np.full(1 << depth, 255, np.uint8)
    alpha[:2] = 0, 77
    clear = np.column_stack([table, alpha])
    assert_reads(by_hand.png(values, depth, 3, before=[*before, (b"tRNS", alpha[:2].tobytes())]), clear[values[..., 0]])


def test_a_png_is_read_by_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Some rows at a time, in any order, of a file or of its bytes, at every depth: the same pixels."""
    from odin_graph.ingest import png

    monkeypatch.setattr(png, "_PART", 300)
    monkeypatch.setattr(png, "_PIECE", 50)
    for color, depth in PNG_KINDS:
        samples = {0: 1, 2: 3, 4: 2, 6: 4}[color]
        values = drawn("uint16" if depth == 16 else "uint8", samples, depth, (1 << depth) - 1)
        data = by_hand.png(values, depth, color, pieces=3, seed=color)
        (tmp_path / "x.png").write_bytes(data)
        whole = imagecodecs.png_decode(data).reshape(HEIGHT, WIDTH, samples)
        for origin in (data, tmp_path / "x.png"):
            source = READER.open(origin)
            for first, end in ((0, 5), (5, 20), (30, HEIGHT), (3, 4), (0, HEIGHT)):
                expected = whole[first:end].astype(bool) if depth == 1 else whole[first:end]
                np.testing.assert_array_equal(source.rows(first, end), expected)


@pytest.mark.parametrize("plain", [False, True], ids=["binary", "plain"])
@pytest.mark.parametrize("most", [0, 1, 15, 31, 100, 255, 256, 1023, 4095, 65535])
def test_pnm_of_every_maximum(most: int, plain: bool) -> None:
    """The numbers of the file, not spread and not cut: uint8 to 255, uint16 above; PBM is bool, True for white."""
    for bands in (1,) if most == 0 else (1, 3):
        values = drawn("bool", 1) if most == 0 else drawn("uint8" if most < 256 else "uint16", bands, most, most)
        for comment in (False, True):
            assert_reads(by_hand.pnm(values, most, plain=plain, comment=comment), values)


@pytest.mark.parametrize("top_down", [False, True])
@pytest.mark.parametrize(
    ("masks", "bits"),
    [
        ((0x7C00, 0x3E0, 0x1F), 16),
        ((0xF800, 0x7E0, 0x1F), 16),
        ((0x7C00, 0x3E0, 0x1F, 0x8000), 16),
        ((0xF00, 0xF0, 0xF, 0xF000), 16),
        ((0xFF0000, 0xFF00, 0xFF), 32),
        ((0xFF, 0xFF00, 0xFF0000, 0xFF000000), 32),
    ],
)
def test_bmp_of_every_packing(masks: tuple[int, ...], bits: int, top_down: bool) -> None:
    """Bands of 1 to 8 bits are spread over 0 to 255, to within half a step; alpha where there is a mask for it."""
    values = np.concatenate([drawn("uint8", 1, at, (1 << m.bit_count()) - 1) for at, m in enumerate(masks)], axis=2)
    found = READER.read(by_hand.bmp(values, masks, bits, top_down=top_down))
    exact = values * (255 / np.array([(1 << mask.bit_count()) - 1 for mask in masks]))
    assert (found.dtype, found.shape) == (np.uint8, values.shape)
    assert np.abs(found - exact).max() < 1
    assert (found[values == 0] == 0).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_bmp_gif_and_webp_by_pillow(mode: str) -> None:
    """A BMP's fourth byte of 32 bits has no meaning unless a mask says so; a gray GIF is a palette of grays."""
    pixels = drawn("uint8", 4)
    image = Image.fromarray(pixels).convert("RGB" if mode != "RGBA" else "RGBA").convert(mode)
    expected = np.asarray(image.convert("RGB")) if mode == "P" else np.asarray(image).reshape(HEIGHT, WIDTH, -1)
    for kind, modes in (("BMP", "1 L P RGB"), ("GIF", "L P"), ("WEBP", "RGB RGBA")):
        if mode in modes.split():
            out = io.BytesIO()
            image.save(out, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
            found = READER.read(out.getvalue())
            if mode == "1":
                found = found.astype(bool)
            np.testing.assert_array_equal(found, np.broadcast_to(expected, found.shape), kind)


def test_a_gray_gif_with_transparency_has_an_alpha_band() -> None:
    image = Image.fromarray(drawn("uint8", 1)[..., 0])
    out = io.BytesIO()
    image.save(out, "GIF", transparency=7)
    found = READER.read(out.getvalue())
    assert found.shape[2] in (2, 4)
    np.testing.assert_array_equal(found[..., -1] == 0, np.asarray(image) == 7)


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_the_orientation_of_a_camera(kind: str, orientation: int) -> None:
    pixels = np.kron(drawn("uint8", 3)[:3, :5], np.ones((16, 16, 1), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    how = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}, "PNG": {}}[kind]
    Image.fromarray(pixels).save(out, kind, exif=exif, **how)
    found, expected = READER.read(out.getvalue()), TURNS[orientation](pixels)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= (3 if kind == "JPEG" else 0)


def test_jpeg_agrees_with_another_decoder() -> None:
    picture = np.asarray(Image.fromarray(drawn("uint8", 3)).resize((64, 64), Image.Resampling.BICUBIC))
    for data in (imagecodecs.jpeg_encode(picture), imagecodecs.jpeg_encode(picture[..., :1].copy())):
        decoded = imagecodecs.jpeg_decode(data)
        assert np.abs(READER.read(data).astype(int) - decoded.reshape(64, 64, -1)).max() <= 1


@pytest.mark.parametrize("kind", ["jpeg 12 bits", "lossless", "LS"])
def test_jpeg_of_other_kinds_says_which(kind: str) -> None:
    deep = drawn("uint16", 1, most=4095)[..., 0]
    data = {
        "jpeg 12 bits": lambda: imagecodecs.jpeg_encode(deep, bitspersample=12),
        "lossless": lambda: imagecodecs.ljpeg_encode(deep, bitspersample=12),
        "LS": lambda: imagecodecs.jpegls_encode(deep),
    }[kind]()
    with pytest.raises(
        UnreadableImageError, match=r"^it is (JPEG of 12 bits a band|lossless JPEG|JPEG-LS), which is not"
    ):
        READER.read(data)
