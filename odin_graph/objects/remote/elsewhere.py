"""What is asked of a workspace that is served elsewhere, and does not travel."""

from __future__ import annotations

from typing import Any, ClassVar

from odin_graph.errors import RemoteError


class Elsewhere:
    """Says of each name that only its counterpart beside the workspace has that it does not travel."""

    _beside: ClassVar[frozenset[str]] = frozenset()
    """The names of the counterpart."""

    def __getattr__(self, name: str) -> Any:
        """Raises `RemoteError` for what there is beside the workspace."""
        if not name.startswith("_") and name in self._beside:
            if name in vars(self).get("fields", ()):
                raise RemoteError(
                    f"{name} came with the other fields, as they were: write [{name!r}] instead of .{name}."
                )
            raise beside_alone(name)
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")


def beside_alone(name: str) -> RemoteError:
    """What does not travel."""
    return RemoteError(
        f"{name} runs beside the workspace: it stores, or takes code or models of yours, and over HTTP queries, their "
        "answers and pixels travel. On its machine, og.connect(folder) opens the workspace itself."
    )
