"""Fields of things that are calculated when a query reads them: ``F("params.lr")``, ``F("results.f1")``.

A name begins with that of a registered source of such fields, and a dot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import pyarrow as pa

from odin_graph.columns.floats import canonical
from odin_graph.graph.moment import Moment
from odin_graph.registry import Registry

if TYPE_CHECKING:
    from odin_graph.stores import Stores


class ComputedFields(Protocol):
    """A source of fields."""

    kind: str
    """The label of the things that have them."""

    def types(self, stores: Stores, at: Moment, /) -> Mapping[str, str]:
        """Every field there is, by its name without the source's, with its type (`nodes.ValueType`)."""

    def values(self, stores: Stores, at: Moment, name: str, ids: Sequence[str], /) -> Sequence[Any]:
        """The values of one field, one a thing; None where it has none."""


COMPUTED: Final = Registry[ComputedFields](kind="source of fields", group="odin_graph.computed_fields")


def source_of(kind: str, name: str) -> ComputedFields | None:
    """The source that a name begins with, if there is one for the kind."""
    first, dot, _ = name.partition(".")
    if not dot or first not in COMPUTED:
        return None
    source = COMPUTED.get(first)
    return source if source.kind == kind else None


def types_of(stores: Stores, at: Moment, kind: str) -> dict[str, str]:
    """Every computed field of a kind with its type; for messages, since it asks every source."""
    found: dict[str, str] = {}
    for first in COMPUTED:
        source = COMPUTED.get(first)
        if source.kind == kind:
            found |= {f"{first}.{name}": type_ for name, type_ in source.types(stores, at).items()}
    return found


def values_of(stores: Stores, at: Moment, kind: str, name: str, ids: Sequence[str]) -> pa.Array:
    """The values of a computed field, one a thing."""
    source = source_of(kind, name)
    assert source is not None, "checked when the step was bound"
    return canonical(pa.array(source.values(stores, at, name.partition(".")[2], ids)))
