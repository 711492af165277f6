"""Small facts in the cache: known at once, written now and then, shared by processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from odin_graph.query.units import remembered


def test_what_is_written_is_known_at_once_and_the_file_follows(tmp_path: Path) -> None:
    file = tmp_path / "facts" / "one.json"
    assert remembered.read(file) == {}
    remembered.write(file, {"a": 1})
    assert json.loads(file.read_text()) == {"a": 1}
    remembered.write(file, {"a": 2})
    assert remembered.read(file) == {"a": 2}
    assert json.loads(file.read_text()) == {"a": 1}  # within a second
    remembered._put_all()
    assert json.loads(file.read_text()) == {"a": 2}
    assert [one.name for one in file.parent.iterdir()] == ["one.json"]


def test_another_process_is_heard(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    remembered.write(file, {"a": 1})
    other = tmp_path / "other"
    other.write_text('{"a": 5}')
    os.utime(other, ns=(1, 1))
    other.replace(file)
    assert remembered.read(file) == {"a": 5}


def test_what_is_broken_or_gone_is_nothing(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "one.json"
    remembered.write(file, {"a": 1})
    for broken in ("{", "[]", ""):
        file.write_text(broken)
        assert remembered.read(file) == {}
    remembered.write(file, {"a": 2})
    shutil.rmtree(file.parent)
    remembered._put_all()  # a workspace that was removed does not come back
    assert not file.parent.exists()


def test_what_cannot_be_written_is_known_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "no folder").write_text("")
    file = tmp_path / "no folder" / "one.json"
    remembered.write(file, {"a": 1})
    assert remembered.read(file) == {"a": 1}


def test_the_end_of_a_process_writes_what_it_knows(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    script = f"""
from pathlib import Path
from odin_graph.query.units.remembered import write
for number in range(100):
    write(Path({str(file)!r}), {{"a": number}})
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert json.loads(file.read_text()) == {"a": 99}
