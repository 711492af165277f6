"""Public calls: what they cannot take is refused by its name, not by an error from deep inside, or not at all.

Arguments are compared with the type hints where a call has failed, and only there: a call that works costs nothing,
and what is not of its hint but works as well (a NumPy number, an array for a list) goes on working.

A thing of another workspace is refused before: its keys and ids are those of other things where it is given.
"""

from __future__ import annotations

import ast
import inspect
import sys
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from functools import cache, wraps
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from odin_graph.address import Address, Remote
from odin_graph.arguments import is_truth, whole
from odin_graph.errors import MismatchError, OdinError, QueryError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C", bound=Callable[..., Any])
T = TypeVar("T", bound=type[Any])

_BETWEEN: Final = ("verify",)
"""Calls that compare things of two workspaces."""
_SPECIAL: Final = ("__call__", "__getitem__", "__setitem__", "__delitem__")


def checked(call: C) -> C:
    """If a call fails with an error that is not ours, and an argument is not of its type, raise an error that says so.

    Our own errors are raised unchanged, and so is any other if all arguments are of their types, as that of a function
    which the user gave.
    """
    if inspect.isgeneratorfunction(call):

        @wraps(call)
        def generator(*args: Any, **kwargs: Any) -> Iterator[Any]:
            _check_workspace(call, args, kwargs)
            with _explained(call, args, kwargs):
                yield from call(*args, **kwargs)

        return generator  # type: ignore[return-value]

    @wraps(call)
    def function(*args: Any, **kwargs: Any) -> Any:
        _check_workspace(call, args, kwargs)
        with _explained(call, args, kwargs):
            return call(*args, **kwargs)

    return function  # type: ignore[return-value]


def _check_workspace(call: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse things of another workspace than that of the object whose method is called.

    Raises:
        MismatchError: One is.
    """
    if call.__name__ in _BETWEEN or not args or (here := _address(args[0])) is None:
        return
    for value in (*args[1:], *kwargs.values()):
        for thing in _things(value):
            there = _address(thing)
            # Which workspace a server has open is not known here: it may be this one.
            if there is not None and type(there) is type(here) and not there.leads_to_same(here):
                raise MismatchError(
                    f"{thing!r:.80} is of the workspace {there}, and the call is of {here}: these are different "
                    "workspaces, where a key or an id means another thing. Export its data set there "
                    "(dataset.export), and load it here (db.datasets.load)."
                )


def _things(value: Any) -> Iterable[Any]:
    """An argument, or what a list or dict of them contains that is of odin_graph."""
    if not isinstance(value, list | tuple | set | frozenset | dict):
        return (value,)
    kinds = {kind for kind in set(map(type, value)) if _is_ours(kind)}
    found = [item for item in value if type(item) in kinds] if kinds else []
    return [*found, *_things(list(value.values()))] if isinstance(value, dict) else found


def _address(thing: Any) -> Address | Remote | None:
    """The address of the workspace that a thing of odin_graph is of."""
    if not _is_ours(type(thing)):
        return None
    found = getattr(getattr(thing, "_session", thing), "address", None)
    return found if isinstance(found, Address | Remote) else None


def _is_ours(kind: type) -> bool:
    return kind.__module__.startswith("odin_graph.")


@contextmanager
def _explained(call: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[None]:
    try:
        yield
    except OdinError:
        raise
    except Exception as error:
        if (found := _misfit(call, args, kwargs)) is None:
            raise
        raise found from error


def checked_calls(cls: T) -> T:
    """`checked`, for all public methods that a class itself defines."""
    for name, method in list(vars(cls).items()):
        if isinstance(method, types.FunctionType) and (not name.startswith("_") or name in _SPECIAL):
            setattr(cls, name, checked(method))
    return cls


def _misfit(call: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> QueryError | None:
    """The error that names the first argument that is not of its type."""
    try:
        bound = inspect.signature(call).bind(*args, **kwargs)
    except TypeError:  # an argument is missing or unknown: Python's own message is the best
        return None
    for name, value in bound.arguments.items():
        parameter = bound.signature.parameters[name]
        hint = _hint(call, parameter.annotation)
        values: Collection[Any] = (value,)
        if parameter.kind is parameter.VAR_POSITIONAL:
            values = value
        elif parameter.kind is parameter.VAR_KEYWORD:
            values = value.values()
        for item in values:
            if not fits(item, hint):
                return QueryError(
                    f"{call.__name__.strip('_')}() takes {parameter.annotation} as {name}, not {item!r:.80}."
                )
    return None


def check_fields(part: DataclassInstance, call: str, names: Mapping[str, type] = MappingProxyType({})) -> None:
    """Refuse a part of a call whose fields are not of their types, for what is worked out later.

    Args:
        part: A dataclass.
        call: What the user called.
        names: Classes in its type hints that its module imports for type checkers alone.

    Raises:
        QueryError: Names the call, the first such field and its type.
    """
    for name, hint in _field_hints(type(part), tuple(names.items())).items():
        if not fits(value := getattr(part, name), hint):
            wanted = type(part).__dataclass_fields__[name].type
            raise QueryError(f"{call}() takes {wanted} as {name}, not {value!r:.80}.")


@cache
def _field_hints(cls: type[DataclassInstance], names: tuple[tuple[str, type], ...]) -> dict[str, Any]:
    hints = get_type_hints(cls, localns=dict(names))
    return {field.name: hints[field.name] for field in fields(cls)}


def fits(value: object, hint: Any) -> bool:
    """Whether a value is of a type hint; in doubt it is.

    A truth value is no number, a whole number is a real one, and NumPy's are as Python's. A text is no sequence.
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, option) for option in args)
    if origin is Annotated:
        return fits(value, args[0])
    if origin is Literal:
        return any(type(value) is type(option) and value == option for option in args)
    if origin is not None:
        return _fits_generic(value, origin, args)
    if hint is None or hint is types.NoneType:
        return value is None
    if hint is bool:
        return is_truth(value)
    if hint is int:
        return whole(value) is not None
    if hint is float:
        return isinstance(value, Real) and not isinstance(value, bool)
    try:
        return hint in (Any, object) or isinstance(value, hint)
    except TypeError:  # a protocol, a type variable
        return True


def _fits_generic(value: object, origin: Any, args: tuple[Any, ...]) -> bool:
    if origin is Callable:
        return callable(value)
    if not isinstance(origin, type):
        return True
    if issubclass(origin, Mapping):
        return isinstance(value, origin) and all(
            fits(key, args[0]) and fits(item, args[1]) for key, item in value.items()
        )
    if not issubclass(origin, Iterable) or origin.__module__ == "numpy":
        return isinstance(value, origin)
    if isinstance(value, str | bytes) or getattr(value, "ndim", 1) == 0:
        return False
    if origin is tuple and args[-1] is not Ellipsis:
        return isinstance(value, tuple) and len(value) == len(args) and all(map(fits, value, args))
    for method in ("tolist", "to_pylist"):  # of arrays, tensors and the like, which are no sequences to Python
        if hasattr(value, method):
            value = getattr(value, method)()
    if isinstance(value, Collection) and isinstance(value, origin):
        return all(fits(item, args[0]) for item in value)
    return isinstance(value, origin)


def _hint(call: Callable[..., Any], annotation: Any) -> Any:
    if not isinstance(annotation, str):
        return Any if annotation is inspect.Parameter.empty else annotation
    try:
        return eval(annotation, _names(inspect.unwrap(call)))  # noqa: S307 - a type hint of our own
    except Exception:  # noqa: BLE001 - a hint that cannot be imported accepts everything
        return Any


def _names(function: Callable[..., Any]) -> dict[str, Any]:
    """The names that a function's hints may use: those of its module, with those imported only for type checking."""
    known = dict(function.__globals__)
    for statement in ast.parse(inspect.getsource(sys.modules[function.__module__])).body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            exec(compile(ast.Module(statement.body, []), function.__module__, "exec"), known)  # noqa: S102 - our own
    return known
