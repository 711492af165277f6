"""What the objects of `og.connect` ask of a server: nothing but functions that read, with arguments of their types."""

from __future__ import annotations

from datetime import UTC, date, datetime
from inspect import signature
from typing import Any, get_type_hints

import numpy as np
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from pydantic import TypeAdapter

import odin_graph as og
from odin_graph.analysis.impact import Edge
from odin_graph.client import travel
from odin_graph.query.plan.plan import Plan
from odin_graph.served import SERVED, TRAVELS
from odin_graph.server import Settings, create_app

pytestmark = pytest.mark.one_engine  # arguments on their way to a server, whatever its graph is in


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return bool(one.dtype == other.dtype and np.array_equal(one, other))
    if isinstance(one, tuple | list):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


VALUES: list[Any] = [
    None,
    True,
    -3,
    2**63 - 1,
    0.1,
    float("inf"),
    "a\u00e4\u2028",
    b"\x00\xff",
    datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
    date(2026, 3, 1),
    [1, [2.5, None]],
    (1, ("a",)),
    {"a": 1, 2: [3], (4, 5): None},
    {"$tuple": [1]},
    {"$object": "x"},
    np.arange(6, dtype=np.uint16).reshape(2, 3),
    np.array(["a", None, 3], object),
    pa.table({"a": [1, None], "b": ["x", "y"]}),
    Edge(("image", "a"), ("data set", "b@1"), "test"),
    [{"deep": (np.array([1.5, np.inf]), Edge(("a", "b"), ("c", "d")))}],
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_travels_as_it_is(value: Any) -> None:
    found = travel.from_json(travel.to_json(value, 10_000))
    assert repr(found) == repr(value)
    assert isinstance(value, dict | list) or same(found, value)


def test_more_than_may_travel_is_refused() -> None:
    for value in (np.zeros(2_000), ["x"] * 700, "x" * 10_000, pa.table({"a": range(2_000)})):
        with pytest.raises(og.QueryError, match="more than travels at once"):
            travel.to_json(value, 10_000)


def test_nothing_is_made_but_what_is_known() -> None:
    for data in ({"$object": ["Popen", {"args": "true"}]}, {"$object": ["Stores", {}]}):
        with pytest.raises(og.QueryError, match="does not know"):
            travel.from_json(data)
    assert all(cls.__module__.startswith("odin_graph.") for cls in TRAVELS.values())


def test_every_argument_of_what_is_served_has_a_type() -> None:
    assert len(SERVED) > 70
    for name, function in SERVED.items():
        hints = get_type_hints(function, include_extras=True)
        for argument in list(signature(function).parameters)[1:]:
            hint = hints[argument]
            if hint not in (Plan, Plan | None):
                TypeAdapter(hint), name
        assert "return" in hints, name


def test_what_is_asked_wrongly_is_refused(client: TestClient, retina: og.Workspace) -> None:
    hostile = "Experiment) DETACH DELETE n //"
    before = retina._stores.graph.change_token()
    for name, arguments, status, text in (
        ("os.system", {"command": "true"}, 404, "does not answer"),
        ("experiments.start", {}, 404, "does not answer"),
        ("experiments.summary_of", {}, 422, "'id' is missing"),
        ("experiments.summary_of", {"id": "small-cnn/1", "stores": 1}, 422, "no argument 'stores'"),
        ("experiments.summary_of", {"id": 3}, 422, "'id' does not fit"),
        ("experiments.summary_of", {"id": "nobody"}, 422, "nobody"),
        ("nodes.metadata_of", {"kind": hostile, "id": "small-cnn/1"}, 422, f"no added kind of thing {hostile!r}"),
        ("nodes.metadata_of", {"kind": "Token", "id": "tests"}, 422, "no added kind of thing 'token'"),
        ("things.kind_named", {"name": hostile}, 422, f"no added kind of thing {hostile!r}"),
        ("things.facts_of", {"label": hostile, "id": "a"}, 422, f"no added kind of thing {hostile!r}"),
        ("things.facts_of", {"label": "Experiment", "id": "small-cnn/1"}, 422, "no added kind of thing 'experiment'"),
        ("things.linked_to", {"label": hostile, "id": "a", "name": "b"}, 422, f"no added kind of thing {hostile!r}"),
        ("lineage.users_of", {"kind": hostile, "keys": [1]}, 422, f"no added kind of thing {hostile!r}"),
        ("stacks.stack_ids", {"kind": hostile}, 422, "'kind' does not fit"),
        ("lineage.walk", {"keys": [1], "direction": hostile}, 422, "'direction' does not fit"),
        ("lineage.walk", {"keys": ["1"], "direction": "ancestors"}, 422, "'keys' does not fit"),
        ("workspace.impact_of", {"images": {"odin_query": 5}}, 422, "not well formed"),
    ):
        answer = client.post(f"/v1/ask/{name}", json={"arguments": arguments})
        assert answer.status_code == status, (name, answer.text)
        assert text in answer.json()["error"]["message"], name
    assert client.post("/v1/ask/models.model_ids", json={"arguments": {}, "more": 1}).status_code == 422
    assert retina._stores.graph.change_token() == before


def test_who_asks_is_known_first(retina: og.Workspace) -> None:
    with TestClient(create_app(retina, Settings())) as client:
        for path in ("/v1/ask/models.model_ids", "/v1/pixels", "/v1/thumbnails"):
            assert client.post(path, json={}).status_code == 401


def test_cypher_inside_of_an_argument_is_off_where_cypher_is(retina: og.Workspace, secret: str) -> None:
    query = retina.images(cypher="MATCH (i:Image) RETURN i").to_json()
    with TestClient(create_app(retina, Settings()), headers={"Authorization": f"Bearer {secret}"}) as client:
        answer = client.post("/v1/ask/workspace.impact_of", json={"arguments": {"images": query}})
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "ReadOnlyError")


def test_pixels_of_what_is_gone_do_not_travel(client: TestClient, retina: og.Workspace) -> None:
    retina.images.add(images=np.full((1, 4, 4), 9, np.uint8), ids=["gone"], progress=False)
    key = retina.image("gone").key
    assert client.post("/v1/pixels", json={"keys": [key]}).content.endswith(b"\x09" * 16)
    assert client.post("/v1/pixels", json={"keys": [key], "box": [0, 0, 2, 1]}).content.endswith(b"\x09" * 2)
    for box in ([0, 0, 9, 9], [0, 0], "abcd", 5, {"a": 1}):
        assert client.post("/v1/pixels", json={"keys": [key], "box": box}).status_code == 422, box
    retina.image("gone").delete()
    for path in ("/v1/pixels", "/v1/thumbnails"):
        assert client.post(path, json={"keys": [key]}).status_code == 422
        assert client.post(path, json={"keys": [10**12]}).status_code == 422
        assert client.post(path, json={"keys": []}).status_code == 422
