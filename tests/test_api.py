"""The public API: one word stands for one act on every class, and every public name has a complete docstring."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import combinations
from typing import Any, Final

import pytest

import odin_graph as og
from odin_graph.objects.base.listed import Listed
from odin_graph.objects.query.collection import Collection
from odin_graph.objects.query.image_set import ImageSet
from odin_graph.objects.query.steps import Steps
from tests.docs import api_page
from tests.docs.api_page import Member, members, public_classes

pytestmark = pytest.mark.unit

FORBIDDEN: Final = {
    "insert",
    "find",
    "tagged",
    "create",
    "register",
    "set",
    "get",
    "filter",
    "remove",
    "put",
    "save_as",
}
"""Second words for `add`, `where`, ``[id]``, `update` and `delete`."""
ARGUMENTS: Final = {
    "predicates": "conditions",
    "array": "vectors",
    "number": "k",
    "n": "k",
    "limit": "k",
    "most": "k",
    "rows": "batch_size",
    "processes": "workers",
    "author": "who",
    "what": "things, source or images",
    "query_": "query",
}
"""Second words for arguments, and the first."""
NAMESPACES: Final = {"Workspace", "Tables"}
"""What they have are collections, tables, and one thing by its id: ``db.model("vgg")`` is no property of a thing."""
PROPERTY_AND_METHOD: Final = {
    "layer": "exp.layer(name) chooses one, and a set has the name of its layer",
}
RETURNS: Final = {
    **PROPERTY_AND_METHOD,
    "add": "of images a report, whose images() go on; of a view its query",
    "crop": "an image gives pixels; a query stays lazy",
    "experiment": "a run has its experiment; other things name theirs by id",
    "load": "a data set from a folder, the module of a checkpoint",
    "nearest": "images; of estimates a table with bounds",
    "max": "of channels their units, of units an expression",
    "mean": "of channels their units, of units an expression",
    "node": "the form in a plan, of its own kind",
    "parameters": "of an experiment by name; of a model their number",
    "predictions": "an experiment has sets; an image its own predictions",
    "update": "one thing gives itself; many, and labels, a report",
    "revise": "one image gives one, several give several",
    "count": "of a grouping a count of each group",
    "map": "values; or the images that the function made",
}
"""Words that return several kinds of things, and why."""
QUERIES: Final = {"Query", "ThingQuery", "DerivedQuery", "PatchQuery", "Groups", "Draft", "AnyQuery", "the same kind"}
THINGS: Final = {cls.__name__ for cls in public_classes() if hasattr(cls, "KIND") and not issubclass(cls, Listed)} | {
    "Image", "DerivedImage", "VectorSet", "Field", "Layer", "Run", "the thing",
}  # fmt: skip
DIFFERENT: Final = {
    **dict.fromkeys(("add", "add_checkpoint", "run", "__call__", "__getitem__"), "each kind is made of its own"),
    "loader": "a run is given the images; a query has them",
    "revise": "one image takes its pixels, several take ids and pixels",
}
"""Words whose arguments by position differ, and why."""
MEMBERS: Final = [member for cls in public_classes() for member in members(cls)]
WORDS: Final = defaultdict[str, list[Member]](list)
for _member in MEMBERS:
    WORDS[_member.name].append(_member)


def named(member: Member) -> str:
    return f"{member.owner.__name__}.{member.name}"


def test_the_page_is_what_the_classes_say() -> None:
    """When this fails, run ``python -m tests.docs.api_page``."""
    assert api_page.page() == api_page.PAGE.read_text(encoding="utf-8")


def test_every_class_that_the_package_names_is_walked() -> None:
    walked = {cls.__name__ for cls in public_classes()}
    named_by_us = {name for name in og.__all__ if isinstance(value := getattr(og, name), type) and _is_an_object(value)}
    assert named_by_us <= walked
    assert {"Images", "Datasets", "VectorSet", "Views", "ThingQuery", "Draft", "ImagesAdded"} <= walked


def test_no_second_word_stands_for_an_act() -> None:
    assert [named(member) for member in MEMBERS if member.name in FORBIDDEN] == []


def test_no_second_word_stands_for_an_argument() -> None:
    assert [named(member) for member in MEMBERS for name in member.parameters if name in ARGUMENTS] == []


def test_by_is_a_space_and_nothing_else() -> None:
    found = {member.name for member in MEMBERS if "by" in member.parameters}
    assert found == {"nearest", "representative", "cluster", "near_duplicates", "outliers", "uniqueness"}


def test_select_chooses_columns_and_nothing_else() -> None:
    assert all(issubclass(member.owner, Steps | ImageSet) for member in WORDS["select"])


def test_every_collection_has_the_same_words() -> None:
    collections = [cls for cls in public_classes() if issubclass(cls, Listed)]
    assert len(collections) == 13
    for cls in collections:
        words = {member.name for member in members(cls)}
        wanted = {"ids", "to_pandas", "__getitem__", "__iter__", "__len__", "__contains__"}
        if cls.__name__ != "Fields":  # a field comes with its first value, and goes with its last
            wanted |= {"add", "delete"}
        if issubclass(cls, Collection) or cls.__name__ == "Images":
            wanted |= {"where", "update", "undelete", "__call__"}
        assert words >= wanted, (cls, wanted - words)


def test_what_is_a_query_of_images_has_the_steps_of_one() -> None:
    words = {member.name for member in members(og.Query)}
    for cls in (og.Dataset, type(og.Dataset), ImageSet):
        if issubclass(cls, ImageSet):
            own = {member.name for member in members(cls)}
            assert {
                "where",
                "order_by",
                "limit",
                "select",
                "to_pandas",
                "ids",
                "__getitem__",
                "__iter__",
            } <= own & words
    assert {"__or__", "__and__", "__sub__", "__xor__"} <= {m.name for m in members(og.Dataset)} & words


@pytest.mark.parametrize("word", sorted(WORDS))
def test_a_word_is_a_property_everywhere_or_nowhere(word: str) -> None:
    found = {named(member): member.is_property for member in WORDS[word] if member.owner.__name__ not in NAMESPACES}
    assert (len(set(found.values())) > 1) == (word in PROPERTY_AND_METHOD), found


@pytest.mark.parametrize("word", sorted(WORDS))
def test_a_word_returns_one_kind_of_thing(word: str) -> None:
    found = defaultdict(set)
    for member in WORDS[word]:
        if member.owner.__name__ not in NAMESPACES and not word.startswith("__"):
            found[_kind(member)].add(named(member))
    assert (len(found) > 1) == (word in RETURNS), dict(found)


def test_what_makes_something_returns_it() -> None:
    made = {"add", "predict", "log_predictions", "revise", "store", "run", "add_checkpoint", "split", "kfold", "load"}
    for member in MEMBERS:
        if member.name in made:
            assert not re.fullmatch(r"(?:list\[|tuple\[)?(?:str|int|None)\b.*", member.gives), named(member)


@pytest.mark.parametrize("word", sorted(WORDS))
def test_the_arguments_of_a_word_have_the_same_names(word: str) -> None:
    """What is given by position has the same name at the same position."""
    methods = [member for member in WORDS[word] if not member.is_property and member.owner.__name__ not in NAMESPACES]
    lists = {named(member): _by_position(member) for member in methods}
    for (one, first), (two, second) in combinations(lists.items(), 2):
        common = min(len(first), len(second))
        assert first[:common] == second[:common] or word in DIFFERENT, (one, first, two, second)


@pytest.mark.parametrize("member", MEMBERS, ids=named)
def test_every_public_name_has_a_complete_docstring(member: Member) -> None:
    """A sentence; and a word on every argument, unless there is only one, or the page of another method has them."""
    if member.name.startswith("__"):
        return
    assert re.match(r"[A-Z`(\d].*[.)`:](?:\n|$)", member.doc), f"{member.doc!r}"
    if len(member.parameters) > 1 and not re.search(r"(see|as in|same as) `|see ``", member.doc, re.IGNORECASE):
        assert [name for name in member.parameters if not re.search(rf"\b{name}\b", member.doc)] == []


def _is_an_object(cls: type[Any]) -> bool:
    return not cls.__module__.startswith(api_page._LEFT_OUT) and cls.__module__.startswith("odin_graph.")


def _by_position(member: Member) -> list[str]:
    return [name for name, parameter in member.parameters.items() if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]


def _kind(member: Member) -> str:
    """The kind of what is returned: a query, a thing, a table, a text ..."""
    hint = re.sub(r" \| None$", "", member.gives)
    words = set(re.split(r"\[.*\]| \| ", hint)) - {""}
    if words <= QUERIES:
        return "query"
    if words <= THINGS:
        return "thing"
    several = re.fullmatch(r"(?:list|tuple)\[(.*)\]", hint)
    if several:
        return "things" if re.split(r"[\[,]", several[1])[0] in THINGS else "list"
    if hint.startswith("NDArray"):
        return "array"
    if hint.startswith("dict"):
        return "dict"
    return {"State": "str", "Picture": "picture", "ContactSheet": "picture", "Table": "table"}.get(hint, hint)
