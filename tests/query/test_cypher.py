"""The text that is compiled: names are quoted, values never enter it, and what has no form says why."""

from __future__ import annotations

from typing import Any

import pytest

from odin_graph.errors import QueryError
from odin_graph.query.cypher.expression import Names, compile_expression
from odin_graph.query.cypher.statement import to_cypher
from odin_graph.query.expressions.expressions import Expr, F, as_value
from odin_graph.query.expressions.nodes import Field, FrozenLabel, ImageField, PredictionField, SortKey
from odin_graph.query.names.prediction_sets import ReadySet
from odin_graph.query.plan.plan import AllImages, Cypher, Keys, Members, Plan
from odin_graph.query.plan.spaces import NamedVectors
from odin_graph.query.plan.steps.nearest import Example, Nearest
from odin_graph.query.plan.steps.order_by import OrderBy
from odin_graph.query.plan.steps.slice import Slice
from odin_graph.query.plan.steps.where import Where
from odin_graph.schema.kinds import KINDS

HOSTILE = "x' OR true //"
WRONG = Expr(PredictionField("vgg/1", "test@1", "wrong"))


def ready(field: PredictionField, *, nodes: bool = True) -> ReadySet:
    return ReadySet(f"{field.experiment}/predictions/1", 1, "test@1", None, ("a", "b"), nodes)


class Said:
    """What the names of the tests mean."""

    def __init__(self, *, nodes: bool = True) -> None:
        self.kind = KINDS["Image"]
        self.fields = {"age": "int", "id": "string", "Patient ID": "string"}
        self._nodes = nodes

    def type_of(self, field: Field) -> str:
        return self.fields[field.name] if isinstance(field, ImageField) else "bool"

    def prediction_set(self, field: PredictionField) -> ReadySet:
        return ready(field, nodes=self._nodes)


MEANINGS = Said()


@pytest.mark.parametrize(
    ("said", "text", "parameters"),
    [
        (F("age") != 60, "(i.`age` <> $p0)", {"p0": 60}),
        (F("Patient ID") == HOSTILE, "(i.`Patient ID` = $p0)", {"p0": HOSTILE}),
        (F("id").contains(HOSTILE), "(i.`id` CONTAINS $p0)", {"p0": HOSTILE}),
        (F("id").isin([HOSTILE]), "(i.`id` IN $p0)", {"p0": [HOSTILE]}),
        (F("id").isin([]), "false", {}),
        (~WRONG | F("age").is_null(), "((NOT prediction0.wrong) OR (i.`age` IS NULL))", {}),
    ],
)
def test_values_are_parameters_and_names_are_quoted(said: Expr, text: str, parameters: dict[str, Any]) -> None:
    names = Names()
    assert compile_expression(said.node, names) == text
    assert names.parameters == parameters


def test_a_name_that_is_cypher_is_refused() -> None:
    with pytest.raises(QueryError, match="cannot be a name in the graph"):
        compile_expression((F("a`) RETURN 1 //") == 1).node, Names())


def test_one_statement() -> None:
    plan = Plan(Members("test@1"), (Where(WRONG.node), OrderBy((F("age").desc(),)), Slice(5, 15)))
    said = to_cypher(plan, MEANINGS)
    assert said.text.splitlines() == [
        "MATCH (:Dataset {id: $p0})<-[:PART_OF]-(chunk:MemberChunk)",
        "UNWIND chunk.keys AS key WITH key MATCH (i:Image {key: key})",
        "WHERE i.deleted IS NULL",
        "OPTIONAL MATCH (i)<-[:OF]-(prediction0:Prediction)-[:PART_OF]->(prediction0set:PredictionSet {id: $p1}) WHERE "
        + KINDS["PredictionSet"].alive("prediction0set"),
        "WITH i, prediction0",
        "WHERE prediction0.wrong",
        "WITH i, prediction0",
        "ORDER BY i.`age` IS NULL, i.`age` DESC, i.key",
        "SKIP $p2",
        "LIMIT $p3",
        "RETURN i.id AS id, i.key AS key",
        "ORDER BY i.`age` IS NULL, i.`age` DESC, i.key",
    ]
    assert said.parameters == {"p0": "test@1", "p1": "vgg/1/predictions/1", "p2": 5, "p3": 10}


def test_a_users_own_cypher_comes_back() -> None:
    source = Cypher("MATCH (i:Image) RETURN i")
    assert to_cypher(Plan(source), MEANINGS).text == source.text


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (
            Plan(Members("t@1"), (Where((Expr(FrozenLabel("t@1")) == "a").node),)),
            "labels frozen in a data set are an array",
        ),
        (
            Plan(AllImages(), (Where((Expr(PredictionField("v", "t@1", "probability", as_value("a"))) > 0.5).node),)),
            "v.probability('a') has no form in Cypher: probabilities are an array",
        ),
        (
            Plan(AllImages(), (Nearest(NamedVectors("clip"), 3, (Example(image=1),)),)),
            "nearest() has no form in Cypher",
        ),
        (Plan(AllImages(), (Slice(-5, None),)), "A slice from the end, or with a stride, has no form"),
        (Plan(Keys((3, 1)), (Slice(0, 1),)), "A slice in the source's own order has no form"),
        (Plan(Cypher("RETURN 1"), (Slice(0, 1),)), "The steps over images(cypher=...) have no form"),
    ],
)
def test_what_has_no_form_says_which_part_and_why(plan: Plan, message: str) -> None:
    with pytest.raises(QueryError) as caught:
        to_cypher(plan, MEANINGS)
    assert message in str(caught.value)


def test_predictions_without_nodes_say_how_to_add_them() -> None:
    plan = Plan(Members("test@1"), (Where(WRONG.node), OrderBy((SortKey(F("age").node),))))
    with pytest.raises(
        QueryError, match=r"vgg/1/predictions/1 was stored without nodes\. Predict or log them again with nodes=True\."
    ):
        to_cypher(plan, Said(nodes=False))
