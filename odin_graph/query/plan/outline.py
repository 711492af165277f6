"""A plan as Python code: for `repr` and for messages."""

from __future__ import annotations

from typing import assert_never

from odin_graph.query.expressions.nodes import UnitGroup, Value
from odin_graph.query.expressions.spelling import some, spell, spell_group, spell_key
from odin_graph.query.plan.plan import (
    AllImages,
    Column,
    Combine,
    Cypher,
    Distinct,
    Example,
    FromVectors,
    GroupBy,
    Keys,
    Members,
    NamedVectors,
    Nearest,
    OrderBy,
    Plan,
    Registered,
    RegisteredStep,
    Representative,
    Sample,
    Select,
    Slice,
    Source,
    Space,
    Step,
    Things,
    Using,
    Where,
    WithColumns,
)


def outline(plan: Plan) -> str:
    """The plan as Python: ``images("mnist-test@1").where(F("age") > 60)[:10]``."""
    return _source(plan.source) + "".join(map(_step, plan.steps))


def bounds(cut: Slice) -> str:
    """A slice as Python: ``10:20``."""
    start, stop = ("" if bound is None else str(bound) for bound in (cut.start, cut.stop))
    return f"{start}:{stop}:{cut.stride}" if cut.stride != 1 else f"{start}:{stop}"


def first_line(text: str, length: int = 60) -> str:
    """A text on one line, cut short visibly."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 3] + "..."


def _source(source: Source) -> str:
    match source:
        case AllImages():
            return "images()"
        case Members(dataset):
            return f'images("{dataset}")'
        case Keys(keys):
            return f"images(<{len(keys):,} images>)"
        case Cypher(text):
            return f'images(cypher="{first_line(text)}")'
        case Registered(name, parameters):
            given = "".join(f", {parameter.name}={_literal(parameter.value)}" for parameter in parameters)
            return f'images(source("{name}"{given}))'
        case Things(kind):
            return f"{kind}s()"
    assert_never(source)


def _literal(value: Value | tuple[Value, ...] | None) -> str:
    return repr([item.value for item in value] if isinstance(value, tuple) else None if value is None else value.value)


def _named(columns: tuple[Column, ...]) -> str:
    return ", ".join(f"{column.name}={spell(column.value)}" for column in columns)


def _examples(step: Nearest) -> str:
    def described(examples: tuple[Example, ...]) -> str:
        if len(examples) > 1:
            return f"{len(examples)} examples"
        return "an image" if examples and examples[0].image is not None else "a vector"

    return described(step.like) + (f", unlike={described(step.unlike)}" if step.unlike else "")


def _space(by: Space) -> str:
    if isinstance(by, UnitGroup):
        return spell_group(by)
    return f'vectors["{by.vectors}"]' if isinstance(by, NamedVectors) else f"{by.experiment}:{by.layer}"


def _how(step: Nearest) -> str:
    """The settings of a search that are not the default."""
    recall = "" if step.recall is None else f", recall={step.recall:g}"
    weights = "" if step.weights is None else f", weights=[{some(f'{weight:g}' for weight in step.weights)}]"
    return _metric(step.metric) + recall + weights


def _metric(name: str) -> str:
    return "" if name == "cosine" else f', metric="{name}"'


def _step(step: Step) -> str:  # noqa: C901 - one case a step
    match step:
        case Where(predicate):
            return f".where({spell(predicate)})"
        case OrderBy(keys):
            return f".order_by({', '.join(map(spell_key, keys))})"
        case Slice():
            return f"[{bounds(step)}]"
        case WithColumns(columns):
            return f".with_columns({_named(columns)})"
        case Select(columns):
            return f".select({_named(columns)})"
        case GroupBy(by, aggregates):
            return f".group_by({_named(by)}).agg({_named(aggregates)})"
        case Distinct(by):
            return f".distinct({', '.join(map(spell, by))})"
        case Sample(n, seed):
            return f".sample({n}, seed={seed})"
        case Combine(how, other):
            return f".{how}({outline(other)})"
        case Using(images, role):
            return f".using({outline(images)}{'' if role is None else f', role={role!r}'})"
        case Nearest(by, k):
            return f".nearest({_examples(step)}, by={_space(by)}, k={k}{_how(step)})"
        case FromVectors():
            settings = {"k": step.k, "within": step.within, "seed": step.seed or None}
            settings_text = "".join(f", {name}={value}" for name, value in settings.items() if value is not None)
            return f".{step.function.replace('-', '_')}(by={_space(step.by)}{settings_text}{_metric(step.metric)})"
        case Representative(by, k):
            return f".representative({k}, by={_space(by)}, seed={step.seed})"
        case RegisteredStep(name, parameters):
            given = ", ".join(f"{parameter.name}={_literal(parameter.value)}" for parameter in parameters)
            return f".{name.replace('-', '_')}({given})"
    assert_never(step)
