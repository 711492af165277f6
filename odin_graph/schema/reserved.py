"""The names that are ours on a kind of node, which its metadata cannot have."""

from __future__ import annotations

from odin_graph.errors import MetadataError, UnknownNameError
from odin_graph.schema.added_kinds import BASE
from odin_graph.schema.kinds import DESCRIBED, KINDS, Kind
from odin_graph.schema.metadata.names import check
from odin_graph.schema.nodes import stored_properties


def reserved(kind: str | Kind) -> tuple[str, ...]:
    """The names that are ours, or a package's, on a kind of node, sorted.

    Args:
        kind: The label of a kind of ours, or any kind.

    Raises:
        UnknownNameError: The kind takes no metadata.
    """
    if isinstance(kind, Kind) and kind.label not in KINDS:
        if not kind.metadata:
            raise MetadataError(
                f"A {kind.word} takes no metadata. Its fields are: {', '.join((*kind.own, *kind.links))}."
            )
        return tuple(sorted({*BASE, *kind.own, *kind.links}))
    kind = kind.label if isinstance(kind, Kind) else kind
    if kind not in DESCRIBED:
        raise UnknownNameError.of("kind that takes metadata", kind, DESCRIBED)
    return stored_properties(kind)


def check_name(kind: str | Kind, name: str) -> None:
    """Refuse a name that metadata of a kind may not have; see `odin_graph.schema.metadata.names.check`.

    Raises:
        MetadataError: The name is ours, or breaks the rule.
        UnknownNameError: The kind takes no metadata.
    """
    check(kind.label if isinstance(kind, Kind) else kind, name, reserved(kind))
