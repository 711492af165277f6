"""What an image operation is, and the registry of them.

An operation is a frozen dataclass: its fields are its parameters, so they are typed, checked, compared, and the JSON
that a model's preprocessing and an image's lineage record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import ConflictError, DataError, QueryError, UnknownNameError
from odin_graph.registry import PluginError, Registry

Pixels = NDArray[Any]
"""(h, w, bands), of any dtype. Ours also take leading axes, (n, h, w, bands)."""


@runtime_checkable
class ImageOp(Protocol):
    """One operation with its parameters.

    An operation that also takes (n, h, w, bands) says so with a class attribute ``batched = True`` and is then called
    once for a whole batch. One whose result is the box of its geometry, untouched, says ``cuts = True``: where it comes
    first, nothing but that box is read.

    Where its pixels lie on the image is said by a method ``geometry(height, width)``, which returns a `Geometry`, or by
    ``keeps_positions = True`` if each stays in its place. Of one that has neither, positions are refused.
    """

    def __call__(self, pixels: Pixels) -> Pixels:
        """Pixels (h, w, bands) in, pixels (h', w', bands') or (h', w') out; what is handed in stays as it is."""


OPS: Registry[type[ImageOp]] = Registry("image operation", group="odin_graph.ops")


def run_op(op: ImageOp, pixels: Pixels) -> Pixels:
    """Apply an operation to (h, w, bands), or a batched one to (n, h, w, bands); one band may come back without axis.

    Raises:
        DataError: What comes back is no image.
    """
    result = op(pixels)
    if isinstance(result, np.ndarray):
        if result.ndim == pixels.ndim:
            return result
        if result.ndim == pixels.ndim - 1:
            return result[..., np.newaxis]
    kind = f"an array of shape {result.shape}" if isinstance(result, np.ndarray) else type(result).__name__
    raise DataError(
        f"{type(op).__qualname__} gave {kind} for pixels of shape {pixels.shape}, which is not an image: return (h, w) "
        "or (h, w, bands)."
    )


def build_op(name: str, parameters: Mapping[str, Any]) -> ImageOp:
    """The operation of that name with these parameters.

    Raises:
        UnknownNameError: There is no such operation, or it has no such parameter.
        DataError: A parameter is missing, or its value is refused.
    """
    kind = OPS.get(name)
    known = parameter_names(kind)
    for given in parameters:
        if given not in known:
            raise UnknownNameError.of(f"parameter of the image operation {name!r}:", given, known)
    try:
        return kind(**parameters)
    except TypeError as error:
        raise DataError(
            f"The image operation {name!r} takes {', '.join(known) or 'no parameters'}: {error}."
        ) from error


def parameter_names(kind: type[Any]) -> tuple[str, ...]:
    """The names of an operation's parameters: the fields of its dataclass."""
    if not is_dataclass(kind):
        raise QueryError(
            f"{kind.__qualname__} is not a dataclass, so its parameters cannot be recorded: decorate it with "
            "@dataclass(frozen=True, kw_only=True) and make the parameters its fields."
        )
    return tuple(field.name for field in fields(kind) if field.init)


def parameters_of(op: ImageOp) -> dict[str, Any]:
    """The parameters of an operation as JSON has them: tuples are lists."""
    parameter_names(type(op))
    return {name: _plain(value) for name, value in asdict(op).items()}  # type: ignore[call-overload]


def name_of(op: ImageOp) -> str:
    """The name under which an operation's class is registered.

    Raises:
        QueryError: It is not registered, so that nobody could build it again.
        ConflictError: Perhaps it is, but two packages claim its name.
    """
    conflict: ConflictError | None = None
    for name in OPS:
        try:
            if OPS.get(name) is type(op):
                return name
        except PluginError:  # another package's broken entry is not this operation
            continue
        except ConflictError as error:  # a name that two packages claim may be this one's
            conflict = error
    if conflict is not None:
        raise conflict
    given = getattr(op, "__name__", None)
    remedy = "name its class" if given is None else "write it as a frozen dataclass with __call__, and name that"
    raise QueryError(
        f"{given or type(op).__qualname__} is not a registered image operation, so it cannot be recorded: {remedy} in "
        f'the entry points "odin_graph.ops" of your package. There is: {", ".join(OPS)}.'
    )


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value
