"""``db.storage``, as users hold it: a budget in words, pins, and a report that tells what is on the disk."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import odin_graph as og
from odin_graph import example
from odin_graph.catalog.activations.storage import human_size, make_room
from odin_graph.catalog.activations.usage import record
from odin_graph.catalog.records.segments import segments_of
from odin_graph.objects.collections.storage import size_of
from odin_graph.objects.collections.storage_report import StorageReport
from tests.catalog.test_usage import forget
from tests.stored import filled
from tests.workspaces import connect


@pytest.fixture
def db(db: og.Workspace) -> og.Workspace:
    """With units of a layer in two codecs, and its embeddings, which were asked for once more."""
    forget(db._stores)
    filled(db, example.build, experiments=1)
    layer, test = db.experiment("small-cnn/1").layer("features"), db.images("retina-test")
    layer.materialize(test[:100])
    layer.materialize(test, codec="f32")
    for _ in range(2):
        layer.embeddings(test)
    return db


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("20 GB", 20 * 10**9),
        ("500 MiB", 500 * 2**20),
        ("1.5 TiB", 3 * 2**39),
        (" 7kB ", 7_000),
        ("7 KB", 7_000),
        ("12 B", 12),
        ("0.1 GB", 10**8),
        (4096, 4096),
        (np.int64(5), 5),
        (0, 0),
    ],
)
def test_sizes(said: str | int, expected: int) -> None:
    assert size_of(said) == expected


@pytest.mark.parametrize(
    "wrong", ["20", "20 gb", "GB", "-3 GB", "1e3 GB", "20 GB!", "20 Gb", "1_0 GB", "", 2.5, True, None, b"1 GB", [1]]
)
def test_what_is_no_size(wrong: object) -> None:
    with pytest.raises(og.QueryError) as caught:
        size_of(wrong)  # type: ignore[arg-type]
    assert str(caught.value) == (
        f'{wrong!r} is not a size: give "20 GB" or "500 MiB" (kB, MB, GB, TB are powers of 1000, KiB, MiB, GiB, TiB of '
        "1024), a whole number of bytes, or None."
    )


def test_the_budget_is_kept(db: og.Workspace) -> None:
    assert db.storage.budget is None
    assert repr(db.storage) == "Storage(budget=None)"
    db.storage.budget = "20 GB"
    with connect(db._stores.address) as again:
        assert again.storage.budget == 20 * 10**9
    assert repr(db.storage) == "Storage(budget='20.0 GB')"
    for wrong in (-1, "9" * 400 + " PB"):
        with pytest.raises(og.QueryError, match="makes no sense: give 0 or more"):
            db.storage.budget = wrong
    db.storage.budget = None
    assert db.storage.budget is None


def test_the_report_tells_what_is_on_the_disk(db: og.Workspace) -> None:
    report = db.storage.report()
    assert len(report) == 3
    by = {(one.pooling, one.codec): one for one in report}
    codes, exact, rows = by["units", "u8"], by["units", "f32"], by["mean", "float32"]
    assert [one.images for one in (codes, exact, rows)] == [100, 120, 120]
    root = db._stores.arrays.raw.local
    assert root is not None
    for one in report:
        part = "rows" if one is rows else "units"
        held = [root / info.uri for info in segments_of(db._stores, f"ActivationSet/{one.id}/{part}")]
        files = [file for folder in held for file in folder.rglob("*") if file.is_file()]
        assert one.bytes == sum(file.stat().st_size for file in files) > 0
        assert one.seconds > 0
        assert one.checkpoints == (db.experiment("small-cnn/1").layer("features").checkpoint,)
    assert report.bytes == sum(one.bytes for one in report)
    assert (rows.usage.asked, codes.usage.asked) == (1, 0), "asked once it was there"
    assert 0 < rows.usage.saved <= rows.seconds * 1.001
    assert report[2] is rows, "what was asked comes last"
    frame = report.to_pandas()
    assert frame["id"].tolist() == [one.id for one in report] == report.to_arrow().column("id").to_pylist()
    assert frame["bytes"].tolist() == [one.bytes for one in report]
    assert frame["last_used"].isna().tolist() == [True, True, False]
    assert abs(frame["last_used"][2].to_pydatetime() - datetime.now(UTC)) < timedelta(minutes=3)
    assert frame["checkpoints"][0].tolist() == list(codes.checkpoints)


def test_the_report_is_read(db: og.Workspace) -> None:
    held = db.activations[db.storage.report()[2].id]
    db.storage.pin(held)
    record(db._stores, held.id, 3.0, at=datetime(2126, 3, 1, 12, 5, tzinfo=UTC))
    lines = str(db.storage.report()).splitlines()
    head = "layer pooling codec images size last used (UTC) asked pinned to compute again"
    assert lines[0].split() == head.split()
    assert len(lines) == 5
    assert lines[1].startswith(f"features of {held.checkpoint}  units")
    assert "never" in lines[1]
    assert "2126-03-01 12:05      2  pinned" in lines[3]
    assert lines[3].endswith(" s")
    total = human_size(db.storage.report().bytes)
    assert lines[4] == f'3 sets take {total}; there is no budget, db.storage.budget = "20 GB" sets one.'
    db.storage.budget = "20 GB"
    assert str(db.storage.report()).endswith(f"3 sets take {total} of a budget of 20.0 GB.")
    page = db.storage.report()._repr_html_()
    assert page.count("<tr>") == 4
    assert "<td>pinned</td>" in page
    assert f"<p>3 sets take {total} of a budget of 20.0 GB.</p>" in page
    db.storage.unpin(held.id)
    assert not any(one.pinned for one in db.storage.report())


def test_a_budget_that_is_too_small_is_told_and_drops_nothing_by_itself(db: og.Workspace) -> None:
    db.storage.budget = 1000
    report = db.storage.report()
    assert len(report) == 3
    assert report.over == report.bytes - 1000
    assert str(report).endswith(
        f"3 sets take {human_size(report.bytes)}, over the budget of 1.0 kB by {human_size(report.over)}: the first of "
        "these go when room is needed."
    )
    db.storage.pin(report[2])
    assert not make_room(db._stores, 1), "what is pinned takes more than the budget"
    assert len(db.storage.report()) == 3
    db.storage.budget = report[2].bytes
    assert make_room(db._stores, 0)
    assert [one.id for one in db.storage.report()] == [report[2].id]
    assert db.doctor(deep=True).sound
    layer, test = db.experiment("small-cnn/1").layer("features"), db.images("retina-test")
    said = layer.units[[3, 17]].values(test)  # what went is computed again, and there is no room to keep it
    with pytest.raises(og.SpaceError, match=r"which the budget of .* does not leave beside what is pinned"):
        layer.materialize(test)
    assert [one.id for one in db.storage.report()] == [report[2].id]
    db.storage.budget = None
    layer.materialize(test, codec="f32")
    np.testing.assert_array_equal(layer.units[[3, 17]].values(test), said)
    assert len(db.storage.report()) == 2


def test_names_that_there_are_not(db: og.Workspace) -> None:
    held = db.storage.report()[2].id
    with pytest.raises(og.UnknownNameError, match=f"There is no activation set '{held}s'. Did you mean '{held}'?"):
        db.storage.pin(f"{held}s")
    with pytest.raises(og.QueryError, match="3 is neither an activation set nor its id"):
        db.storage.unpin(3)


def test_a_long_report_says_what_it_leaves_out(db: og.Workspace) -> None:
    one = db.storage.report()[0]
    report = StorageReport(tuple(replace(one, id=str(n), checkpoints=("a", "b", "c")) for n in range(70)), None)
    assert "and 10 more sets: .to_pandas() has all of them" in str(report)
    assert "and 10 more sets" in report._repr_html_()
    assert "features of a and 2 more" in str(report)
    assert len(report.to_pandas()) == 70
    assert str(StorageReport((), 5)) == "0 sets take 0 B of a budget of 5 B."
    assert "<table>" not in StorageReport((), 5)._repr_html_()
