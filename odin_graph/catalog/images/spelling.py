"""Find new classes that are spelled almost like a frequent one, and are probably typing errors."""

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
"""Shorter names that differ in one letter are codes: DR and DME, OD and OS, T1c and T1d."""
_TIMES: Final = 10
"""The known class has at least so many images for each image of the new one."""
_COUNTS: Final = f"""
MATCH (i:Image) WHERE {alive("Image", "i")} AND i.label IS NOT NULL RETURN i.label AS label, count(*) AS n
"""


def warn_of_spelling(stores: Stores, labels: Iterable[Any] | None) -> tuple[str, ...]:
    """Warn of new classes among these stored labels that look misspelled; return the warnings."""
    given = _counted((label, 1) for label in (() if labels is None else labels))
    if not any(len(name) > 1 for name in given):
        return ()
    if recorded_types(stores.graph, "Image").get("label") not in (FieldType.STRING, FieldType.STRINGS):
        return ()
    totals = _counted((row["label"], row["n"]) for row in stores.graph.read(_COUNTS))
    new = {name: totals[name] for name, number in given.items() if 0 < totals[name] <= number}
    messages = doubtful_classes(new, totals)
    for message in messages:
        warn(message, DataWarning)
    return tuple(messages)


def doubtful_classes(new: Mapping[str, int], every: Mapping[str, int]) -> list[str]:
    """Messages about new classes that look misspelled.

    Args:
        new: Classes that no image had before, with the number of images of each.
        every: All classes, including the new ones, with the number of images of each.
    """
    messages = []
    for name, number in sorted(new.items()):
        candidates = [known for known, n in every.items() if n >= _TIMES * number and _is_slip(name, known)]
        if candidates:
            likely = max(candidates, key=every.__getitem__)
            messages.append(
                f"{number:,} {'image has' if number == 1 else 'images have'} the new label {name!r}, and "
                f"{every[likely]:,} have {likely!r}. If one is meant, correct it: "
                f'db.labels.update(db.images().where(F("label") == {name!r}), {likely!r}).'
            )
    return messages


def _is_slip(name: str, known: str) -> bool:
    """Whether two names differ like a typing error: case, spaces, or a letter too many, missing, wrong or swapped.

    Numbers are never mistyped, nor is a first letter: "normal" and "abnormal", "m3" and "m4" are two classes.
    """
    if name == known or len(name) < 2 or re.findall(r"\d+", name) != re.findall(r"\d+", known):
        return False
    a, b = ("".join(text.casefold().split()) for text in (name, known))
    if a == b:
        return True
    if min(sum(map(str.isalpha, a)), sum(map(str.isalpha, b))) < _LETTERS or a[0] != b[0]:
        return False
    at = next((position for position, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    a, b = a[at:], b[at:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])


def _counted(labels: Iterable[tuple[Any, int]]) -> Counter[str]:
    """Count the classes that are text, also in lists."""
    counts: Counter[str] = Counter()
    for label, number in labels:
        for name in label if isinstance(label, list | tuple) else [label]:
            if isinstance(name, str):
                counts[name] += number
    return counts
