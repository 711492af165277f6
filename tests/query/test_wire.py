"""Every node and step survives its JSON form, and what is no query is refused by its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from odin_graph.errors import QueryError
from odin_graph.query.expressions.expressions import F, as_value
from odin_graph.query.expressions.nodes import (
    Added,
    Aggregate,
    Field,
    FrozenLabel,
    ImageField,
    PredictionField,
    Relation,
    SortKey,
    UnitAggregate,
    UnitGroup,
)
from odin_graph.query.plan import wire
from odin_graph.query.plan.columns import Column
from odin_graph.query.plan.parameters import Parameter
from odin_graph.query.plan.plan import AllImages, Cypher, Keys, Members, Plan, Things
from odin_graph.query.plan.registered_step import OutputColumn, RegisteredStep
from odin_graph.query.plan.spaces import LayerOf, NamedVectors
from odin_graph.query.plan.steps.combine import Combine
from odin_graph.query.plan.steps.distinct import Distinct
from odin_graph.query.plan.steps.from_vectors import FromVectors
from odin_graph.query.plan.steps.group_by import GroupBy
from odin_graph.query.plan.steps.nearest import Example, Nearest
from odin_graph.query.plan.steps.order_by import OrderBy
from odin_graph.query.plan.steps.representative import Representative
from odin_graph.query.plan.steps.sample import Sample
from odin_graph.query.plan.steps.select import Select
from odin_graph.query.plan.steps.slice import Slice
from odin_graph.query.plan.steps.using import Using
from odin_graph.query.plan.steps.where import Where
from odin_graph.query.plan.steps.with_columns import WithColumns

from .strategies import VALUES, predicates

TYPES: dict[Field, str] = {ImageField(name): name for name in VALUES}
TYPES |= {FrozenLabel("test@1"): "string", PredictionField("vgg/1", "test@1", "probability", as_value("a")): "float"}
TYPES |= {PredictionField("vgg/1", None, name): "float" for name in ("confidence", "margin", "entropy")}
TYPES |= {Relation("in-dataset", "t@1"): "bool", Relation("used-by", "e", "train"): "bool", Added("distance"): "float"}
TYPES |= {UnitAggregate(UnitGroup("vgg/1", "relu", (3, 17), "vgg/1/2"), "weighted", (0.5, -2.0)): "float"}
TYPES |= {UnitAggregate(UnitGroup("vgg/1", "conv#2", (0,), view="channels-argmax"), "value"): "float"}
TYPES |= {PredictionField("vgg/1", "test@1", "wrong"): "bool", PredictionField("b", "t@2", "predicted"): "string"}

EXPRESSIONS = predicates(TYPES)
LAYERS = st.builds(LayerOf, st.text(), st.text(), st.none() | st.text(), st.text())
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VIEWS = st.sampled_from(["units", "channels-max", "channels-mean", "channels-argmax"])
UNITS = st.builds(UnitGroup, st.text(), st.text(), st.lists(INTEGERS).map(tuple), st.none() | st.text(), VIEWS)
SPACES = LAYERS | st.builds(NamedVectors, st.text()) | UNITS
EXAMPLES = st.lists(
    st.builds(Example, st.none() | INTEGERS, st.none() | st.lists(FLOATS, max_size=3).map(tuple)), max_size=3
).map(tuple)
LITERALS = st.one_of(list(VALUES.values())).map(as_value)
PARAMETERS = st.lists(
    st.builds(Parameter, st.text(), st.none() | LITERALS | st.lists(LITERALS).map(tuple)), max_size=3
).map(tuple)
SOURCES = st.one_of(
    st.just(AllImages()),
    st.builds(Members, st.text()),
    st.lists(INTEGERS).map(lambda keys: Keys(tuple(keys))),
    st.sampled_from(["Experiment", "Dataset", "PredictionSet"]).map(Things),
    st.builds(Cypher, st.text(), PARAMETERS),
)
AGGREGATES = st.builds(Aggregate, st.text(), st.none() | EXPRESSIONS)
COLUMNS = st.lists(st.builds(Column, st.text(), EXPRESSIONS | AGGREGATES)).map(tuple)
STEPS = st.one_of(
    st.builds(Where, EXPRESSIONS),
    st.lists(st.builds(SortKey, EXPRESSIONS, st.booleans())).map(lambda keys: OrderBy(tuple(keys))),
    st.builds(Slice, st.none() | INTEGERS, st.none() | INTEGERS, INTEGERS),
    st.lists(st.builds(Column, st.text(), EXPRESSIONS)).map(lambda columns: WithColumns(tuple(columns))),
    st.lists(st.builds(Column, st.text(), EXPRESSIONS)).map(lambda columns: Select(tuple(columns))),
    st.lists(EXPRESSIONS).map(lambda by: Distinct(tuple(by))),
    st.builds(Sample, INTEGERS.map(abs), INTEGERS.map(abs)),
    st.builds(GroupBy, COLUMNS, COLUMNS),
    st.builds(
        Nearest,
        SPACES,
        INTEGERS,
        EXAMPLES,
        EXAMPLES,
        st.text(),
        st.none() | FLOATS,
        st.none() | st.lists(FLOATS, max_size=3).map(tuple),
    ),
    st.builds(FromVectors, st.text(), SPACES, st.text(), st.none() | INTEGERS, st.none() | FLOATS, INTEGERS, st.text()),
    st.builds(
        RegisteredStep,
        st.text(),
        PARAMETERS,
        COLUMNS,
        st.lists(st.builds(OutputColumn, st.text(), st.text()), max_size=3).map(tuple),
    ),
    st.builds(Representative, LAYERS, INTEGERS, INTEGERS, st.text(), st.none() | EXPRESSIONS, st.none() | EXPRESSIONS),
)
VALIDATOR = Draft202012Validator(wire.schema())
PLANS = st.builds(Plan, SOURCES, st.lists(STEPS, max_size=4).map(tuple))


@st.composite
def combined(draw: st.DrawFn) -> Plan:
    """One plan, or two in a set operation, in the middle of steps."""
    plan = draw(PLANS)
    inside = draw(st.sampled_from(["none", "using", "combine"]))
    if inside == "none":
        return plan
    if inside == "using":
        return plan.then(Using(draw(PLANS), draw(st.none() | st.text())))
    how = draw(st.sampled_from(["union", "intersection", "difference"]))
    return plan.then(Combine(how, draw(PLANS))).then(draw(STEPS))


@given(plan=combined())
def test_a_plan_survives_json(plan: Plan) -> None:
    """Equal by structure, so 1, 1.0 and True come back as they were."""
    text = json.dumps(wire.to_json(plan), allow_nan=False)
    read = wire.from_json(json.loads(text))
    assert read == plan
    assert hash(read) == hash(plan)


SCHEMA = Path(__file__).parents[2] / "docs" / "query.schema.json"


def test_the_published_schema_is_the_codes() -> None:
    remedy = "write json.dumps(odin_graph.query.plan.wire.schema(), indent=1) into docs/query.schema.json"
    assert json.loads(SCHEMA.read_text()) == wire.schema(), remedy
    Draft202012Validator.check_schema(wire.schema())


@pytest.mark.parametrize(
    "plan",
    [
        Plan(Keys((1, 2))).then(Where(((F("age") > 1) & ~F("site").lower().isin(["a"])).node)).then(Sample(3)),
        Plan(Members("t@1")).then(GroupBy((Column("l", FrozenLabel("t@1")),), (Column("n", Aggregate("count")),))),
        Plan(AllImages()).then(Combine("union", Plan(Cypher("RETURN 1", (Parameter("p", as_value(1)),))))),
        Plan(AllImages())
        .then(Nearest(LayerOf("e", "l"), 3, (Example(vector=(0.5, 1.0)),), (Example(image=7),)))
        .then(Select((Column("d", Added("d")),))),
        Plan(AllImages())
        .then(OrderBy((SortKey(F("a").node, True),)))
        .then(Slice(None, 5))
        .then(Distinct((F("a").node,))),
        Plan(AllImages()).then(Where(Relation("used-by", "e", "train"))).then(Representative(LayerOf("e", "l"), 3)),
        Plan(AllImages())
        .then(OrderBy((SortKey(UnitAggregate(UnitGroup("e", "l", (3, 17)), "weighted", (1.0, -0.5)), True),)))
        .then(Nearest(UnitGroup("e", "l", (3,), None, "channels-max"), 3, (Example(image=7),), weights=(1.0,))),
    ],
)
def test_the_schema_takes_every_step(plan: Plan) -> None:
    VALIDATOR.validate(json.loads(json.dumps(wire.to_json(plan))))


@pytest.mark.parametrize(
    "wrong",
    [
        {"source": {"source": "images"}},
        {"odin_query": 9, "source": {"source": "images"}},
        {"odin_query": 2, "source": {"source": "files"}},
        {"odin_query": 2, "source": {"source": "images"}, "stepps": []},
        {"odin_query": 2, "source": {"source": "images"}, "steps": [{"step": "sample", "m": 3}]},
    ],
)
def test_the_schema_refuses_what_is_no_query(wrong: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(wrong)


def where(predicate: dict[str, Any]) -> dict[str, Any]:
    return {
        "odin_query": 1,
        "source": {"source": "images"},
        "steps": [{"step": "where", "predicate": predicate}],
    }


AGE = {"node": "field", "name": "age"}


def test_defaults_may_be_left_out() -> None:
    said = where({"node": "compare", "op": ">", "left": AGE, "right": {"node": "value", "type": "int", "value": 1}})
    assert wire.from_json(said) == Plan(AllImages()).then(Where((F("age") > 1).node))


def test_a_query_of_version_1_is_read() -> None:
    """Its tests of text were nodes of their own."""
    said = where({"node": "not", "operand": {"node": "text", "op": "starts_with", "operand": AGE, "pattern": "a"}})
    assert wire.from_json(said) == Plan(AllImages()).then(Where((~F("age").starts_with("a")).node))


def test_a_query_of_version_4_is_read() -> None:
    """In it ``by`` was the keys of groups, of `distinct` and of an order, too."""
    one = {"step": "distinct", "by": [AGE]}
    order = {"step": "order-by", "keys": [{"by": AGE, "descending": True}, {"by": AGE}]}
    some = {"step": "sample", "n": 3}
    aggregate = {"name": "n", "value": {"node": "aggregate", "function": "count"}}
    group = {"step": "group-by", "by": [{"name": "age", "value": AGE}], "aggregates": [aggregate]}
    said = {"odin_query": 4, "source": {"source": "images"}, "steps": [one, order, some, group]}
    age = F("age").node
    steps = (Distinct((age,)), OrderBy((SortKey(age, True), SortKey(age))), Sample(3))
    groups = GroupBy((Column("age", age),), (Column("n", Aggregate("count")),))
    assert wire.from_json(said) == Plan(AllImages(), (*steps, groups))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "This is not a query"),
        ({"source": {"source": "images"}}, "This is not a query"),
        ({"odin_query": 6, "source": {"source": "images"}}, "version 6, and this odin_graph reads 5: upgrade"),
        ({"odin_query": True, "source": {"source": "images"}}, "version True"),
        ({"odin_query": 1, "source": {"source": "files"}}, "not well formed at source"),
        (where({"node": "exec", "code": "1"}), "not well formed at steps.0.where.predicate"),
        (where({**AGE, "nmae": "x"}), "not well formed at steps.0.where.predicate.field.nmae"),
        (where({"node": "value", "type": "int", "value": "1"}), "'1' is not of type int"),
        (where({"node": "value", "type": "int", "value": True}), "True is not of type int"),
        (where({"node": "value", "type": "date", "value": "soon"}), "'soon' is not of type date: write it as ISO 8601"),
        (where({"node": "value", "type": "float", "value": float("nan")}), "The query is not JSON"),
    ],
)
def test_what_is_no_query_is_refused(data: Any, message: str) -> None:
    with pytest.raises(QueryError) as caught:
        wire.from_json(data)
    assert message in str(caught.value)
