"""One image that is to be stored, before it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class Entry:
    """An image by file or by pixels; one of the two is given."""

    id: str
    path: Path | None = None
    pixels: NDArray[Any] | Any = None
    label: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
