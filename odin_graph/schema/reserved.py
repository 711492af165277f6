"""The names that are ours on a kind of node, which its metadata cannot have."""

from __future__ import annotations

from odin_graph.errors import UnknownNameError
from odin_graph.schema.kinds import DESCRIBED
from odin_graph.schema.metadata.names import check
from odin_graph.schema.nodes import stored_properties


def reserved(kind: str) -> tuple[str, ...]:
    """The names that are ours on a kind of node, sorted.

    Raises:
        UnknownNameError: The kind takes no metadata.
    """
    if kind not in DESCRIBED:
        raise UnknownNameError.of("kind that takes metadata", kind, DESCRIBED)
    return stored_properties(kind)


def check_name(kind: str, name: str) -> None:
    """Refuse a name that metadata of a kind may not have; see `odin_graph.schema.metadata.names.check`.

    Raises:
        MetadataError: The name is ours, or breaks the rule.
        UnknownNameError: The kind takes no metadata.
    """
    check(kind, name, reserved(kind))
