"""The public API: one word for one act on every class, and every public name has a complete docstring."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

import odin_graph as og
from odin_graph.objects.base.listed import Listed
from odin_graph.objects.query.collection import Collection
from odin_graph.objects.query.image_set import ImageSet
from odin_graph.objects.query.steps import Steps
from tests.docs import api_page
from tests.docs.api_page import Member, members, public_classes

FORBIDDEN = {"insert", "find", "tagged", "create", "register", "set", "remove", "all", "filter", "get"}
"""Other words for `add`, `where`, ``[id]``, `update` and `delete`."""
SYNONYMS = {"by", "name"}

MEMBERS = [member for cls in public_classes() for member in members(cls)]
WORDS = defaultdict[str, list[Member]](list)
for _member in MEMBERS:
    WORDS[_member.name].append(_member)


def test_the_page_is_what_the_classes_say() -> None:
    """When this fails, run ``python -m tests.docs.api_page``."""
    assert api_page.page() == api_page.PAGE.read_text(encoding="utf-8")


def test_no_second_word_stands_for_an_act() -> None:
    assert [f"{m.owner.__name__}.{m.name}" for m in MEMBERS if m.name in FORBIDDEN and not m.is_property] == []


def test_select_chooses_columns_and_nothing_else() -> None:
    assert all(issubclass(m.owner, Steps | ImageSet) for m in WORDS["select"])


def test_every_collection_has_the_same_words() -> None:
    collections = [cls for cls in public_classes() if issubclass(cls, Listed)]
    assert len(collections) == 12
    for cls in collections:
        words = {m.name for m in members(cls)}
        wanted = {"ids", "to_pandas", "__getitem__", "__iter__", "__len__", "__contains__"}
        if cls.__name__ != "Fields":
            wanted |= {"add", "delete"}
        if issubclass(cls, Collection) or cls.__name__ == "Images":
            wanted |= {"where", "update", "undelete", "__call__"}
        assert words >= wanted, (cls, wanted - words)


def test_what_adds_returns_an_object() -> None:
    for member in MEMBERS:
        if member.name in ("add", "predict", "log_predictions", "revise", "store", "run", "checkpoint", "split"):
            assert not re.fullmatch(r"(list\[)?(str|int|None)\]?", member.hint) or member.is_property, member


@pytest.mark.parametrize("word", sorted(WORDS))
def test_a_word_is_a_property_everywhere_or_nowhere(word: str) -> None:
    found = {m.owner.__name__: m.is_property for m in WORDS[word]}
    assert len(set(found.values())) == 1, found


@pytest.mark.parametrize("word", sorted(WORDS))
def test_a_word_returns_one_kind_of_thing(word: str) -> None:
    found = defaultdict(set)
    for member in WORDS[word]:
        found[kind_of(member)].add(member.owner.__name__)
    assert len(found) == 1, dict(found)


def test_an_argument_has_one_type() -> None:
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for member in MEMBERS:
        for name, parameter in member.parameters.items():
            found[name][str(parameter.annotation)].add(f"{member.owner.__name__}.{member.name}")
    print({name: {k: len(v) for k, v in types.items()} for name, types in found.items() if len(types) > 1})


@pytest.mark.parametrize("member", MEMBERS, ids=lambda m: f"{m.owner.__name__}.{m.name}")
def test_every_public_name_has_a_complete_docstring(member: Member) -> None:
    if member.name.startswith("__"):
        return
    assert member.doc.partition("\n")[0].rstrip(":").endswith((".", "`", ")")), member.doc
    if "see `" in member.doc or "as in `" in member.doc or "The same as `" in member.doc:
        return
    missing = [name for name in member.parameters if not re.search(rf"\b{name}\b", member.doc)]
    assert not missing, f"{member.doc}\n{missing}"


def kind_of(member: Member) -> str:
    hint = member.gives
    return hint


def test_nothing_is_public_by_accident() -> None:
    assert {cls.__name__ for cls in public_classes()} >= {
        name
        for name in og.__all__
        if name[0].isupper()
        and isinstance(getattr(og, name), type)
        and not issubclass(getattr(og, name), Exception)
        and name not in ("Budget", "F")
    }
