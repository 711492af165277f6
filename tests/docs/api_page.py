"""docs/api.md: the public API as a table, made from the classes. ``python -m tests.docs.api_page`` writes it.

A class is public if `odin_graph` names it, or if a public method or property of another public class gives it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import odin_graph as og
from odin_graph.checked import _names
from odin_graph.objects.base.listed import Listed
from odin_graph.objects.query.derived import DerivedQuery
from odin_graph.objects.query.image_set import ImageSet
from odin_graph.objects.query.steps import Steps

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
_SPECIAL = {
    "__call__": ("()", "A query."),
    "__getitem__": ("[...]", "One by its position; a slice gives a part."),
    "__iter__": ("a loop", "One after another."),
    "__len__": ("len", "The number."),
    "__contains__": ("in", "Whether it is there, by its id."),
    "__or__": ("|", "The images or things of either."),
    "__and__": ("&", "The images or things of both."),
    "__sub__": ("-", "The images or things that the other does not have."),
    "__xor__": ("^", "The images or things of exactly one."),
}
_LEFT_OUT = (
    "odin_graph.errors",
    "odin_graph.schema",
    "odin_graph.ops",
    "odin_graph.config",
    "odin_graph.address",
    "odin_graph.arrays",
    "odin_graph.query.expressions",
    "odin_graph.query.plan",
    "odin_graph.objects.query.steps",
)
"""Errors, nodes of the graph, image operations and expressions have pages of their own; plans and files are inner."""
_HEAD = """# The public API

After this page you know what every class of odin_graph can do. Look up a word here, and read its arguments with
`help(og.Dataset.split)`.

One word stands for one act on every class: `add` makes, `where` filters, `select` chooses columns, `update` sets
metadata, `delete` hides, `ids()` gives the ids. What makes something returns it. A property is written without
parentheses. [verbs.md](verbs.md) explains the words with examples.

This page is made by `python -m tests.docs.api_page`.
"""


@dataclass(frozen=True)
class Member:
    """A public method or property of a class."""

    owner: type[Any]
    name: str
    function: Callable[..., Any]
    is_property: bool
    doc: str
    hint: str
    """What it gives, as it is written."""

    @cached_property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """The parameters but ``self``, by name."""
        if self.is_property:
            return {}
        found = dict(inspect.signature(self.function).parameters)
        first = next(iter(found), None)
        if first in ("self", "cls"):
            del found[first]
        return found

    @property
    def spelled(self) -> str:
        """How it is written in the table."""
        return _SPECIAL[self.name][0] if self.name in _SPECIAL else self.name if self.is_property else f"{self.name}()"

    @property
    def summary(self) -> str:
        """What it does, in a sentence."""
        if self.name == "__getitem__" and issubclass(self.owner, Listed):
            return "One by its id."
        return self.doc.partition("\n")[0] or _SPECIAL.get(self.name, ("", ""))[1]

    @property
    def gives(self) -> str:
        """What it gives, in words of the table."""
        hint = re.sub(r"\b(pa|pd|np|torch|nn|datasets|schema)\.", "", self.hint.strip('"'))
        hint = re.sub(r"\bSelf\b", "the same kind", hint)
        hint = re.sub(r"\b[TSR]\b|\bT_co\b", "the thing", hint)
        return re.sub(r"\bMade\b", "DerivedQuery", hint)


@cache
def public_classes() -> tuple[type[Any], ...]:
    """Every public class, by name."""
    found = [value for name in og.__all__ if isinstance(value := getattr(og, name), type) and _listed(value)]
    for cls in found:  # grows as it goes
        for member in members(cls):
            found += [other for other in _named(member) if other not in found and _listed(other)]
    return tuple(sorted(found, key=lambda cls: cls.__name__))


def members(cls: type[Any]) -> Iterator[Member]:
    """The public methods and properties of a class, with those that it inherits from ours."""
    for name in dir(cls):
        if name.startswith("_") and name not in _SPECIAL:
            continue
        value = inspect.getattr_static(cls, name, None)
        home = next((base for base in cls.__mro__ if name in vars(base)), None)
        if home is not None and not home.__module__.startswith("odin_graph"):
            continue
        if isinstance(value, classmethod):
            if name == "from_json" and issubclass(
                cls, Steps | DerivedQuery
            ):  # other ways to make one are for ourselves
                yield _member(cls, name, value.__func__, is_property=False)
        elif isinstance(value, property | cached_property):
            yield _member(cls, name, value.fget if isinstance(value, property) else value.func, is_property=True)
        elif inspect.isfunction(value):
            yield _member(cls, name, value, is_property=False)


def page() -> str:
    """The page, made anew."""
    rows: dict[tuple[str, str], list[Member]] = {}
    for cls in public_classes():
        for member in members(cls):
            rows.setdefault((member.spelled, member.gives), []).append(member)
    names = ", ".join(f"`{cls.__name__}`" for cls in public_classes())
    lines = [_HEAD, "The classes are:", f"{names}.", "", "| word | on | returns | what it does |", "|---|---|---|---|"]
    for (word, gives), alike in sorted(rows.items(), key=lambda row: (row[0][0].lower(), row[1][0].owner.__name__)):
        on = ", ".join(member.owner.__name__ for member in alike)
        cells = (f"`{word}`", on, f"`{gives}`" if gives else "", alike[0].summary)
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _listed(cls: type[Any]) -> bool:
    ours = cls.__module__.startswith("odin_graph") and not cls.__name__.startswith("_")
    return ours and not cls.__module__.startswith(_LEFT_OUT)


def _member(cls: type[Any], name: str, function: Any, *, is_property: bool) -> Member:
    plain = inspect.unwrap(function)
    hint = str(plain.__annotations__.get("return", "") or "")
    if name in vars(ImageSet) and issubclass(cls, ImageSet):  # steps of a data set are steps of its query
        hint = re.sub(r"\bSelf\b", "Query", hint)
    return Member(cls, name, function, is_property, inspect.cleandoc(function.__doc__ or ""), hint)


def _named(member: Member) -> Iterator[type[Any]]:
    """The classes in what a member gives."""
    known = _names(inspect.unwrap(member.function))
    for word in re.findall(r"\w+", member.hint):
        if isinstance(known.get(word), type):
            yield known[word]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
