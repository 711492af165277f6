"""docs/extending.md, section "A reader": its recipe as a package outside of ours, found by its entry point."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from neomodel import FloatProperty
from PIL import Image

import odin_graph as og
from odin_graph import config
from odin_graph.errors import ConflictError, DataError, MetadataError, UnknownNameError, UnreadableImageError
from odin_graph.ingest import READERS, Contents, File, Frame, Reader, look
from odin_graph.ingest.readers import Readers
from odin_graph.registry import PluginError
from odin_graph.schema.metadata import FieldType
from tests.ingest.slits import HEIGHT, WIDTH, voxels, write_scan

pytestmark = pytest.mark.one_engine

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
SECTION = re.search(r"^## A reader\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)[1]  # type: ignore[index]
RECIPE, USE = re.findall(r"^```python\n(.*?)^```$", SECTION, re.M | re.S)
POINTS = re.search(r"^```toml\n\[project\.entry-points\.\"(.*?)\"\]\n(\w+) = \"(.*?)\"", SECTION, re.M)


@pytest.fixture(autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The recipe as an installer lays it out: a module, and its metadata."""
    site = tmp_path_factory.mktemp("site")
    assert POINTS is not None
    group, name, target = POINTS.groups()
    module, _, attribute = target.partition(":")
    (site / f"{module}.py").write_text(f"{RECIPE}\n\n{attribute} = SlitReader()\n")
    info = site / "odin_graph_slit-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odin-graph-slit\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")
    monkeypatch.syspath_prepend(str(site))
    yield
    sys.modules.pop(module, None)
    READERS._entries.pop(name, None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two scans in a folder, and a PNG beside them."""
    for scan in (7, 8):
        write_scan(tmp_path / "scans", scan)
    Image.fromarray(voxels(1)[0]).save(tmp_path / "scans" / "note.png")
    return tmp_path / "scans"


def test_the_recipe_is_short() -> None:
    assert len([line for line in RECIPE.splitlines() if line.strip()]) < 30


def test_the_recipe_as_the_page_uses_it(db: og.Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr(og, "connect", lambda *_: db)
    names: dict[str, Any] = {}
    exec(compile(USE, "extending.md", "exec"), names)
    assert dict(names["found"]["scan-7"].fields) == {"depth": FieldType.FLOAT, "operator": FieldType.STRING}
    np.testing.assert_array_equal(names["corner"][..., 0], voxels(7)[2, :8, :8])
    np.testing.assert_array_equal(names["scan"].voxels, voxels(7))
    assert [image.id for image in names["deep"]] == ["scan-7/000003"]
    assert set(db.volumes.ids()) == {"scan-7", "scan-8"}
    assert len(db.images) == 9
    image = db.images["scan-8/000001"]
    assert (image.depth, image.operator, image.slice_index) == (0.5, "Ada Lima", 1)
    assert image.path.endswith("IM3.8")
    assert [scan.id for scan in db.volumes.where(operator="Ada Lima")] == ["scan-7", "scan-8"]


def test_nothing_is_stored_and_little_is_read_by_looking(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = look(folder)
    assert set(found) == {"note.png", "scan-7", "scan-8"}
    read: list[tuple[str, int]] = []
    opened = File.open
    monkeypatch.setattr(File, "open", lambda file: read.append((file.name.name, 0)) or opened(file))
    scan = found["scan-7"]
    assert (len(scan), scan.stack, scan[0].shape, scan[0].dtype) == (4, "Volume", (HEIGHT, WIDTH, 1), np.uint16)
    assert [scan.metadata_of(place)["depth"] for place in range(4)] == [0, 0.5, 1, 1.5]
    assert read == []
    np.testing.assert_array_equal(scan[1].read((3, 4, 9, 6))[..., 0], voxels(7)[1, 4:6, 3:9])
    assert read == [("IM3.7", 0)], "one slice is one file"
    with pytest.raises(og.errors.ShapeError, match="reaches outside"):
        scan[1].read((0, 0, WIDTH + 1, 1))


def test_a_series_of_one_file_has_the_id_of_the_series(tmp_path: Path) -> None:
    write_scan(tmp_path, 5, slices=1)
    assert {id_: (len(found), found.stack) for id_, found in look(tmp_path).items()} == {"scan-5": (1, "Volume")}


def test_the_same_again_is_there_and_what_differs_is_said(db: og.Workspace, folder: Path) -> None:
    first = db.images.add(folder, progress=False)
    assert (first.added, first.stacks) == (9, ["scan-7", "scan-8"])
    again = db.images.add(folder, progress=False)
    assert (again.added, again.already_there, again.differing) == (0, 9, [])
    write_scan(folder, 8, operator="Bo Oslo")
    assert db.images.add(folder, progress=False).differing == [f"scan-8/00000{n}" for n in range(4)]
    assert db.images.add(folder, on_conflict="update", progress=False).updated == 4
    assert db.images["scan-8/000000"].operator == "Bo Oslo"
    (folder / "IM4.8").unlink()
    write_scan(folder, 8, slices=3)
    with pytest.raises(ConflictError, match="'scan-8' already, with other shape"):
        db.images.add(folder, progress=False)
    assert db.images.add(folder, on_conflict="skip", progress=False).others == ["scan-8"]


def test_a_damaged_slice_leaves_out_its_scan_alone(db: og.Workspace, folder: Path) -> None:
    whole = (folder / "IM2.7").read_bytes()
    (folder / "IM2.7").write_bytes(whole[:-9])
    with pytest.raises(UnreadableImageError, match=r"IM1\.7: it is broken .*on_error=\"skip\""):
        db.images.add(folder, progress=False)
    report = db.images.add(folder, on_error="skip", progress=False)
    assert [name for name, _ in report.errors] == ["scan-7"]
    assert set(db.volumes.ids()) == {"scan-8"}
    assert len(db.images) == 5, "no slice of it is there"
    (folder / "IM2.7").write_bytes(whole)
    assert db.images.add(folder, progress=False).added == 4


def test_a_scan_larger_than_memory_is_read_slice_by_slice(
    db: og.Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("odin_graph.ingest.stacking._SHARE", db._stores.budget.memory // 2_000)
    (folder / "IM2.7").write_bytes((folder / "IM2.7").read_bytes()[:-9])
    assert db.images.add(folder, on_error="skip", progress=False).stacks == ["scan-8"]
    np.testing.assert_array_equal(db.volumes["scan-8"].voxels, voxels(8))


def test_a_manifest_comes_before_the_files(db: og.Workspace, folder: Path) -> None:
    paths = sorted(folder.glob("*.7"))
    rows = pd.DataFrame({"path": paths, "operator": "Cy Pune", "eye": "left", "label": [1, 2, 3, 4], "id": "mine"})
    report = db.images.add(rows, progress=False)
    assert report.notes == ["4 images have another 'operator' in their files than was given: what was given is stored."]
    assert [image.label for image in db.volumes["mine"].slices()] == [4, 3, 2, 1]
    assert {image.operator for image in db.volumes["mine"].slices()} == {"Cy Pune"}
    assert [scan.id for scan in db.volumes.where(eye="left")] == ["mine"]


class SlitScan(og.schema.Image):
    depth = FloatProperty(required=True)


def test_a_class_of_images_takes_its_fields_from_files(db: og.Workspace, folder: Path) -> None:
    (folder / "note.png").unlink()
    (folder / "IM1.9").write_bytes(b"SLIT\x09\0")
    assert len(db.images.add(folder, kind=SlitScan, on_error="skip", progress=False).errors) == 1
    assert db.cypher("MATCH (s:SlitScan) RETURN count(s) AS n").to_arrow().to_pylist() == [{"n": 8}]


class Pages(Reader):
    """Pages of unlike shapes, each an image by itself, counted as they are decoded."""

    formats = ("PAGES",)

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {"page": int, "label": str}
        self.sizes: Sequence[int] = (3, 5)
        self.decoded = 0
        self.lock = threading.Lock()

    def accepts(self, file: File) -> bool:
        return file.head.startswith(b"PAGES")

    def open(self, files: Sequence[File]) -> Contents:
        said = [(n, {"page": n, "label": "x"}) for n in self.sizes]
        return Contents([Frame((n, 4), ">f4", partial(self.page, n), values) for n, values in said], self.asked)

    def page(self, size: int, box: Any) -> Any:
        with self.lock:
            self.decoded += 1
        left, top, right, bottom = box
        return np.arange(size * 4, dtype=">f4").reshape(size, 4)[top:bottom, left:right]


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Pages, Path]:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "a.doc").write_bytes(b"PAGES")
    reader = Pages()
    monkeypatch.setitem(READERS._entries, "pages", reader)
    return reader, tmp_path / "pages"


def test_pages_are_images_with_labels_and_are_not_decoded_again(db: og.Workspace, pages: tuple[Pages, Path]) -> None:
    reader, folder = pages
    assert db.images.add(folder, progress=False).added == 2
    image = db.images["a.doc/000001"]
    assert (image.shape, image.page, image.label, str(image.dtype)) == ((5, 4, 1), 5, "x", "float32")
    np.testing.assert_array_equal(image.pixels[..., 0], np.arange(20).reshape(5, 4))
    before = reader.decoded
    assert db.images.add(folder, progress=False).already_there == 2
    assert reader.decoded == before
    (folder / "a.doc").write_bytes(b"PAGES 2")
    with pytest.raises(UnreadableImageError, match="are not kept: leave out keep_originals"):
        db.images.add(folder, keep_originals=True, progress=False)


def test_a_huge_page_is_read_by_rows(db: og.Workspace, pages: tuple[Pages, Path], monkeypatch: Any) -> None:
    reader, folder = pages
    monkeypatch.setattr(config, "_HUGE", 1 << 10)
    monkeypatch.setattr("odin_graph.arrays.tiled.SLAB_BYTES", 1 << 12)
    reader.sizes = (2_000,)
    opened = reader.open
    boxes: list[Any] = []

    def by_rows(files: Sequence[File]) -> Contents:
        (frame,) = opened(files).frames
        read = lambda box: boxes.append(box) or frame.read(box)  # noqa: E731
        return Contents([Frame(frame.shape, frame.dtype, read, frame.metadata, at_once=0)], reader.asked)

    monkeypatch.setattr(reader, "open", by_rows)
    db.images.add(folder, progress=False)
    assert max(box[3] - box[1] for box in boxes) < 2_000
    np.testing.assert_array_equal(db.images["a.doc"].pixels[..., 0], np.arange(8_000).reshape(-1, 4))


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"page": int, "label": str, "key": int}, MetadataError, "'key' is a property of ours"),
        ({"page": object, "label": str}, MetadataError, "is not a type of a field"),
        ({"label": str}, UnreadableImageError, "a value of 'page', and names no such field"),
        ({"page": bool, "label": str}, UnreadableImageError, "gives 3 for 'page', which is not of type bool"),
    ],
)
def test_fields_that_cannot_be_are_refused_before_anything_is_stored(
    db: og.Workspace, pages: tuple[Pages, Path], asked: Any, error: type[DataError], message: str
) -> None:
    reader, folder = pages
    reader.asked = asked
    with pytest.raises(error, match=rf"a\.doc: its reader 'pages' .*{message}"):
        db.images.add(folder, progress=False)
    assert len(db.images) == 0


def test_pixels_that_are_not_as_they_were_said_are_refused(db: og.Workspace, pages: tuple[Pages, Path]) -> None:
    reader, folder = pages
    reader.page = lambda size, box: np.zeros((size, 3), ">f4")  # type: ignore[method-assign]
    report = db.images.add(folder, on_error="skip", progress=False)
    assert len(report.errors) == 2
    assert (
        "its reader 'pages' gives >f4 of shape (3, 3, 1) for the box (0, 0, 4, 3), and said float32"
        in report.errors[0][1]
    )


def test_a_reader_that_fails_in_accepts_is_named_and_never_skipped(
    db: og.Workspace, pages: tuple[Pages, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked of every file, so the files are not to blame, and skipping would leave out all of them."""
    _, folder = pages
    Image.fromarray(voxels(1)[0]).save(folder / "note.png")
    monkeypatch.setattr(Pages, "accepts", lambda self, file: file.name.endswith(".doc"))
    with pytest.raises(PluginError, match=r"image reader 'pages' cannot say .*AttributeError: .*'endswith'"):
        db.images.add(folder, on_error="skip", progress=False)
    monkeypatch.setattr(Readers, "look_first", False)  # so that it is asked when files are decoded
    with pytest.raises(PluginError, match="'pages' cannot say"):
        db.images.add(folder, on_error="skip", progress=False)
    monkeypatch.setitem(READERS._entries, "pages", Pages)
    with pytest.raises(PluginError, match="register an object of a class that derives from"):
        look(folder)


def test_an_error_of_a_reader_is_named_with_its_type(pages: tuple[Pages, Path]) -> None:
    reader, folder = pages
    reader.page = lambda size, box: {}["width"]  # type: ignore[index, method-assign]
    with pytest.raises(
        UnreadableImageError, match=r"a\.doc: it is broken \(KeyError: 'width', by its reader 'pages'\)"
    ):
        look(folder)["a.doc"][0].read()


FRAME = Frame((3, 4), "u1", lambda _: np.zeros((3, 4), "u1"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([FRAME], "gives list and not Contents"),
        (Contents(frame for frame in [FRAME]), "gives frames as generator and not as a list"),  # type: ignore[arg-type]
        (Contents([FRAME], stack="Cube"), "gives stack='Cube', and there is 'Volume' or 'Video'"),  # type: ignore[arg-type]
        (Contents([FRAME], stack="Video"), "gives a video of fps=None and not its frames a second"),
        (Contents([FRAME], fields=["page"]), "gives fields or metadata that are not a dict"),  # type: ignore[arg-type]
        (Contents([Frame((3, 4), "u1", FRAME.read, file=1)]), "says that image 0 is from file 1, of 1"),
        (Contents([Frame((3.0, 4), "u1", FRAME.read)]), "TypeError: 'float' object cannot be"),  # type: ignore[arg-type]
    ],
)
def test_what_no_reader_may_give_is_left_out_with_the_names_of_file_and_reader(
    db: og.Workspace, pages: tuple[Pages, Path], given: Any, message: str
) -> None:
    reader, folder = pages
    reader.open = lambda files: given  # type: ignore[method-assign]
    ((id_, reason),) = db.images.add(folder, on_error="skip", progress=False).errors
    assert (id_, len(db.images)) == ("a.doc", 0)
    assert reason.startswith(str(folder / "a.doc"))
    assert "its reader 'pages'" in reason
    assert message in reason


def test_a_series_that_is_no_text_leaves_out_its_file(db: og.Workspace, pages: tuple[Pages, Path]) -> None:
    reader, folder = pages
    reader.series = lambda file: 7  # type: ignore[assignment, method-assign, return-value]
    report = db.images.add(folder, on_error="skip", progress=False)
    assert [reason.rpartition(": ")[2] for _, reason in report.errors] == [
        "its reader 'pages' gives 7 as its series, not a text or None"
    ]
    with pytest.raises(UnreadableImageError, match="gives 7 as its series"):
        look(folder)


def test_what_is_found_is_shown_by_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert repr(look("IM1.7")) == (
        "{'scan-7': <IM1.7, read by 'slit': Volume of 1 slice, fields depth (float), operator (string)>}"
    )
    with pytest.raises(UnknownNameError, match=r"no file or series 'scan7'\. Did you mean 'scan-7'\?"):
        look("IM1.7")["scan7"]
