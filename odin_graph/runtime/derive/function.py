"""A user's own function as an image operation that nobody registered: recorded by its name and its source's digest."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.images.batch import check_mask
from odin_graph.errors import DataError, ModelError
from odin_graph.runtime.models.source import capture


@dataclass(frozen=True, slots=True)
class Function:
    """Applies a function from pixels (h, w, bands) to pixels (h', w') or (h', w', bands')."""

    call: Callable[[NDArray[Any]], Any]

    def __call__(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """One image; what is handed in cannot be changed.

        Raises:
            DataError: What comes back is no image.
        """
        shared = pixels.view()
        shared.flags.writeable = False
        result = self.call(shared)
        if not isinstance(result, np.ndarray) or result.ndim not in (2, 3):
            kind = f"an array of shape {result.shape}" if isinstance(result, np.ndarray) else type(result).__name__
            raise DataError(
                f"{name_of_function(self.call)} gave {kind}, which is not an image: return (h, w) or (h, w, bands), "
                "or ask for values with query.map(...)."
            )
        check_mask(f"what {name_of_function(self.call)} gave", result)
        return result[:, :, np.newaxis] if result.ndim == 2 else result

    def parameters(self) -> dict[str, str]:
        """What lineage records: the function's name, and the SHA-256 of its source with all that it uses."""
        return {"function": name_of_function(self.call), "source": source_digest(self.call)}


def name_of_function(function: Callable[..., Any]) -> str:
    """Module and name."""
    kind = type(function)
    name = getattr(function, "__qualname__", kind.__qualname__)
    return f"{getattr(function, '__module__', None) or kind.__module__}.{name}"


def source_digest(function: Callable[..., Any]) -> str:
    """SHA-256, hexadecimal, of a function's source: with what it uses of its own module where that can be captured.

    A lambda or a function within a function is known by its own text alone: what it closes over is not in it.

    Raises:
        DataError: It has no source that can be read, such as a built-in function's.
    """
    try:
        text = capture(function)
    except (ModelError, AttributeError, KeyError, TypeError):
        try:
            text = inspect.getsource(function)
        except (OSError, TypeError) as error:
            raise DataError(
                f"The source of {name_of_function(function)} cannot be read, so what it did cannot be recorded: "
                "define it in a file or a notebook, or register it as an image operation."
            ) from error
    return hashlib.sha256(text.encode()).hexdigest()
