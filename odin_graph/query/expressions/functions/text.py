"""Functions of text. All are case-sensitive; lengths count characters, not bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.errors import ExpressionError
from odin_graph.query.expressions.datum import Datum
from odin_graph.query.expressions.functions.function import PATTERN, TEXT, function


@function("starts-with", TEXT, PATTERN, gives="bool", cypher="{0} STARTS WITH {1}")
def starts_with(text: Datum, pattern: pa.Scalar) -> Datum:
    """Whether a text starts with another."""
    return pc.starts_with(text, pattern=pattern.as_py())


@function("ends-with", TEXT, PATTERN, gives="bool", cypher="{0} ENDS WITH {1}")
def ends_with(text: Datum, pattern: pa.Scalar) -> Datum:
    """Whether a text ends with another."""
    return pc.ends_with(text, pattern=pattern.as_py())


@function("contains", TEXT, PATTERN, gives="bool", cypher="{0} CONTAINS {1}")
def contains(text: Datum, pattern: pa.Scalar) -> Datum:
    """Whether a text contains another."""
    return pc.match_substring(text, pattern=pattern.as_py())


def _check_regex(literals: Sequence[Any]) -> None:
    try:
        pc.match_substring_regex(pa.array([""]), pattern=_whole(literals[1]))
    except pa.ArrowInvalid as error:
        raise ExpressionError(
            f"{literals[1]!r} is not a regular expression of RE2, which has no look-around and no back-references: "
            f"{error}"
        ) from error


def _whole(pattern: str) -> str:
    return rf"\A(?:{pattern})\z"


@function("matches", TEXT, PATTERN, gives="bool", cypher="{0} =~ {1}", check=_check_regex)
def matches(text: Datum, pattern: pa.Scalar) -> Datum:
    """Whether the whole text fits a regular expression (RE2's)."""
    return pc.match_substring_regex(text, pattern=_whole(pattern.as_py()))


def _is_ascii(text: Datum) -> bool:
    ascii_only = pc.string_is_ascii(text)
    return bool((ascii_only if isinstance(ascii_only, pa.Scalar) else pc.all(ascii_only)).as_py() is not False)


def _each(change: Callable[[str], str], text: Datum) -> Datum:
    """Change each distinct text. Arrow changes character by character, but the capital of ß is SS by Unicode's rule."""
    if isinstance(text, pa.Scalar):
        return pa.scalar(change(text.as_py()))
    words = text.dictionary_encode()
    changed = pa.array([None if word is None else change(word) for word in words.dictionary.to_pylist()], pa.string())
    return changed.take(words.indices)


@function("lower", TEXT, gives="string", cypher="toLower({0})")
def lower(text: Datum) -> Datum:
    """A text in lower case."""
    return pc.utf8_lower(text) if _is_ascii(text) else _each(str.lower, text)


@function("upper", TEXT, gives="string", cypher="toUpper({0})")
def upper(text: Datum) -> Datum:
    """A text in upper case."""
    return pc.utf8_upper(text) if _is_ascii(text) else _each(str.upper, text)


@function("strip", TEXT, gives="string", cypher="trim({0})")
def strip(text: Datum) -> Datum:
    """A text without white space round it."""
    return pc.utf8_trim_whitespace(text)
