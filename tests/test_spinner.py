"""What is waited for is said after a second, where somebody looks."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

pytestmark = pytest.mark.starts_engine

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


def test_a_log_file_has_none_of_it() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, "2"],
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if name != "ODIN_PROGRESS"},
    )
    assert (ran.stdout, ran.stderr) == ("", "")
