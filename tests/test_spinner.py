"""What is waited for is said after a second, where somebody looks."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from select import select

import pytest

pytestmark = pytest.mark.starts_engine

SECONDS = 60
"""After which nothing is shown any more."""
PROGRAM = """
import sys, time
from odin_graph.spinner import spinner
with spinner("opening a.odin"):
    time.sleep(float(sys.argv[1]))
"""


def shown(seconds: float, **environment: str) -> str:
    """What a terminal shows."""
    ours, theirs = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if name != "ODIN_PROGRESS"}
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(seconds)],
        stderr=theirs,
        check=True,
        env={**inherited, "TERM": "xterm", **environment},
    )
    os.write(theirs, b".")  # so that there is something to read
    said = os.read(ours, 1 << 16).decode()
    os.close(ours)
    os.close(theirs)
    return said


def test_it_turns_after_a_second() -> None:
    assert "opening a.odin" in shown(4.0)


@pytest.mark.parametrize(("seconds", "environment"), [(0.1, {}), (2.0, {"ODIN_PROGRESS": "0"})])
def test_it_is_silent(seconds: float, environment: dict[str, str]) -> None:
    """Where it was quick, and where nobody is to be told."""
    assert shown(seconds, **environment) == "."


CONNECT = """
import sys
from odin_graph import opening
started = opening.open_embedded
def late(folder):
    sys.stdin.readline()
    return started(folder)
opening.open_embedded = late
opening.connect(sys.argv[1]).close()
"""


def test_connect_shows_it_while_the_engine_starts(tmp_path: Path) -> None:
    """The start is kept waiting until it was seen."""
    ours, theirs = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if name != "ODIN_PROGRESS"}
    with subprocess.Popen(
        [sys.executable, "-c", CONNECT, str(tmp_path / "a.odin")],
        stdin=subprocess.PIPE,
        stderr=theirs,
        env={**inherited, "TERM": "xterm"},
    ) as process:
        os.close(theirs)
        said = ""
        while "opening" not in said and select([ours], [], [], SECONDS)[0]:
            said += _read(ours)
        assert process.stdin is not None
        process.stdin.close()  # now the engine may start
        while part := _read(ours):
            said += part
    os.close(ours)
    assert process.returncode == 0, said
    assert "opening" in said


def _read(terminal: int) -> str:
    """Nothing where the other end is closed."""
    try:
        return os.read(terminal, 1 << 16).decode(errors="replace")
    except OSError:
        return ""


def test_a_log_file_has_none_of_it() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, "2"],
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if name != "ODIN_PROGRESS"},
    )
    assert (ran.stdout, ran.stderr) == ("", "")
