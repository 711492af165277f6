"""An argument of a wrong type is refused by its name, in all public calls, and nothing else is."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

import odin_graph as og
import odin_graph.objects
from odin_graph.checked import checked, fits
from odin_graph.errors import QueryError
from odin_graph.warned import warn

if TYPE_CHECKING:
    from fractions import Fraction

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (1, int, True),
        (np.int64(1), int, True),
        (True, int, False),
        (1.0, int, False),
        (np.array(1), int, False),
        (np.array([1]), int, False),
        (1, float, True),
        (np.float32(1), float, True),
        (float("nan"), float, True),
        ("1", float, False),
        (np.True_, bool, True),
        (1, bool, False),
        (None, int | None, True),
        (None, None, True),
        ("a", int | None, False),
        ("a", Sequence[str], False),
        (["a", "b"], Sequence[str], True),
        (["a", 1], Sequence[str], False),
        (np.array(["a"]), Sequence[str], True),
        ({"a"}, Sequence[str], False),
        (("a", 1), tuple[str, int], True),
        ((1, "a"), tuple[str, int], False),
        (("a", "b", "c"), tuple[str, ...], True),
        ({"a": 1}, Mapping[str, int], True),
        ({1: 1}, Mapping[str, int], False),
        ([("a", 1)], Mapping[str, int], False),
        ("x", Literal["x", "y"], True),
        ("z", Literal["x", "y"], False),
        (["x"], Literal["x", "y"], False),
        (1, Literal[True], False),
        (len, Callable[[Any], Any], True),
        (3, Callable[[Any], Any], False),
        (np.zeros(3), NDArray[Any], True),
        ([0.0], NDArray[Any], False),
        (int, type[int], True),
        (3, type[int], False),
        (object(), Any, True),
    ],
)
def test_what_is_of_a_type(value: object, hint: Any, expected: bool) -> None:
    assert fits(value, hint) is expected


def test_the_argument_is_named_where_a_call_fails() -> None:
    @checked
    def half(number: Fraction, *more: int, **named: str) -> Any:
        return number.limit_denominator(2), sum(more), "".join(named.values())

    @checked
    def count(*, to: int) -> Iterator[int]:
        yield from range(to)

    from fractions import Fraction

    assert half(Fraction(1, 3), 1, 2, a="b") == (Fraction(1, 2), 3, "b")
    assert list(count(to=np.int64(2))) == [0, 1]
    for call, named in (
        (lambda: half("a"), r"half\(\) takes Fraction as number, not 'a'"),  # of a name that only a type checker sees
        (lambda: half(Fraction(1), 1, "b"), r"half\(\) takes int as more, not 'b'"),
        (lambda: half(Fraction(1), a=3), r"half\(\) takes str as named, not 3"),
        (lambda: list(count(to="b")), r"count\(\) takes int as to, not 'b'"),
    ):
        with pytest.raises(QueryError, match=named) as caught:
            call()
        assert isinstance(caught.value.__cause__, AttributeError | TypeError)


def test_other_errors_stay_as_they_are() -> None:
    @checked
    def call(function: Callable[[], Any], k: int = 3) -> Any:
        return function()

    def fails() -> None:
        raise TypeError("the user's own")

    with pytest.raises(TypeError, match="the user's own"):
        call(fails)
    with pytest.raises(og.DataError, match="ours"):
        call(lambda: (_ for _ in ()).throw(og.DataError("ours")), k="a")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unexpected keyword"):
        call(fails, l=3)  # type: ignore[call-arg]


def public_calls() -> Iterator[tuple[str, Any]]:
    """Methods of the objects that users have in hand."""
    modules = [importlib.import_module(f"odin_graph.{name}") for name in ("workspace", "opening")]
    modules += [
        importlib.import_module(one.name)
        for one in pkgutil.walk_packages(odin_graph.objects.__path__, "odin_graph.objects.")
    ]
    for module in modules:
        for name, cls in vars(module).items():
            if inspect.isclass(cls) and cls.__module__ == module.__name__ and not name.startswith("_"):
                for of, method in vars(cls).items():
                    if isinstance(method, types.FunctionType) and not of.startswith("_"):
                        yield f"{name}.{of}", method
    yield from (("connect", og.connect), ("restore", og.restore))


INTERNAL = ("GroupOver.stored",)
"""Called by our own code alone."""
NO_ARGUMENTS = 1
"""Those with nothing but themselves have nothing to check."""


def test_all_public_calls_are_checked() -> None:
    left = [
        name
        for name, method in public_calls()
        if len(inspect.signature(method).parameters) > NO_ARGUMENTS
        and name not in INTERNAL
        and not hasattr(method, "__wrapped__")
    ]
    assert not left
    assert len(list(public_calls())) > 250


def test_a_warning_is_of_the_line_of_whoever_called_from_outside() -> None:
    code = "def deep(depth):\n    return deep(depth - 1) if depth else warn('said', UserWarning)\n"
    ours: dict[str, Any] = {"warn": warn}
    exec(compile(code, str(Path(og.__file__).with_name("pretended.py")), "exec"), ours)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        checked(ours["deep"])(3)
    (one,) = told
    assert (one.filename, str(one.message)) == (__file__, "said")
    assert "(3)" in Path(__file__).read_text().splitlines()[one.lineno - 1]
