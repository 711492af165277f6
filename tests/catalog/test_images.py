"""Images in: whole or absent, the same once, conflicts by rule, metadata of one type a name."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from odin_graph.arrays import SegmentedArray
from odin_graph.catalog.images.batch import ImageBatch, image_digest
from odin_graph.catalog.images.images import add_images
from odin_graph.catalog.images.pixels import compact_pixels
from odin_graph.catalog.records.segments import segments_of
from odin_graph.errors import ConflictError, DataError, MetadataError, ShapeError
from odin_graph.stores import Stores


def pixels(n: int, *, seed: int = 0, shape: tuple[int, ...] = (5, 4, 3), dtype: str = "uint8") -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return list(generator.random((n, *shape)).astype(dtype))
    return list(generator.integers(0, np.iinfo(dtype).max, (n, *shape), dtype))


def batch(n: int, *, seed: int = 0, prefix: str = "i", **columns: Any) -> ImageBatch:
    return ImageBatch([f"{prefix}{number}" for number in range(n)], pixels(n, seed=seed), **columns)


def stored(stores: Stores, keys: Sequence[int]) -> list[np.ndarray]:
    return SegmentedArray(stores.arrays, segments_of(stores, "pixels")).read_list(np.asarray(keys, np.int64))


def test_images_come_back_as_they_went_in(stores: Stores) -> None:
    given = batch(20, labels=["cat", "dog"] * 10, paths=[f"in/{n}.png" for n in range(20)])
    report = add_images(stores, given)
    assert (report.added, report.skipped, report.revised) == (20, 0, 0)
    for image, held in zip(given.pixels, stored(stores, report.keys), strict=True):
        np.testing.assert_array_equal(held, image)
    (row,) = stores.graph.read(
        "MATCH (i:Image {id: 'i3'}) RETURN i.key AS key, i.label AS label, i.digest AS digest, i.path AS path, "
        "i.height AS height, i.width AS width, i.bands AS bands, i.dtype AS dtype"
    )
    assert row == {
        "key": report.keys[3],
        "label": "dog",
        "digest": image_digest(given.pixels[3]),
        "path": "in/3.png",
        "height": 5,
        "width": 4,
        "bands": 3,
        "dtype": "uint8",
    }


def test_any_mixture_of_shapes_and_dtypes_is_stored(stores: Stores) -> None:
    many = [
        *pixels(18),
        *pixels(3, shape=(2, 9, 1), dtype="uint16"),
        *pixels(2, shape=(7, 7, 5), dtype="float32"),
        *[np.arange(6, dtype=np.uint16).reshape(2, 3)],
    ]
    report = add_images(stores, ImageBatch([str(n) for n in range(len(many))], many))
    codecs = sorted((s.codec, s.dtype, s.rows) for s in segments_of(stores, "pixels"))
    assert [(codec, rows) for codec, _, rows in codecs] == [("dense", 18), ("ragged", 2), ("ragged", 4)]
    for image, held in zip(many, stored(stores, report.keys), strict=True):
        assert held.dtype == image.dtype
        np.testing.assert_array_equal(held, image if image.ndim == 3 else image[:, :, None])


def test_repeated_batch_is_the_same_images(stores: Stores) -> None:
    first = add_images(stores, batch(6))
    again = add_images(stores, batch(9))  # the first six of them are there
    assert (again.added, again.skipped) == (3, 6)
    np.testing.assert_array_equal(again.keys[:6], first.keys)
    assert stores.graph.read("MATCH (i:Image) RETURN count(i) AS n") == [{"n": 9}]


def test_other_pixels_under_an_id_are_refused_whole(stores: Stores) -> None:
    add_images(stores, batch(3))
    before = len(segments_of(stores, "pixels"))
    with pytest.raises(ConflictError) as caught:
        add_images(stores, ImageBatch(["new", "i1", "i2"], pixels(3, seed=7)))
    assert str(caught.value) == (
        "Stored already with other pixels: 'i1', 'i2'. Give the new images other ids, or say what to do: "
        'on_conflict="skip" keeps the old ones, "revise" stores the new ones as their next versions.'
    )
    assert stores.graph.read("MATCH (i:Image {id: 'new'}) RETURN i.id AS id") == []
    assert len(segments_of(stores, "pixels")) == before


def test_skip_keeps_the_old_image(stores: Stores) -> None:
    old = add_images(stores, batch(2))
    report = add_images(stores, batch(3, seed=7), "skip")
    assert (report.added, report.skipped) == (1, 2)
    np.testing.assert_array_equal(report.keys[:2], old.keys)
    np.testing.assert_array_equal(stored(stores, old.keys)[1], batch(2).pixels[1])


def test_revise_makes_versions_with_lineage(stores: Stores) -> None:
    first = add_images(stores, batch(1))
    second = add_images(stores, batch(1, seed=1), "revise")
    third = add_images(stores, batch(1, seed=2), "revise")
    assert (second.revised, third.revised) == (1, 1)
    assert add_images(stores, batch(1, seed=1), "revise").keys == second.keys, "the same pixels are a version already"
    assert add_images(stores, batch(1)).keys == first.keys
    rows = stores.graph.read("MATCH (a:Image)-[:REVISION_OF]->(b:Image) RETURN a.id AS a, b.id AS b ORDER BY a")
    assert rows == [{"a": "i0@2", "b": "i0"}, {"a": "i0@3", "b": "i0@2"}]
    np.testing.assert_array_equal(stored(stores, third.keys)[0], pixels(1, seed=2)[0])


def test_originals_are_kept_on_request(stores: Stores) -> None:
    report = add_images(stores, batch(3, originals=[b"\x89PNG one", None, b"three"]))
    (segment,) = segments_of(stores, "originals")
    held = SegmentedArray(stores.arrays, [segment]).read_list(report.keys[[2, 0]])
    assert [row.tobytes() for row in held] == [b"three", b"\x89PNG one"]


def test_metadata_widens_and_keeps_large_ints(stores: Stores) -> None:
    """The INT32 trap: an int first must not narrow what comes later."""
    add_images(stores, ImageBatch(["a"], pixels(1), metadata={"age": [1], "big": [2**40], "später": ["ü"]}))
    add_images(stores, ImageBatch(["b"], pixels(1, seed=1), metadata={"age": [1.5], "big": [2**40 + 1]}))
    add_images(stores, ImageBatch(["c"], pixels(1, seed=2), metadata={"age": [2], "big": [None]}))
    rows = stores.graph.read("MATCH (i:Image) RETURN i.age AS age, i.big AS big, i.`später` AS s ORDER BY i.id")
    assert [row["age"] for row in rows] == [1, 1.5, 2.0]
    assert [row["big"] for row in rows] == [2**40, 2**40 + 1, None]
    assert rows[0]["s"] == "ü"
    types = stores.graph.read("MATCH (f:Field) RETURN f.id AS id, f.type AS type ORDER BY id")
    assert types == [
        {"id": "Image.age", "type": "float"},
        {"id": "Image.big", "type": "int"},
        {"id": "Image.später", "type": "string"},
    ]


def test_a_type_that_clashes_is_refused_whole(stores: Stores) -> None:
    add_images(stores, ImageBatch(["a"], pixels(1), metadata={"age": [61]}))
    with pytest.raises(MetadataError, match=r"Image\.age is int, and a value of it is string"):
        add_images(stores, ImageBatch(["b"], pixels(1, seed=1), metadata={"age": ["old"], "eye": ["left"]}))
    assert stores.graph.read("MATCH (i:Image) RETURN count(i) AS n") == [{"n": 1}]
    assert stores.graph.read("MATCH (f:Field {id: 'Image.eye'}) RETURN f.id AS id") == []


def test_names_of_ours_are_refused(stores: Stores) -> None:
    with pytest.raises(MetadataError, match="'digest' is a property of ours"):
        add_images(stores, ImageBatch(["a"], pixels(1), metadata={"digest": ["x"]}))


@pytest.mark.parametrize(
    ("ids", "images", "error", "says"),
    [
        (["a", "a"], 2, DataError, "Two images of the batch have the id 'a'"),
        (["a@2"], 1, DataError, "The id 'a@2' reads as a version of 'a'"),
        ([""], 1, DataError, "'' is not an image id"),
        (["a"], 2, ShapeError, "1 ids, but 2 pixels"),
    ],
)
def test_a_batch_that_makes_no_sense_is_refused(ids: list[str], images: int, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        ImageBatch(ids, pixels(images))


def test_pixels_that_are_no_image_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"The pixels of 'a' have shape \(3,\)"):
        ImageBatch(["a"], [np.zeros(3, np.uint8)])
    with pytest.raises(ShapeError, match="The pixels of 'a' are complex128"):
        ImageBatch(["a"], [np.zeros((3, 3), complex)])


def test_digest_is_of_dtype_shape_and_pixels() -> None:
    image = np.arange(12, dtype=np.uint16).reshape(3, 4)
    same = [image, image[:, :, None], np.asfortranarray(image), image.astype(">u2")]
    assert len({image_digest(held) for held in same}) == 1
    other = [image.T.copy(), image.astype(np.uint8), image.reshape(4, 3), image + np.uint16(1)]
    assert len({image_digest(held) for held in [image, *other]}) == 5


def test_compaction_keeps_every_pixel(stores: Stores) -> None:
    reports = [add_images(stores, batch(17, seed=seed, prefix=f"{seed}-")) for seed in range(4)]
    assert len(segments_of(stores, "pixels")) == 4
    assert compact_pixels(stores) == 3
    (segment,) = segments_of(stores, "pixels")
    assert segment.rows == 68
    for seed, report in enumerate(reports):
        np.testing.assert_array_equal(np.stack(stored(stores, report.keys)), np.stack(pixels(17, seed=seed)))
    assert compact_pixels(stores) == 0


def test_writers_of_the_same_images_agree(stores: Stores) -> None:
    """Four threads add overlapping batches at once: each image is there once, and all are told the same key."""
    reports: dict[int, Any] = {}
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            reports[number] = add_images(stores, batch(40, metadata={"site": ["a"] * 40}))
        except BaseException as error:  # noqa: BLE001 - shown below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len({tuple(report.keys) for report in reports.values()}) == 1
    assert sum(report.added for report in reports.values()) == 40
    covered = np.concatenate([stores.arrays.keys(segment) for segment in segments_of(stores, "pixels")])
    assert sorted(covered) == sorted(reports[0].keys)
