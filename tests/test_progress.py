"""The bar shows where a person looks on, and is silent elsewhere; work that is interrupted ends it."""

from __future__ import annotations

import pytest

from odin_graph.progress import progress_bar


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes any stream for a terminal then
    monkeypatch.delenv("ODIN_PROGRESS", raising=False)
    monkeypatch.delenv("TTY_COMPATIBLE", raising=False)


def shown(capsys: pytest.CaptureFixture[str], *, show: bool = True) -> str:
    with progress_bar("add images", 40, show=show) as advance:
        advance(10)
        advance(30)
    out, err = capsys.readouterr()
    assert out == ""  # standard output is the user's own
    return err


def test_it_shows_in_a_terminal(terminal: None, capsys: pytest.CaptureFixture[str]) -> None:
    said = shown(capsys)
    assert "add images" in said
    assert "40/40" in said


def test_it_is_silent_in_a_log(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("FORCE_COLOR", "ODIN_PROGRESS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    assert shown(capsys) == ""


def test_it_is_silent_when_asked(
    terminal: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(capsys, show=False) == ""
    monkeypatch.setenv("ODIN_PROGRESS", "0")
    assert shown(capsys) == ""


def test_an_interruption_passes_through(terminal: None) -> None:
    def work() -> None:
        with progress_bar("add images", 40, show=True) as advance:
            advance(1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    with progress_bar("again", 1, show=True) as advance:  # rich allows one bar at a time: the first has ended
        advance(1)
