"""A class that appears beside a frequent one, and is spelt all but like it: probably a typing error."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from odin_graph.catalog.records.fields import recorded_types
from odin_graph.errors import DataWarning
from odin_graph.schema.kinds import alive
from odin_graph.schema.metadata import FieldType
from odin_graph.stores import Stores
from odin_graph.warned import warn

_LETTERS: Final = 5
"""Shorter names, of which one letter is another, are codes: DR and DME, OD and OS, T1c and T1d."""
_TIMES: Final = 10
"""The known class has so many images for each of the new one."""
_COUNTS: Final = f"""
MATCH (i:Image) WHERE {alive("Image", "i")} AND i.label IS NOT NULL RETURN i.label AS label, count(*) AS n
"""


def warn_of_spelling(stores: Stores, labels: Iterable[Any] | None) -> tuple[str, ...]:
    """Warn of classes that came with these labels, which are stored by now; what was said is returned to be kept."""
    given = _counted((label, 1) for label in (() if labels is None else labels))
    if not any(len(name) > 1 for name in given):
        return ()
    if recorded_types(stores.graph, "Image").get("label") not in (FieldType.STRING, FieldType.STRINGS):
        return ()
    there = _counted((row["label"], row["n"]) for row in stores.graph.read(_COUNTS))
    new = {name: there[name] for name, number in given.items() if 0 < there[name] <= number}
    said = doubtful_classes(new, there)
    for one in said:
        warn(one, DataWarning)
    return tuple(said)


def doubtful_classes(new: Mapping[str, int], every: Mapping[str, int]) -> list[str]:
    """What is to be said of new classes.

    Args:
        new: Classes that no image had before, and how many have each.
        every: All classes, these among them, and how many images have each.
    """
    said = []
    for name, number in sorted(new.items()):
        meant = [one for one, n in every.items() if n >= _TIMES * number and _is_slip(name, one)]
        if meant:
            likely = max(meant, key=every.__getitem__)
            said.append(
                f"{number:,} {'image has' if number == 1 else 'images have'} the new label {name!r}, and "
                f"{every[likely]:,} have {likely!r}. If one is meant, correct it: "
                f'db.labels.set(db.images().where(F("label") == {name!r}), {likely!r}).'
            )
    return said


def _is_slip(name: str, known: str) -> bool:
    """Whether a name is another one mistyped: case or spaces, or one letter too many, too few, wrong or swapped.

    Numbers are never mistyped, nor is a first letter: "normal" and "abnormal", "m3" and "m4" are two classes.
    """
    if name == known or len(name) < 2 or re.findall(r"\d+", name) != re.findall(r"\d+", known):
        return False
    a, b = ("".join(one.casefold().split()) for one in (name, known))
    if a == b:
        return True
    if min(sum(map(str.isalpha, a)), sum(map(str.isalpha, b))) < _LETTERS or a[0] != b[0]:
        return False
    at = next((place for place, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    a, b = a[at:], b[at:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])


def _counted(labels: Iterable[tuple[Any, int]]) -> Counter[str]:
    """The classes that are text, those of lists among them."""
    counts: Counter[str] = Counter()
    for label, number in labels:
        for name in label if isinstance(label, list | tuple) else [label]:
            if isinstance(name, str):
                counts[name] += number
    return counts
