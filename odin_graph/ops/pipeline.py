"""Operations in a row: a model's preprocessing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Self

import numpy as np

from odin_graph.errors import DataError
from odin_graph.ops.geometry import Geometry, composed
from odin_graph.ops.op import ImageOp, Pixels, build_op, name_of, parameters_of, run_op

FORMAT = 1
"""Of the JSON form."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Operations, applied in order. Two are equal when their operations and parameters are."""

    ops: tuple[ImageOp, ...] = ()

    @classmethod
    def of(cls, steps: Pipeline | Iterable[ImageOp | str | Mapping[str, Any]]) -> Pipeline:
        """Read what a user wrote: operations, names of operations without parameters, or their JSON forms.

        Raises:
            DataError: A step is none of these.
            QueryError: An operation that is not registered.
            UnknownNameError: A name or parameter that does not exist.
        """
        if isinstance(steps, Pipeline):
            return steps
        if isinstance(steps, str | Mapping) or callable(steps):
            raise DataError(f"preprocess= takes a list of image operations: write [{steps!r}].")
        return cls(tuple(_read(step) for step in steps))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The pipeline that `to_json` wrote.

        Raises:
            DataError: It is no such text, or a newer odin_graph wrote it.
            UnknownNameError: It names an operation that is not installed here.
        """
        try:
            form = json.loads(text)
            written, steps = form["format"], [(step["op"], step["parameters"]) for step in form["ops"]]
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{text[:80]!r} is not a pipeline's JSON form: write it with Pipeline.to_json()."
            ) from error
        if written > FORMAT:
            raise DataError(
                f"The pipeline was written by odin_graph {form.get('odin')}: install that version or a newer one."
            )
        return cls(tuple(build_op(name, parameters) for name, parameters in steps))

    def to_json(self) -> str:
        """Names, parameters, and the version of odin_graph whose code they meant."""
        steps = [{"op": name_of(op), "parameters": parameters_of(op)} for op in self.ops]
        return json.dumps({"format": FORMAT, "odin": version("odin-graph"), "ops": steps})

    def __call__(self, pixels: Pixels) -> Pixels:
        """Apply to one image, (h, w, bands) or (h, w)."""
        result = pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels
        for op in self.ops:
            result = run_op(op, result)
        return result

    def batch(self, pixels: Pixels) -> Pixels:
        """Apply to images of one shape, (n, h, w, bands); the same values as one by one."""
        for op in self.ops:
            if getattr(op, "batched", False):
                pixels = run_op(op, pixels)
            else:
                pixels = np.stack([run_op(op, image) for image in pixels])
        return pixels

    def geometry(self, height: int, width: int) -> Geometry:
        """From the result back to an image of a size: where a box or a map of the result lies on it."""
        return composed(self.ops, height, width)

    def __str__(self) -> str:
        """Short: ``resize(size=[28, 28]) > to-float()``."""
        return " > ".join(
            f"{name_of(op)}({', '.join(f'{key}={value!r}' for key, value in parameters_of(op).items())})"
            for op in self.ops
        )


def _read(step: object) -> ImageOp:
    match step:
        case str(name):
            return build_op(name, {})
        case {"op": str(name), **rest}:
            if set(rest) <= {"parameters"}:
                return build_op(name, rest.get("parameters") or {})  # type: ignore[arg-type]
            raise DataError(f'{step!r} is not an operation: write {{"op": {name!r}, "parameters": {{...}}}}.')
        case type():
            raise DataError(f"{step.__qualname__} is a class: write {step.__qualname__}() with its parameters.")
        case ImageOp():
            name_of(step)
            return step
    raise DataError(f"{step!r} is not an image operation: give one of odin_graph.ops, or its name.")
