"""Free metadata: its names, its types, and its values on their way into the graph and back."""

from __future__ import annotations

from odin_graph.schema.metadata.conversion import asked_type, convert
from odin_graph.schema.metadata.names import PREFIX, suggest
from odin_graph.schema.metadata.plain import plain
from odin_graph.schema.metadata.recording import Run, forget_unused, list_types, record_types, unchanged
from odin_graph.schema.metadata.types import SCALARS, FieldType, classify, plain_type, type_of, widen
from odin_graph.schema.metadata.values import as_utc, decode, encode

__all__ = [
    "PREFIX",
    "SCALARS",
    "FieldType",
    "Run",
    "as_utc",
    "asked_type",
    "classify",
    "convert",
    "decode",
    "encode",
    "forget_unused",
    "list_types",
    "plain",
    "plain_type",
    "record_types",
    "suggest",
    "type_of",
    "unchanged",
    "widen",
]
