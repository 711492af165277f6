"""The error tree: drawn as it is, and every class survives the way out of a worker process."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from odin_graph import errors
from odin_graph.errors import OdinError, UnknownNameError

CLASSES = sorted(
    (held for held in vars(errors).values() if inspect.isclass(held) and issubclass(held, OdinError)),
    key=lambda held: held.__name__,
)


def drawn() -> dict[str, str]:
    """Each class in the module's docstring, with the class that it hangs from."""
    path: list[str] = []
    parents: dict[str, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+Error)\b", line)
        if found is not None:
            depth = len(found["branch"]) // 4
            path[depth:] = [found["name"]]
            parents[found["name"]] = path[depth - 1] if depth else "Exception"
    return parents


def test_the_docstring_draws_every_class_under_its_base() -> None:
    assert drawn() == {held.__name__: held.__bases__[0].__name__ for held in CLASSES}


@pytest.mark.parametrize("held", CLASSES, ids=lambda held: held.__name__)
def test_an_error_keeps_class_and_message_through_a_pickle(held: type[OdinError]) -> None:
    error = pickle.loads(pickle.dumps(held("what, why, and what to do")))
    assert type(error) is held
    assert str(error) == "what, why, and what to do"


@pytest.mark.parametrize("held", CLASSES, ids=lambda held: held.__name__)
def test_every_class_says_what_it_is_for(held: type[OdinError]) -> None:
    assert held.__doc__ is not None
    assert held.__doc__.endswith((".", "``."))


def test_an_unknown_name_lists_what_there_is_and_the_nearest() -> None:
    assert str(UnknownNameError.of("image field", "lable", ["label", "age"])) == (
        "There is no image field 'lable'. Did you mean 'label'? There is: age, label."
    )


def test_an_unknown_name_among_none() -> None:
    said = str(UnknownNameError.of("data set", "mnist", [], remedy="Create one with db.datasets.add(...)."))
    assert said == "There is no data set 'mnist'. There is: none yet. Create one with db.datasets.add(...)."


def test_an_unknown_name_among_many_lists_twenty() -> None:
    said = str(UnknownNameError.of("image", "zz", [f"i{n:02}" for n in range(30)]))
    assert said.endswith("i18, i19 and 10 more.")
