"""What is looked at in a user's Cypher before the engine sees it."""

from __future__ import annotations

import re
from typing import Final

from odin_graph.errors import ReadOnlyError

_QUIET: Final = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|`(?:``|[^`])*`|/\*.*?\*/|//[^\n]*", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\u+([0-9a-fA-F]{4})")
_LOAD_CSV: Final = re.compile(r"\bLOAD\s+CSV\b", re.IGNORECASE)


def refuse_files(cypher: str) -> None:
    """Refuse LOAD CSV, which reads files of the server and which Neo4j's READ mode lets through.

    Raises:
        ReadOnlyError: The statement has it outside of strings, names and comments.
    """
    # Neo4j reads \\uXXXX as its character before anything else, so it could spell the words.
    spelled = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), cypher)
    if _LOAD_CSV.search(_QUIET.sub(" ", cypher)) or _LOAD_CSV.search(_QUIET.sub(" ", spelled)):
        raise ReadOnlyError(
            "LOAD CSV reads files of the server, which reading through db.cypher may not: use write=True."
        )
