"""Processes of their own, forked from one that has imported what they need and has nothing open."""

from __future__ import annotations

import atexit
import multiprocessing.process
import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self, TextIO

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["tests.crash.jobs", "odin_graph.cli.app", "odin_graph.example", "odin_graph.server", "uvicorn"]
)


class Program:
    """A Python program, as `subprocess.Popen` would start it with pipes of text, without what importing takes.

    Args:
        words: What follows ``python``: ``-m`` and a module, ``-c`` and code, or a file; then its arguments.
        env: Its environment, by default ours.
        cwd: Its working directory, by default ours.
    """

    def __init__(
        self, words: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self.args = [str(word) for word in words]
        (theirs_in, ours_in), (ours_out, theirs_out), (ours_err, theirs_err) = (
            multiprocessing.Pipe(duplex=False) for _ in range(3)
        )
        theirs = theirs_in, theirs_out, theirs_err
        environment, folder = dict(os.environ if env is None else env), str(cwd or Path.cwd())
        self._process = CONTEXT.Process(target=_run, args=(self.args, environment, folder, theirs))
        self._process.start()
        multiprocessing.process._children.discard(self._process)  # type: ignore[attr-defined] - our end waits for none
        self.stdin = _text(ours_in, "w")
        self.stdout, self.stderr = _text(ours_out, "r"), _text(ours_err, "r")
        for pipe in theirs:
            pipe.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        with suppress(BrokenPipeError):
            self.stdin.close()
        said: list[str] = []
        reading = threading.Thread(target=lambda: said.append(self.stderr.read()), daemon=True)
        reading.start()
        late = threading.Timer(timeout, self.kill) if timeout is not None else None
        if late is not None:
            late.start()
        out = self.stdout.read()
        reading.join()
        self._process.join()
        if late is not None:
            late.cancel()
        return out, said[0]

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        self._process.join()

    def __del__(self) -> None:
        self._close()

    def _close(self) -> None:
        with suppress(BrokenPipeError):
            self.stdin.close()
        self.stdout.close()
        self.stderr.close()


def run(
    words: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a `Program` to its end."""
    with Program(words, env=env, cwd=cwd) as process:
        out, err = process.communicate(timeout)
        assert process.returncode is not None
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _text(pipe: Connection, mode: str) -> TextIO:
    """The end of a pipe as a file, line by line."""
    with pipe:
        return os.fdopen(os.dup(pipe.fileno()), mode, buffering=1)


def _run(words: list[str], environment: dict[str, str], folder: str, pipes: Sequence[Connection]) -> None:
    """In the forked process: what Python does with its command line."""
    for number, pipe in enumerate(pipes):
        os.dup2(pipe.fileno(), number)
        pipe.close()
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", buffering=1, closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    try:
        _main(words)
    finally:  # as an interpreter ends, which a forked one does not
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()


def _main(words: list[str]) -> None:
    match words:
        case ["-m", module, *arguments]:
            sys.argv = [module, *arguments]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case ["-c", code, *arguments]:
            sys.argv = ["-c", *arguments]
            names: dict[str, Any] = {"__name__": "__main__"}
            exec(code, names)
        case [file, *arguments]:
            sys.argv = [file, *arguments]
            sys.path.insert(0, str(Path(file).resolve().parent))
            runpy.run_path(file, run_name="__main__")
