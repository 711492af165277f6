"""What was asked of a set: counted, halved by the week, the same in any order, and never an error."""

from __future__ import annotations

import itertools
import math
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odin_graph import facts
from odin_graph.catalog.activations.usage import Usage, record, usage_of
from odin_graph.stores import Stores

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.fixture
def stores(stores: Stores) -> Stores:
    """Of which nothing was asked."""
    forget(stores)
    return stores


def forget(stores: Stores) -> None:
    """The workspaces of an embedded engine share a folder, and what it says of sets of the same id."""
    shutil.rmtree(stores.cache / "usage", ignore_errors=True)
    for file in [file for file in facts._known if file.parent == stores.cache / "usage"]:
        del facts._known[file]


def test_questions_are_counted(stores: Stores) -> None:
    assert usage_of(stores, "nobody/asked") == Usage(0, None, 0.0)
    for day, saved in ((0, 4.0), (7, 2.0), (14, 1.0)):
        record(stores, "units/a", saved, at=NOON + timedelta(days=day))
    said = usage_of(stores, "units/a")
    assert (said.asked, said.last, said.saved) == (3, NOON + 2 * WEEK, 7.0)
    assert said.decayed(NOON + 2 * WEEK) == pytest.approx(4 / 4 + 2 / 2 + 1)
    assert said.decayed(NOON + 3 * WEEK) == pytest.approx(1.5)
    assert usage_of(stores, "units/b").asked == 0
    record(stores, "units/b", 1.0)
    assert abs(datetime.now(UTC) - (usage_of(stores, "units/b").last or NOON)) < timedelta(minutes=1)


@given(st.lists(st.tuples(st.integers(0, 60 * 86_400), st.floats(0, 1e6)), min_size=1, max_size=5))
def test_the_sum_is_the_same_in_any_order(asked: list[tuple[int, float]]) -> None:
    end = NOON + timedelta(days=60)
    expected = math.fsum(saved * 0.5 ** ((60 * 86_400 - second) / WEEK.total_seconds()) for second, saved in asked)
    for order in itertools.islice(itertools.permutations(asked), 10):
        said = Usage()
        for second, saved in order:
            said += Usage.once(saved, NOON + timedelta(seconds=second))
        assert said.decayed(end) == pytest.approx(expected)
        assert said.last == NOON + timedelta(seconds=max(second for second, _ in asked))


@pytest.mark.parametrize("saved", [-1.0, math.nan, math.inf, -math.inf])
def test_what_makes_no_sense_saves_nothing(stores: Stores, saved: float) -> None:
    record(stores, "units/odd", saved, at=NOON)
    said = usage_of(stores, "units/odd")
    assert (said.last, said.saved, said.decayed()) == (NOON, 0.0, 0.0)


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"asked": "x"}',
        b'{"asked": 1, "last": 1e300, "saved": 1, "lasting": 1}',
        b'{"asked": 1, "last": 0, "saved": NaN, "lasting": 1}',
        b'{"asked": 1, "last": null, "saved": 1, "lasting": 1}',
    ],
)
def test_a_broken_file_is_as_none(stores: Stores, broken: bytes) -> None:
    record(stores, "units/broken", 1.0)
    (file,) = (stores.cache / "usage").glob("*.json")
    file.write_bytes(broken)
    assert usage_of(stores, "units/broken") == Usage()
    record(stores, "units/broken", 2.0)
    assert usage_of(stores, "units/broken").saved == 2.0


def test_another_process_sees_it(stores: Stores) -> None:
    program = (
        "import sys, types, pathlib\n"
        "from odin_graph.catalog.activations.usage import record\n"
        "for _ in range(3):\n"
        "    record(types.SimpleNamespace(cache=pathlib.Path(sys.argv[1])), 'units/a', 1.5)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(stores.cache)], check=True, timeout=120)
    assert (usage_of(stores, "units/a").asked, usage_of(stores, "units/a").saved) == (3, 4.5)
    record(stores, "units/a", 1.0)
    assert usage_of(stores, "units/a").saved == 5.5


def test_a_cache_that_cannot_be_written_is_no_error(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(facts.tempfile, "mkstemp", full)
    record(stores, "units/full", 1.0)
    assert usage_of(stores, "units/full").saved == 1.0, "known here all the same"
    assert not (stores.cache / "usage").exists() or not list((stores.cache / "usage").iterdir())
