"""What is recorded of a model: its definition, and what one dry run finds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from odin_graph.catalog.inputs.input import Input
from odin_graph.catalog.models.models import ModelRecord
from odin_graph.catalog.records import files
from odin_graph.errors import DataError, ModelError, ShapeError
from odin_graph.ops import ImageOp, Pipeline
from odin_graph.runtime.layers.layers import LayerRow, layer_table
from odin_graph.runtime.models import trust
from odin_graph.runtime.models.build import call, inspect, run_source
from odin_graph.runtime.models.definition import Definition, Factory, define, versions
from odin_graph.runtime.models.foreign import Foreign
from odin_graph.runtime.models.formats.format import FORMATS, format_of
from odin_graph.runtime.models.program import export_program, load_program
from odin_graph.schema.tasks import parse_task
from odin_graph.stores import Stores


def describe(
    stores: Stores,
    id: str,  # noqa: A002 - the users' word for it
    factory: str | Factory | nn.Module | Any,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    preprocess: Pipeline | Iterable[ImageOp | str | Mapping[str, Any]] = (),
    classes: Sequence[str | int | bool] | None = None,
    task: str | None = None,
    input: Input | None = None,  # noqa: A002 - the users' word for it
    input_shape: Sequence[int] | None = None,
) -> ModelRecord:
    """The record of a model; the arguments are those of `Models.add`."""
    if not isinstance(id, str) or not id:
        raise DataError(f"{id!r} is not an id of a model: give a string that is not empty.")
    pipeline = Pipeline.of(preprocess)
    what = _read_input(input)
    shape = _read_shape(input_shape, what)
    names = None if classes is None else tuple(_plain(name) for name in classes)
    if isinstance(factory, nn.Module):
        definition, table = _of_module(stores, id, factory, shape, args, kwargs)
    elif (form := format_of(factory)) is not None:
        facts = FORMATS.get(form).facts(factory)
        shape = shape or _read_shape(facts.input_shape, what)
        definition, table = _of_format(stores, form, factory, shape, args, kwargs)
        names = names or (None if facts.classes is None else tuple(facts.classes))
        task = task or facts.task
    else:
        definition, table = _of_factory(factory, args, kwargs, shape)
    task = task or ("multi-class" if names else None)
    if task is not None:
        _check_outputs(id, task, names, table)
    return ModelRecord(
        id=id,
        definition=json.dumps(
            {**definition.to_json(), "digest": definition.digest}, ensure_ascii=False, sort_keys=True
        ),
        definition_digest=definition.digest,
        tree=json.dumps([row.to_json() for row in table]),
        preprocess=pipeline.to_json(),
        parameters=table[0].parameters,
        input_shape=shape,
        classes=names,
        task=task,
        input=what.to_text(),
    )


def _of_factory(
    factory: str | Factory, args: Sequence[Any], kwargs: Mapping[str, Any] | None, shape: tuple[int, ...] | None
) -> tuple[Definition, tuple[LayerRow, ...]]:
    definition, live = define(factory, args, kwargs)
    table = inspect(lambda: call(definition, live), shape)
    if definition.kind == "source":
        # The captured source must build by itself what the live class builds, or it fails only elsewhere.
        again = inspect(lambda: call(definition, run_source(definition)), shape)
        if again != table:
            raise ModelError(
                f"The source captured from {definition.target!r} builds another model than the live one does: write "
                "it in a module that can be imported."
            )
    trust.remember(definition, live)
    return definition, table


def _of_module(
    stores: Stores,
    id_: str,
    module: nn.Module,
    shape: tuple[int, ...] | None,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None,
) -> tuple[Definition, tuple[LayerRow, ...]]:
    kind = type(module).__qualname__
    _refuse_arguments(kind, args, kwargs)
    if shape is None:
        raise ModelError(
            f"A {kind} does not say how it was made. Give its class and arguments, db.models.add({id_!r}, {kind}, "
            "kwargs={...}), or input_shape=, to keep it as an exported program."
        )
    layer_table(module, shape)  # reports a shape that does not fit more clearly than the export does
    program = export_program(module, shape)
    table = layer_table(load_program(program.data), shape)
    digest = files.put(stores, files.DEFINED["program"], program.data)
    definition = Definition("program", digest, source=program.graph)
    trust.vouch(definition)
    return definition, table


def _of_format(
    stores: Stores,
    name: str,
    model: Any,
    shape: tuple[int, ...] | None,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None,
) -> tuple[Definition, tuple[LayerRow, ...]]:
    _refuse_arguments(type(model).__qualname__, args, kwargs)
    form = FORMATS.get(name)
    data = form.dump(model)
    table = inspect(lambda: Foreign(form.load(data), f"The {name} model"), shape)
    digest = files.put(stores, files.DEFINED["stored"], data)
    definition = Definition("stored", digest, kwargs={"format": name}, packages=versions(*form.packages))
    trust.vouch(definition)
    return definition, table


def _refuse_arguments(kind: str, args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> None:
    if args or kwargs:
        raise ModelError(f"Arguments go with a class, not with a model that is made already: give {kind} itself.")


def _check_outputs(
    id_: str, task: str, classes: tuple[str | int | bool, ...] | None, table: tuple[LayerRow, ...]
) -> None:
    """Refuse a task whose decision the outputs do not fit; without an input shape only the names are checked."""
    kind = parse_task(task)
    kind.columns(classes or ())
    shape = table[0].shape
    if shape is None:
        return
    try:
        kind.decide(np.zeros((1, *shape), np.float32), classes or ())
    except ShapeError as error:
        raise ShapeError(f"The model {id_!r} does not fit its task {task!r}. {error}") from error


def _read_input(given: Input | None) -> Input:
    what = Input() if given is None else given
    if not isinstance(what, Input):
        raise ModelError(f"input= says what one input is, as og.Input.stack(size=32) does, not {given!r:.80}.")
    return what


def _read_shape(shape: Sequence[int] | None, what: Input) -> tuple[int, ...] | None:
    if shape is None:
        return None
    sizes = tuple(_plain(size) for size in shape)
    number = ("three", "four")[len(what.layout) - 3]
    if len(sizes) != len(what.layout) or not all(type(size) is int and size > 0 for size in sizes):
        raise ShapeError(f"input_shape is {what.axes}, {number} whole numbers above 0, not {tuple(shape)!r}.")
    if what.number is not None and sizes[what.layout.index("d" if "d" in what.layout else "n")] != what.number:
        raise ShapeError(f"input_shape={sizes} is {what.axes}, and an input has {what.number} images: it is {what}.")
    return sizes


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
