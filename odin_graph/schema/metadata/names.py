"""The names that metadata may have: properties in Cypher, columns in Arrow and attributes in Python at once."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Final

from odin_graph.errors import MetadataError

PREFIX: Final = "odin_"
"""Whatever we add later starts so."""

LONGEST: Final = 128

# One character joins two words: `Patient ID`, `eye-side`, `dicom.Modality`. No backtick, brace or quote ever passes.
_JOINT = re.compile("[ .-]")
_RULE = "letters, digits and underscores, in words joined by one space, hyphen or dot, the first character a letter"


def check(kind: str, name: str, ours: Collection[str]) -> None:
    """Refuse a name that metadata may not have.

    A name is letters, digits and underscores, in words joined by one space, hyphen or dot; it begins with a letter
    (of any script), ends in no underscore, and has 128 characters at most.

    Args:
        kind: What carries it.
        name: The name.
        ours: Names that are ours on that kind, sorted.

    Raises:
        MetadataError: The name is ours, or breaks the rule.
    """
    if not isinstance(name, str):
        raise MetadataError(f"A metadata name is a string, not {name!r}.")
    if name in ours:
        raise MetadataError(
            f"{name!r} is a property of ours: give the metadata another name. Ours on {kind} are: {', '.join(ours)}."
        )
    if name.lower().startswith(PREFIX):
        raise MetadataError(
            f"{name!r}: names that start with {PREFIX!r} are kept for odin_graph. Leave the prefix out."
        )
    if not _follows_the_rule(name):
        near = suggest(name)
        hint = f" For example {near!r}." if near and near not in ours else ""
        shown = name if len(name) <= LONGEST else f"{name[:LONGEST]}..."
        raise MetadataError(f"{shown!r} is not a metadata name: use {_RULE}, {LONGEST} characters at most.{hint}")


def suggest(name: str) -> str:
    """The nearest name that follows the rule; empty where nothing is left of it."""
    text = "".join(letter if f"_{letter}".isidentifier() else " " for letter in unicodedata.normalize("NFKC", name))
    near = " ".join(text.split())[:LONGEST]
    while near and not near[0].isalpha():
        near = near[1:]
    near = near.rstrip("_ ")
    return near if _follows_the_rule(near) else ""


def _follows_the_rule(name: str) -> bool:
    return (
        0 < len(name) <= LONGEST
        and name[0].isalpha()
        and not name.endswith("_")
        and all(f"_{word}".isidentifier() for word in _JOINT.split(name) if word)
        and all(_JOINT.split(name))
        and unicodedata.normalize("NFKC", name) == name
    )
