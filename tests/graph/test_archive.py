"""The archive of the engine's classes: made once, used by every later start, and never in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from odin_graph.graph import Graph, open_embedded
from odin_graph.graph.archive import archive_of, use
from odin_graph.graph.keeper import JVM

pytestmark = pytest.mark.starts_engine


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it would be, for a user who has none."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ODIN_ENGINE_ARCHIVE", raising=False)
    found = archive_of(JVM)
    assert found is not None
    assert found.is_relative_to(tmp_path)
    return found


def test_an_archive_is_of_one_java_and_its_options(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert archive_of([*JVM, "-Xss2m"]) != archive
    assert use(archive) == []
    monkeypatch.setenv("ODIN_ENGINE_ARCHIVE", "0")
    assert archive_of(JVM) is None


def test_a_damaged_archive_is_done_without(archive: Path, tmp_path: Path) -> None:
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"no archive" * 1000)
    graph = Graph(*open_embedded(tmp_path / "engine"))
    assert graph.read("RETURN 1 AS one") == [{"one": 1}]
    graph.close()


def test_what_was_made_is_used_and_those_of_other_environments_in_use_stay(archive: Path, tmp_path: Path) -> None:
    archive.parent.mkdir(parents=True)
    others = [archive.with_name(f"{name}.aot") for name in ("used", "a", "b", "c")]
    for age, other in enumerate(reversed(others)):
        for file in (other, other.with_suffix(".log")):
            file.touch()
            os.utime(file, (age, age))
    os.utime(others[0], (0, 0))
    assert use(others[0])  # an engine starts with it
    subprocess.run([sys.executable, "-m", "odin_graph.graph.rehearsal"], check=True, capture_output=True)
    kept = {archive, others[0], others[1]}
    assert set(archive.parent.glob("*.aot")) == kept
    assert {file.with_suffix(".aot") for file in archive.parent.glob("*.log")} <= kept  # the rest are made again
    assert {file.suffix for file in archive.parent.iterdir()} == {".aot", ".log", ".lock"}
    graph = Graph(*open_embedded(tmp_path / "engine"))
    assert graph.read("RETURN 1 AS one") == [{"one": 1}]
    maps = Path(f"/proc/{graph.endpoint.pid}/maps")
    if maps.exists():
        assert str(archive) in maps.read_text()
    graph.close()
