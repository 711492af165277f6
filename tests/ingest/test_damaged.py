"""One bad file never stops the others: each is left out alone, by name, and nothing hangs, runs or fills the memory."""

from __future__ import annotations

import io
import os
import socket
import stat
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from skimage import data as skimage_data

import odin_graph as og
from odin_graph import config
from odin_graph.errors import UnreadableImageError
from odin_graph.ingest.file import File
from odin_graph.ingest.readers import Readers
from odin_graph.query.names.examples import read_examples

pytestmark = pytest.mark.one_engine

PHOTOGRAPH = skimage_data.astronaut()[100:164, 200:280]
SHORT, LONG = 200, 2_000


def saved(kind: str, pixels: Any = PHOTOGRAPH, **how: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **how)
    return out.getvalue()


def tiff(pixels: Any = PHOTOGRAPH, **how: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, metadata=None, **how)
    return out.getvalue()


WHOLE = {
    "gray.png": saved("PNG", PHOTOGRAPH[..., 0]),
    "palette.png": saved("PNG", np.asarray(Image.fromarray(PHOTOGRAPH).convert("L"))),
    "color.png": saved("PNG"),
    "photo.jpg": saved("JPEG"),
    "strips.tif": tiff(rowsperstrip=7),
    "tiles.tif": tiff(tile=(16, 16), compression="zlib"),
    "lzw.tif": tiff(rowsperstrip=9, compression="lzw", predictor=True),
    "jpeg.tif": tiff(tile=(32, 32), compression="jpeg"),
    "zstd.tif": tiff(PHOTOGRAPH.astype(np.uint16) * 257, compression="zstd", byteorder=">"),
    "plain.bmp": saved("BMP"),
    "plain.ppm": saved("PPM"),
    "plain.gif": saved("GIF"),
    "plain.webp": saved("WEBP"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three good images."""
    made = tmp_path / "eyes"
    made.mkdir()
    for number in range(3):
        Image.fromarray(PHOTOGRAPH[..., number]).save(made / f"good-{number}.png")
    return made


def assert_alone(db: og.Workspace, folder: Path, *bad: str) -> og.IngestReport:
    """With the default the error names the first bad file; with "skip" just these are left out, each by name."""
    with pytest.raises(og.DataError) as caught:
        db.images.add(folder, progress=False)
    assert any(name in str(caught.value) for name in bad)
    assert 'on_error="skip"' in str(caught.value)
    report = db.images.add(folder, on_error="skip", progress=False)
    assert sorted(name for name, _ in report.errors) == sorted(bad)
    assert all(name in reason for name, reason in report.errors), report
    assert {image.id for image in db.images} == {f"good-{number}.png" for number in range(3)}
    np.testing.assert_array_equal(db.images["good-1.png"].pixels[..., 0], PHOTOGRAPH[..., 1])
    assert str(report).encode("utf-8"), "the report can be printed"
    return report


def test_damaged_files_are_left_out_alone(db: og.Workspace, folder: Path) -> None:
    cut = {name: data[: len(data) // 2] for name, data in WHOLE.items()}
    for name, data in cut.items():
        (folder / f"cut-{name}").write_bytes(data)
    zero = bytearray(WHOLE["tiles.tif"])  # a tile of no width
    with tifffile.TiffFile(io.BytesIO(zero)) as file:
        at = file.pages.first.tags[322].valueoffset
    zero[at : at + 2] = bytes(2)
    (folder / "zero.tif").write_bytes(zero)
    (folder / "empty.tif").write_bytes(b"")
    (folder / "head.tif").write_bytes(WHOLE["strips.tif"][:16])
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500))
    (folder / ".DS_Store").write_bytes(b"hidden files are no images")
    (folder / "thumbs.png").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500))
    bad = [f"cut-{name}" for name in cut] + ["zero.tif", "empty.tif", "head.tif", "Thumbs.db", "thumbs.png"]
    report = assert_alone(db, folder, *bad)
    reasons = dict(report.errors)
    assert "Microsoft compound file" in reasons["thumbs.png"]
    assert "it is not an image: it is empty" in reasons["empty.tif"]


def test_what_is_no_file_is_left_out_and_never_waited_for(db: og.Workspace, folder: Path) -> None:
    """A pipe that nobody writes to, a socket, a device, a link to nothing, and a folder where a file is meant."""
    os.mkfifo(folder / "pipe.png")
    (folder / "gone.png").symlink_to(folder / "nowhere")
    (folder / "zero.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as held:
        here = Path.cwd()
        os.chdir(folder)
        held.bind("socket.png")
        os.chdir(here)
        report = assert_alone(db, folder, "pipe.png", "gone.png", "zero.png", "socket.png")
    reasons = dict(report.errors)
    assert "it is a pipe (FIFO), and no file" in reasons["pipe.png"]
    assert "it is a device, and no file" in reasons["zero.png"]
    (folder / "inner").mkdir()
    (folder / "table.csv").write_text("path\ngood-0.png\ninner\npipe.png\nbad\0name.png\n")
    report = db.images.add(folder / "table.csv", on_error="skip", progress=False)
    assert "it is a folder, and no file" in dict(report.errors)["inner"]
    with pytest.raises(UnreadableImageError, match="pipe"):
        read_examples(folder / "pipe.png")


def test_a_name_that_is_no_utf8_is_left_out(db: og.Workspace, folder: Path) -> None:
    """As a file's name, and as the folder's that is its label."""
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(WHOLE["gray.png"])
    report = assert_alone(db, folder, "caf\\udce9.png")
    assert "not UTF-8" in report.errors[0][1]
    inner = folder / os.fsdecode(b"caf\xe9")
    inner.mkdir()
    (inner / "x.png").write_bytes(WHOLE["gray.png"])
    assert len(db.images.add(folder, on_error="skip", progress=False).errors) == 2


def test_a_bad_element_of_a_list_is_left_out(db: og.Workspace) -> None:
    good = PHOTOGRAPH[..., 0]
    masked = np.ma.masked_array(good, good > 200)
    bad = [
        None,
        "text",
        good.astype(object),
        good.astype(complex),
        np.zeros((0, 4)),
        np.zeros(5),
        np.zeros((4, 5), np.longdouble),
        [[1], [2, 3]],
        masked,
    ]
    images = [good, *bad, np.ma.masked_array(good[::-1], False), Image.fromarray(PHOTOGRAPH)]
    with pytest.raises(og.DataError, match="image/000001"):
        db.images.add(images=images, progress=False)
    report = db.images.add(images=images, on_error="skip", progress=False)
    assert [name for name, _ in report.errors] == [f"image/{number:06}" for number in range(1, len(bad) + 1)]
    assert "are masked, which is not stored: give numbers for them, as in image.filled(0)" in report.errors[-1][1]
    assert report.added == 3
    np.testing.assert_array_equal(db.images[f"image/{len(bad) + 1:06}"].pixels[..., 0], good[::-1])
    np.testing.assert_array_equal(db.images[f"image/{len(bad) + 2:06}"].pixels, PHOTOGRAPH)


def test_pictures_of_pillow_are_read_by_the_rules_for_files(db: og.Workspace) -> None:
    """A palette becomes its colors; the numbers of a palette are no pixels."""
    palette = Image.fromarray(PHOTOGRAPH).quantize(8)
    db.images.add(images=[palette], progress=False)
    np.testing.assert_array_equal(db.images["image/000000"].pixels, np.asarray(palette.convert("RGB")))


def test_pictures_of_pillow_have_the_pixels_of_their_files(db: og.Workspace, tmp_path: Path) -> None:
    """A camera's orientation is applied, once; of several frames none is taken alone."""
    turned = Image.Exif()
    turned[0x0112] = 6
    for kind in ("JPEG", "PNG", "TIFF", "WEBP"):
        file = tmp_path / f"turned.{kind.lower()}"
        file.write_bytes(saved(kind, exif=turned))
        table = pd.DataFrame({"path": [str(file)], "id": [f"file-{kind}"]})
        db.images.add(table, progress=False)
        with Image.open(file) as picture:
            db.images.add(images=[picture], ids=[f"picture-{kind}"], progress=False)
        assert db.images[f"picture-{kind}"].shape == (80, 64, 3)
        np.testing.assert_array_equal(db.images[f"picture-{kind}"].pixels, db.images[f"file-{kind}"].pixels)
    several = saved("TIFF", save_all=True, append_images=[Image.fromarray(PHOTOGRAPH[::-1])])
    with pytest.raises(og.DataError, match="it has 2 frames"):
        db.images.add(images=[Image.open(io.BytesIO(several))], progress=False)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"images": (image for image in [PHOTOGRAPH])}, "a list of images, not generator"),
        ({"images": {"a": PHOTOGRAPH}}, "(?s)'images' is {'a'.*: give one value an image"),
        ({"images": [PHOTOGRAPH] * 2, "ids": {"a", "b"}}, "'ids' is {'.*: give one value an image"),
        ({"images": [PHOTOGRAPH], "labels": np.array("DME")}, "'labels' is array"),
        ({"images": [PHOTOGRAPH], "labels": 3}, "'labels' is 3"),
        ({"images": [PHOTOGRAPH], "metadata": {"age": 3}}, "'age' is 3"),
        ({"images": [PHOTOGRAPH], "metadata": [{"age": 3}]}, "columns by name, not list"),
    ],
)
def test_what_has_no_value_for_each_image_is_refused(db: og.Workspace, given: dict[str, Any], said: str) -> None:
    """A text is no list of its letters, and a set has no order."""
    with pytest.raises(og.DataError, match=said):
        db.images.add(**given, progress=False)
    assert len(db.images) == 0


def test_a_series_is_taken_by_its_rows(db: og.Workspace) -> None:
    db.images.add(images=pd.Series([PHOTOGRAPH, PHOTOGRAPH[::-1]], index=[7, 8]), ids=["a", "b"], progress=False)
    np.testing.assert_array_equal(db.images["b"].pixels, PHOTOGRAPH[::-1])


def test_a_link_to_itself_is_left_out(db: og.Workspace, folder: Path) -> None:
    (folder / "round.png").symlink_to("round.png")
    assert "symbolic links" in assert_alone(db, folder, "round.png").errors[0][1]


def test_arrays_with_channels_first_are_said(db: og.Workspace) -> None:
    """They are stored as they are, and the warning and the report say what they may be meant as."""
    turned = np.moveaxis(PHOTOGRAPH, 2, 0)
    with pytest.warns(og.LayoutWarning, match=r"shape \(3, 64, 80\) .*np\.moveaxis\(image, 0, -1\)"):
        report = db.images.add(images=[turned], progress=False)
    assert db.images["image/000000"].shape == (3, 64, 80)
    assert report.notes[0] in str(report)
    with pytest.warns(og.LayoutWarning, match=r"64 gray images of 80 x 3 .*images=\[image\]"):
        db.images.add(images=PHOTOGRAPH, prefix="one", progress=False)


def test_a_huge_damaged_file_is_left_out_alone(db: og.Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its damage is met only while its tiles are stored."""
    monkeypatch.setattr(config, "_HUGE", 1 << 16)
    noise = np.random.default_rng(0).integers(0, 256, (400, 300), np.uint8)
    whole = tiff(noise, tile=(64, 64), compression="zlib")
    (folder / "huge.tif").write_bytes(whole[: len(whole) * 3 // 4])
    flipped = bytearray(saved("PNG", noise))
    flipped[-len(flipped) // 4] ^= 0xFF
    (folder / "huge.png").write_bytes(flipped)
    assert_alone(db, folder, "huge.tif", "huge.png")
    (folder / "huge.tif").write_bytes(whole)
    (folder / "huge.png").write_bytes(saved("PNG", noise))
    assert db.images.add(folder, on_error="skip", progress=False).added == 2
    for name in ("huge.tif", "huge.png"):
        np.testing.assert_array_equal(db.images[name].pixels[..., 0], noise)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".gif", ".bmp", ".webp", ".ppm"])
def test_no_file_starts_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """An EPS of any name would make Pillow run Ghostscript: whatever is opened, the one on the path never runs."""
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    readers = Readers.installed()
    for data in (EPS, b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 30, len(EPS)) + bytes(18) + EPS, b"\n" + EPS):
        with pytest.raises(UnreadableImageError, match=r"it is (EPS|not an image)"):
            readers.read(Path(f"x{suffix}"), data)
    assert not (tmp_path / "ran").exists()
    subprocess.run(["gs"], check=False)
    assert (tmp_path / "ran").exists(), "it would have been seen"


def test_formats_that_pillow_would_open_are_refused_by_their_name() -> None:
    """Each further format that Pillow writes, under a name of ours: it is refused, and says what it is."""
    named = {"AVIF": "AVIF", "JPEG2000": "JPEG 2000", "ICO": "ICO", "ICNS": "ICNS", "DDS": "DDS", "EPS": "EPS"}
    Image.init()
    readers, refused = Readers.installed(), 0
    for kind in sorted(set(Image.SAVE) & set(Image.OPEN) | {"EPS"}):
        try:
            data = saved(kind)
        except Exception:  # noqa: BLE001 - it writes other modes, or needs what is not there
            continue
        if any(reader.accepts(File("x", data)) for reader in readers.by_name.values()):
            continue
        refused += 1
        with pytest.raises(UnreadableImageError) as caught:
            readers.read(Path("x.png"), data)
        assert named.get(kind, "it is") in str(caught.value), kind
    assert refused > 5


@pytest.mark.parametrize("name", ["bomb.png", "bomb.tif", "bomb.gif", "bomb.bmp", "bomb.ppm", "bomb.webp"])
def test_a_bomb_is_refused_before_it_unpacks(name: str) -> None:
    """Headers that promise 60,000 x 60,000 pixels."""
    side = 60_000
    data = {
        "bomb.png": lambda: _png_of(side),
        "bomb.tif": lambda: _tiff_of(side),
        "bomb.gif": lambda: WHOLE["plain.gif"][:6] + struct.pack("<HH", side, side) + WHOLE["plain.gif"][10:],
        "bomb.bmp": lambda: WHOLE["plain.bmp"][:18] + struct.pack("<ii", side, side) + WHOLE["plain.bmp"][26:],
        "bomb.ppm": lambda: b"P6 %d %d 255 \0" % (side, side),
        "bomb.webp": lambda: b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + struct.pack("<I", side)[:3] * 2,
    }[name]()
    code = (
        "import resource, sys; from pathlib import Path; from odin_graph.ingest.readers import Readers\n"
        "from odin_graph.errors import UnreadableImageError\n"
        "readers = Readers.installed(); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: readers.read(Path(sys.argv[1]), sys.stdin.buffer.read()); print('read')\n"
        "except UnreadableImageError as error: print('refused', error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    run = subprocess.run([sys.executable, "-c", code, name], input=data, capture_output=True, check=False, timeout=120)
    said, grown = run.stdout.decode().splitlines()
    assert said.startswith(f"refused {name}: "), run
    assert int(grown) < 100 << 10, f"{grown} KiB"


def _png_of(side: int) -> bytes:
    from tests.ingest.by_hand import chunk

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", b"x\x9c\x03\0\0\0\0\x01") + chunk(b"IEND", b"")


def _tiff_of(side: int) -> bytes:
    from tests.ingest.by_hand import tiff as written

    return written(np.zeros((4, 4, 3), np.uint8), 8, t256=side, t257=side, t259=8)


def damaged(draw: np.random.Generator) -> tuple[str, str, bytes]:
    """What was done, the name, and the bytes of a file that is damaged by chance."""
    name = str(draw.choice(list(WHOLE)))
    data = bytearray(WHOLE[name])
    kind = str(draw.choice(["cut", "flip", "header", "many", "joined", "renamed", "hole"]))
    if kind == "cut":
        data = data[: draw.integers(0, len(data))]
    elif kind == "flip":
        data[draw.integers(len(data))] ^= 1 << draw.integers(8)
    elif kind == "header":
        at = draw.integers(0, min(len(data), 400) - 4)
        data[at : at + 4] = draw.choice([0, 0xFFFFFFFF, 1, 0x7FFFFFFF]).astype("<u4").tobytes()
    elif kind == "many":
        for at in draw.integers(0, len(data), 8):
            data[at] = draw.integers(256)
    elif kind == "joined":
        data = data + WHOLE[str(draw.choice(list(WHOLE)))]
    elif kind == "hole":
        at = draw.integers(len(data))
        del data[at : at + int(draw.integers(1, 200))]
    suffix = str(draw.choice([".png", ".tif", ".jpg", ".gif"])) if kind == "renamed" else Path(name).suffix
    return kind, f"{Path(name).stem}{suffix}", bytes(data)


FUZZ = """
import sys, resource
sys.path.insert(0, sys.argv[3])
import numpy as np
from pathlib import Path
from odin_graph.errors import UnreadableImageError
from odin_graph.ingest.file import File
from odin_graph.ingest.readers import Readers
from tests.ingest.test_damaged import WHOLE, damaged

readers, seed, number = Readers.installed(), int(sys.argv[1]), int(sys.argv[2])
wholes = {name: readers.read(Path(name), data) for name, data in WHOLE.items()}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
refused = 0
for turn in range(number):
    draw = np.random.default_rng([seed, turn])
    kind, name, data = damaged(draw)
    print(turn, kind, name, file=sys.stderr, flush=True)
    try:
        small = readers.small(File(name, data), 1 << 30)
    except UnreadableImageError:
        small = None
    try:
        found = readers.read(Path(name), data)
    except UnreadableImageError as error:
        assert small is None, (turn, kind, name)
        assert str(error).startswith(name + ": "), error
        refused += 1
        continue
    assert found.ndim == 3 and found.size
    assert small is None or (small.shape == found.shape and (small == found).all()), (turn, kind, name)
    if kind in ("joined", "renamed") or data.startswith(b"\\x89PNG"):  # nothing is lost, or a checksum would tell
        assert any(found.shape == held.shape and (found == held).all() for held in wholes.values()), (turn, kind, name)
print(refused, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_damage_by_chance(soak: bool) -> None:
    """Cut, flipped, joined, renamed, with other headers: refused by name, or right where a checksum can tell."""
    number, seed = (LONG, int.from_bytes(os.urandom(3))) if soak else (SHORT, 20_261)
    print(f"seed {seed}")
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", FUZZ, str(seed), str(number), root]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert run.returncode == 0, f"seed {seed}: {run.stderr[-2_000:]}"
    refused, grown = map(int, run.stdout.split())
    assert number // 5 < refused < number
    assert grown < 400 << 10, f"{grown} KiB"
