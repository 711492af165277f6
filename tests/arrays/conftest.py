"""Where a test's store is, and the way past it: a folder here, and a bucket in `test_in_s3.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import Phase, settings

from odin_graph.testing import segments, units


class Past(Protocol):
    """Reads and changes what is stored without the store."""

    def names(self, address: str) -> list[str]: ...
    def get(self, address: str) -> bytes: ...
    def put(self, address: str, data: bytes) -> None: ...
    def delete(self, address: str) -> None: ...


class Folder:
    """Of a local folder."""

    def names(self, address: str) -> list[str]:
        found = Path(address)
        return [str(file) for file in found.rglob("*") if file.is_file()] if found.is_dir() else [address]

    def get(self, address: str) -> bytes:
        return Path(address).read_bytes()

    def put(self, address: str, data: bytes) -> None:
        Path(address).parent.mkdir(parents=True, exist_ok=True)
        Path(address).write_bytes(data)

    def delete(self, address: str) -> None:
        Path(address).unlink()


@pytest.fixture
def root(tmp_path: Path) -> str:
    """Of a store."""
    return str(tmp_path / "arrays")


@pytest.fixture
def past() -> Past:
    """The way past it."""
    return Folder()


@pytest.fixture
def unshrunk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A fault is found, however many cases it takes, and nobody reads which is the smallest of it."""
    for kit in (segments, units):
        monkeypatch.setattr(kit, "EXAMPLES", 200)
    before = settings.get_current_profile_name()
    settings.register_profile("unshrunk", settings(), phases=[Phase.generate])
    settings.load_profile("unshrunk")
    yield
    settings.load_profile(before)
