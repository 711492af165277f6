"""Operations over images: on all cores, recorded as recipes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.catalog.images.derived import Recipe
from odin_graph.errors import DataError, OdinError, QueryError
from odin_graph.ops import Geometry, Pipeline
from odin_graph.ops.geometry import composed
from odin_graph.ops.op import ImageOp, build_op, name_of, parameters_of
from odin_graph.runtime.derive.function import Function
from odin_graph.runtime.derive.parallel import run_all
from odin_graph.runtime.derive.storing import DeriveReport, Images, from_parents, of_each, store_made
from odin_graph.runtime.pixels.cropping import cuts
from odin_graph.stores import Stores


def recipe_of(ops: Sequence[ImageOp], name: str, place: str = "") -> Recipe:
    """The recipe that records operations.

    Raises:
        QueryError: One that is not registered.
        DataError: A function whose source cannot be read, or no operation at all.
    """
    if not ops:
        raise DataError("There is no operation to apply: say what to derive, as in query.resize(size=224).")
    steps = [step_of(op) for op in ops]
    code = ", ".join(dict.fromkeys(_code_of(op) for op in ops))
    if len(steps) == 1:
        return Recipe(name, steps[0]["op"], steps[0]["parameters"], code, place)
    return Recipe(name, "pipeline", {"format": 1, "ops": steps}, code, place)


def geometry_to_parent(op: str, params: str, height: int, width: int) -> Geometry:
    """Where the result of a recipe lies on its parent.

    Args:
        op: As the edge DERIVED_FROM holds it.
        params: The same, JSON.
        height: Of the parent.
        width: Of the parent.

    Raises:
        QueryError: A user's function made it, or an operation that does not say where its pixels lie.
    """
    recorded = json.loads(params)
    steps = recorded["ops"] if op == "pipeline" else [{"op": op, "parameters": recorded}]
    if any(step["op"] == "python" for step in steps):
        raise QueryError("The image was made by a function of your own, so the positions of its pixels are not known.")
    return composed([build_op(step["op"], step["parameters"]) for step in steps], height, width)


def step_of(op: ImageOp) -> dict[str, Any]:
    """Name and parameters of an operation, as JSON has them."""
    if isinstance(op, Function):
        return {"op": "python", "parameters": op.parameters()}
    return {"op": name_of(op), "parameters": parameters_of(op)}


def apply(
    threads: int, ops: Sequence[ImageOp], ids: Sequence[str], images: Images, *, workers: int = 0
) -> list[NDArray[Any]]:
    """Images through operations, on so many cores; those of one shape go through them together.

    Raises:
        OdinError: An operation does not fit an image; names the image.
    """
    size = max(1, min(256, -(-len(images) // (4 * (workers or threads)))))
    parts = [slice(start, start + size) for start in range(0, len(images), size)]
    calls = ((ops, ids[part], images[part]) for part in parts)
    return [image for part in run_all(_through, calls, threads=threads, workers=workers) for image in part]


def derive(
    stores: Stores,
    parents: pa.Table,
    ops: Sequence[ImageOp],
    name: str,
    *,
    workers: int = 0,
    progress: bool = True,
    acknowledge: Callable[[str], None] = lambda _: None,
) -> DeriveReport:
    """Store what operations make of images; what is there already with the same parameters is not computed.

    Args:
        stores: The open workspace.
        parents: ``key``, ``id``, and what their derivatives inherit: ``label``, free metadata.
        ops: The operations, in order.
        name: The part of the ids after the #.
        workers: For functions of a user's own; see `odin_graph.runtime.derive.parallel.run_all`.
        progress: Show a bar.
        acknowledge: Called with the last id of each batch once it is stored.

    Raises:
        ConflictError: The name is taken by images that were made in another way.
        OdinError: An operation does not fit an image; names it. Batches that were stored before it stand.
    """
    wanted = of_each(parents, recipe_of(ops, name))
    first, rest = (ops[0], ops[1:]) if cuts(ops) else (None, ops)

    def compute(_: NDArray[np.int64], ids: Sequence[str], images: Images) -> Images:
        return apply(stores.budget.threads, rest, ids, images, workers=workers)

    make = from_parents(stores, wanted, compute, cut=first)
    return store_made(stores, parents, wanted, make, progress=progress, acknowledge=acknowledge)


def _through(ops: Sequence[ImageOp], ids: Sequence[str], images: Images) -> list[NDArray[Any]]:
    pipeline = Pipeline(tuple(ops))
    if len(images) > 1 and len({(image.shape, image.dtype) for image in images}) == 1:
        try:
            # Copies, so that one image that is kept does not keep its whole batch.
            return [np.array(image) for image in pipeline.batch(np.stack(images))]
        except Exception:  # noqa: BLE001, S110 - run one by one, which names the image that fails
            pass
    return [_apply_one(pipeline, id_, image) for id_, image in zip(ids, images, strict=True)]


def _apply_one(pipeline: Pipeline, id_: str, image: NDArray[Any]) -> NDArray[Any]:
    try:
        return np.array(pipeline(image))
    except OdinError as error:
        raise type(error)(f"Image {id_!r}: {error}") from error
    except Exception as error:
        raise DataError(f"Image {id_!r}: an operation failed with {type(error).__name__}: {error}") from error


def _code_of(op: ImageOp) -> str:
    module = (op.call if isinstance(op, Function) else type(op)).__module__ or ""
    package = module.partition(".")[0]
    # Most packages are imported by the name of their distribution; editable installs are known by that alone.
    with suppress(PackageNotFoundError):
        return f"{package.replace('_', '-')} {version(package)}"
    for name in _distributions().get(package, ()):
        return f"{name} {version(name)}"
    declared = getattr(sys.modules.get(package), "__version__", None)
    return f"{package} {declared}" if declared else package


@cache
def _distributions() -> Mapping[str, Sequence[str]]:
    return packages_distributions()
