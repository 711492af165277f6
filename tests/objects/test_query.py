"""Queries as users hold them, on both engines."""

from __future__ import annotations

import multiprocessing
import pickle
from random import Random
from typing import Any

import numpy as np
import pytest

import odin_graph as og
from odin_graph.client import LocalSession
from odin_graph.errors import ExpressionError, PositionError, QueryError, ReadOnlyError, UnknownNameError
from odin_graph.objects.query.query import Query
from odin_graph.objects.things.experiment import Experiment
from odin_graph.query.expressions.expressions import F
from odin_graph.query.expressions.nodes import FrozenLabel, ImageField, PredictionField
from odin_graph.query.names.cypher_source import cypher_source
from odin_graph.query.plan.plan import AllImages, Members, Plan
from odin_graph.stores import Stores
from tests.kept import kept
from tests.query.worlds import World, build


@kept
def world(stores: Stores) -> World:
    return build(stores, Random(3))


@pytest.fixture
def members(stores: Stores, world: World) -> Query:
    return Query(stores.address, Plan(Members(world.dataset)))


@pytest.fixture
def everything(stores: Stores, world: World) -> Query:
    return Query(stores.address, Plan(AllImages()))


@pytest.fixture
def vgg(stores: Stores, world: World) -> Experiment:
    return Experiment(LocalSession(stores), "vgg/1")


def test_a_data_set_is_in_its_order(members: Query, world: World) -> None:
    assert members.keys().tolist() == world.keys
    assert len(members) == members.count() == 35
    assert [image.key for image in members] == world.keys


def test_steps_leave_the_query_as_it_was(members: Query) -> None:
    before = members.plan
    members.where(F("age") > 1).order_by(F("age"))[:3]
    assert members.plan == before


def test_slices_do_what_a_list_does(members: Query, world: World) -> None:
    for cut in (
        slice(10),
        slice(10, 20),
        slice(-5, None),
        slice(None, None, 7),
        slice(30, 99),
        slice(5, 2),
        slice(-3, -1),
    ):
        assert members[cut].keys().tolist() == world.keys[cut], cut
        assert members[3:][cut].keys().tolist() == world.keys[3:][cut], cut
    assert members.limit(4).keys().tolist() == world.keys[:4]
    assert [members[position].key for position in (0, 7, -1)] == [world.keys[position] for position in (0, 7, -1)]


def test_a_position_beyond_the_end(members: Query) -> None:
    with pytest.raises(PositionError, match="There is no image at position 35: the query has 35"):
        members[35]
    with pytest.raises(IndexError):
        members[-36]


def test_where_after_limit_filters_what_the_limit_left(members: Query, world: World) -> None:
    expected = [key for key in world.keys[:10] if (world.rows[key][ImageField("visits")] or 0) > 1]
    assert members.limit(10).where(F("visits") > 1).keys().tolist() == expected


def test_a_misspelt_field_lists_what_there_is(members: Query) -> None:
    with pytest.raises(UnknownNameError) as caught:
        members.where(F("lable") == "DME")
    assert str(caught.value).startswith("There is no image field 'lable'. Did you mean 'label'? There is: age, ")


def test_types_are_checked_when_the_step_is_built(members: Query, vgg: Experiment) -> None:
    with pytest.raises(ExpressionError, match="compares an int with a string: give an int"):
        members.where(F("age") > "60")
    with pytest.raises(ExpressionError, match="compares a string with an int: give a string"):
        members.where(vgg.predicted == 3)
    with pytest.raises(ExpressionError, match=r"where\(\) takes expressions, .* not True"):
        members.where(True)  # type: ignore[arg-type]
    with pytest.raises(QueryError, match="at least one condition"):
        members.where()


def test_the_label_over_a_data_set_is_the_frozen_one(
    stores: Stores, members: Query, everything: Query, world: World
) -> None:
    """A correction changes today's truth and no frozen result."""
    first = world.keys[0]
    was = world.rows[first][FrozenLabel(world.dataset)]
    stores.graph.write("MATCH (i:Image {key: $key}) SET i.label = 'corrected'", {"key": first})
    assert everything.where(F("label") == "corrected").keys().tolist() == [first]
    assert members.where(F("label") == "corrected").count() == 0
    assert first in members.where(F("label") == was).keys().tolist()
    assert members[:1].to_arrow("label").column("label").to_pylist() == [was]


def test_writes_of_others_are_seen_at_once(stores: Stores, everything: Query) -> None:
    old = everything.where(F("visits") == 77)
    assert old.count() == 0
    stores.graph.write("MATCH (i:Image {id: $id}) SET i.visits = 77", {"id": everything[4].id})
    assert old.keys().tolist() == [everything[4].key]


def test_deleted_images_are_not_seen(stores: Stores, members: Query, everything: Query, world: World) -> None:
    gone = world.keys[2]
    stores.graph.write("MATCH (i:Image {key: $key}) SET i.deleted = true", {"key": gone})
    source = Query(stores.address, Plan(cypher_source("MATCH (i:Image) RETURN i.key", {})))
    for query in (members, everything, source, members.where(F("id") != "")):
        assert gone not in query.keys().tolist()
    assert gone not in [row["key"] for row in stores.graph.read(*_statement(everything.where(F("id") != "")))]


def _statement(query: Query) -> tuple[str, dict[str, object]]:
    said = query.to_cypher()
    return said.text, said.parameters


# Predictions


def test_what_a_model_said(members: Query, vgg: Experiment, world: World) -> None:
    probabilities = world.probabilities["vgg/1"]
    dme = members.where(vgg.probability("DME") > 0.5)
    assert dme.keys().tolist() == [key for key in world.keys if probabilities.get(key, [0])[0] > 0.5]
    torn = members.where(vgg.margin < 0.2)
    margins = {key: np.subtract(*np.sort(np.float64(row))[:-3:-1]) for key, row in probabilities.items()}
    assert torn.keys().tolist() == [key for key in world.keys if key in margins and margins[key] < 0.2]
    table = members.with_columns(h=vgg.entropy).to_arrow("id")
    for key, found in zip(table.column("key").to_pylist(), table.column("h").to_pylist(), strict=True):
        row = np.float64(probabilities[key]) if key in probabilities else None
        expected = None if row is None else -sum(p * np.log(p) for p in row if p > 0)
        assert found == (None if expected is None else pytest.approx(expected))


def test_two_experiments_in_one_expression(stores: Stores, members: Query, vgg: Experiment, world: World) -> None:
    cnn = Experiment(LocalSession(stores), "cnn/1")
    said = {name: PredictionField(name, world.dataset, "wrong") for name in ("vgg/1", "cnn/1")}
    expected = [
        key for key in world.keys if world.rows[key][said["vgg/1"]] is True and world.rows[key][said["cnn/1"]] is False
    ]
    assert members.where(vgg.wrong & ~cnn.wrong).keys().tolist() == expected


def test_predictions_need_a_data_set(everything: Query, vgg: Experiment, world: World) -> None:
    with pytest.raises(QueryError) as caught:
        everything.where(vgg.wrong)
    assert str(caught.value) == (
        "Experiment 'vgg/1' predicts over data sets, and this query reads none. It has predictions over test@1. "
        'Say which: exp.on("test@1").wrong.'
    )
    wrong = [key for key in world.keys if world.rows[key][PredictionField("vgg/1", "test@1", "wrong")]]
    assert everything.where(vgg.on("test").wrong).keys().tolist() == sorted(wrong)


def test_no_predictions_says_how_to_make_them(stores: Stores, members: Query, vgg: Experiment) -> None:
    from odin_graph.catalog.datasets.datasets import create_dataset

    other = create_dataset(stores, "other", members.keys()[:5])
    with pytest.raises(QueryError) as caught:
        Query(stores.address, Plan(Members(other))).where(vgg.wrong)
    assert "has no ready predictions over 'other@1'. It has predictions over test@1." in str(caught.value)
    assert 'db.experiment("vgg/1").predict("other@1")' in str(caught.value)
    with pytest.raises(UnknownNameError, match=r"There is no experiment 'vgg/2'\. Did you mean 'vgg/1'\?"):
        members.where(Experiment(LocalSession(stores), "vgg/2").wrong)
    with pytest.raises(UnknownNameError, match=r"There is no class of 'vgg/1' 'DNE'\. Did you mean 'DME'\?"):
        members.where(vgg.probability("DNE") > 0.5)


# Cypher as a source


@pytest.mark.parametrize("returned", ["i", "DISTINCT i", "i.key", "i.key AS key"])
def test_any_cypher_is_a_source(stores: Stores, world: World, returned: str) -> None:
    text = f"MATCH (i:Image) WHERE i.visits > $n WITH i ORDER BY i.key DESC RETURN {returned}"
    query = Query(stores.address, Plan(cypher_source(text, {"n": 1})))
    found = query.keys().tolist()
    assert found == sorted(found, reverse=True)
    assert (
        query.where(F("visits") == 2).count() == Query(query.address, Plan(AllImages())).where(F("visits") == 2).count()
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MATCH (i:Image) RETURN i.id", "The Cypher returns no images: its columns are 'i.id'. Return the image"),
        ("MATCH (i:Image) RETURN count(i) AS n", "its columns are 'n'"),
        ("MATCH (i:Image)<-[:HAD_MEMBER]-(d) RETURN d", "its columns are 'd'"),
        ("MATCH (i:Image) RETURN i, i AS j", "images in several columns, 'i' and 'j'"),
    ],
)
def test_cypher_that_returns_no_images(stores: Stores, world: World, text: str, message: str) -> None:
    query = Query(stores.address, Plan(cypher_source(text, {})))
    with pytest.raises(QueryError) as caught:
        query.count()
    assert message in str(caught.value)


def test_cypher_cannot_write(stores: Stores, world: World) -> None:
    query = Query(stores.address, Plan(cypher_source("MATCH (i:Image) SET i.age = 0 RETURN i", {})))
    with pytest.raises(ReadOnlyError):
        query.count()


def test_values_stay_values(stores: Stores, world: World) -> None:
    """A text that is Cypher is compared, not run."""
    hostile = "' OR true RETURN i //"
    source = cypher_source("MATCH (i:Image) WHERE i.id = $id RETURN i", {"id": hostile})
    assert Query(stores.address, Plan(source)).count() == 0
    assert not stores.graph.user_read(*_statement(Query(stores.address, Plan(AllImages())).where(F("id") == hostile)))


# Elsewhere


def test_json_round_trip(members: Query, vgg: Experiment) -> None:
    query = members.where(vgg.wrong, F("age") > 1).order_by(F("age").desc())[:5].with_columns(said=vgg.predicted)
    again = Query.from_json(query.address, query.to_json())
    assert again.plan == query.plan
    assert again.run().equals(query.run())


def test_json_is_checked_as_if_it_were_written_here(members: Query) -> None:
    said = members.where(F("age") > 1).to_json()
    said["steps"][0]["predicate"]["left"]["name"] = "aeg"
    with pytest.raises(UnknownNameError, match="There is no image field 'aeg'"):
        Query.from_json(members.address, said)


def test_a_query_runs_in_another_process(
    members: Query, vgg: Experiment, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    if stores.address.password is not None:  # it does not travel in a pickle
        monkeypatch.setenv("ODIN_GRAPH_PASSWORD", stores.address.password)
    query = members.where(vgg.wrong)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(len, (query,)) == len(query)
    assert pickle.loads(pickle.dumps(query)).plan == query.plan


def test_tables_have_every_field(members: Query, world: World) -> None:
    table = members.to_arrow()
    assert table.column_names[:3] == ["key", "id", "label"]
    assert {"age", "iop", "site name", "width", "digest"} <= set(table.column_names)
    assert table.column("age").to_pylist() == [world.rows[key][ImageField("age")] for key in world.keys]
    assert members.to_pandas("id", "born").columns.tolist() == ["key", "id", "born"]


def test_explain_shows_engines_and_reasons(members: Query, vgg: Experiment, world: World) -> None:
    query = members.where(vgg.wrong).order_by(F("age").desc())[:3]
    lines = str(query.explain()).splitlines()
    assert lines[0] == "slice [:3]  → about 3 rows"
    assert lines[2].startswith('└─ order by F("age").desc()  → about ')
    assert lines[4].startswith("   └─ where vgg/1.wrong  → about ")
    assert lines[6] == "      └─ members of test@1  → about 35 rows"
    assert lines[7].startswith("            [arrays] a frozen version keeps its keys")
    ran = query.explain(run=True)
    wrong = members.where(vgg.wrong).count()
    assert [part.rows for part in ran.parts] == [3, wrong, wrong, 35]
    assert "→ 35 rows (expected about 35) in " in str(ran)


def test_repr_is_what_was_written_and_runs_nothing(members: Query, vgg: Experiment) -> None:
    query = members.where(vgg.wrong & (F("age") > 60)).order_by(F("age").desc())[:10]
    assert repr(query) == (
        'Query(images("test@1").where(vgg/1.wrong & (F("age") > 60)).order_by(F("age").desc())[:10])'
    )


def test_notebook_display_escapes_what_users_named(members: Query) -> None:
    shown = members.where(F("id") != "<script>")._repr_html_()
    assert "<script>" not in shown
    assert "35 images" in shown


@pytest.mark.parametrize("item", ["a", 1.5, True, None, slice(1.5, 2), slice("a", None), slice(None, None, "b")])
def test_what_is_no_position_is_refused(members: Query, item: Any) -> None:
    with pytest.raises(QueryError, match=r"query\["):
        members[item]
    with pytest.raises(QueryError, match=r"query\["):
        members.agg(n=og.count())[item]


def test_numbers_of_numpy_and_huge_ones(members: Query) -> None:
    keys = members.keys().tolist()
    assert members[np.int64(1)].key == keys[1]
    assert members[np.int8(1) : np.uint64(3)].keys().tolist() == keys[1:3]
    assert members.limit(np.int64(2)).keys().tolist() == keys[:2]
    assert members[-(10**30) : 10**30].keys().tolist() == keys
    assert members.limit(10**30).keys().tolist() == keys
    assert members.sample(10**30).keys().tolist() == keys
    statement = members.order_by(F("id"))[1 : 10**30].to_cypher()
    found = members._stores.graph.user_read(statement.text, statement.parameters)
    assert [row["key"] for row in found] == members.order_by(F("id")).keys().tolist()[1:]
