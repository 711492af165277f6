"""Small facts in the cache: known at once, written now and then, shared by processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from odin_graph import facts
from odin_graph.facts import Change


def to(value: dict[str, int]) -> Change:
    """The change that forgets what was there."""
    return lambda _: value


def test_what_is_written_is_known_at_once_and_the_file_follows(tmp_path: Path) -> None:
    file = tmp_path / "facts" / "one.json"
    assert facts.read(file) == {}
    facts.change(file, to({"a": 1}))
    assert json.loads(file.read_text()) == {"a": 1}
    facts.change(file, to({"a": 2}))
    assert facts.read(file) == {"a": 2}
    assert json.loads(file.read_text()) == {"a": 1}  # within a second
    facts._write_all()
    assert json.loads(file.read_text()) == {"a": 2}
    assert [one.name for one in file.parent.iterdir()] == ["one.json"]


def test_another_process_is_heard(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    facts.change(file, to({"a": 1}))
    other = tmp_path / "other"
    other.write_text('{"a": 5}')
    os.utime(other, ns=(1, 1))
    other.replace(file)
    assert facts.read(file) == {"a": 5}


def test_what_two_processes_write_is_in_the_file(tmp_path: Path) -> None:
    """Also what came here between two times that the file is written."""
    file = tmp_path / "one.json"
    for _ in range(3):
        facts.change(file, lambda held: {**held, "here": held.get("here", 0) + 1})
    file.with_name("other").write_text(json.dumps({"here": 1, "there": 7}))
    file.with_name("other").replace(file)
    assert facts.read(file) == {"here": 3, "there": 7}
    facts.change(file, lambda held: {**held, "here": held["here"] + 1})
    facts._write_all()
    assert json.loads(file.read_text()) == facts.read(file) == {"here": 4, "there": 7}


def test_what_is_broken_or_gone_is_nothing(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "one.json"
    facts.change(file, to({"a": 1}))
    for broken in ("{", "[]", ""):
        file.write_text(broken)
        assert facts.read(file) == {}
    facts.change(file, to({"a": 2}))
    shutil.rmtree(file.parent)
    facts._write_all()  # a workspace that was removed does not come back
    assert not file.parent.exists()


def test_what_cannot_be_written_is_known_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "no folder").write_text("")
    file = tmp_path / "no folder" / "one.json"
    facts.change(file, to({"a": 1}))
    assert facts.read(file) == {"a": 1}


def test_the_end_of_a_process_writes_what_it_knows(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    script = f"""
from pathlib import Path
from odin_graph.facts import change
for number in range(100):
    change(Path({str(file)!r}), lambda held: {{"a": held.get("a", 0) + 1}})
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert json.loads(file.read_text()) == {"a": 100}
