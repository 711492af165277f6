"""Functions of an image's values: ours, and users' by the registry."""

from odin_graph.query.expressions.datum import Datum
from odin_graph.query.expressions.functions import choice, lists, numbers, text, times
from odin_graph.query.expressions.functions.function import (
    ANY,
    DAY,
    FUNCTIONS,
    INTEGER,
    LIST,
    NUMBER,
    ORDERED,
    PATTERN,
    TEXT,
    TIME,
    TRUTH,
    Function,
    Takes,
    function,
)

__all__ = [
    "ANY",
    "DAY",
    "FUNCTIONS",
    "INTEGER",
    "LIST",
    "NUMBER",
    "ORDERED",
    "PATTERN",
    "TEXT",
    "TIME",
    "TRUTH",
    "Datum",
    "Function",
    "Takes",
    "choice",
    "function",
    "lists",
    "numbers",
    "text",
    "times",
]
