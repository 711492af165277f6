# ruff: noqa: DTZ001 - datetimes without a zone are values, too
"""What every answer keeps: values as they are, ids as they are, headers, and nothing of the machine."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

import odin_graph as og
from odin_graph.catalog.records.tokens import create_token, revoke_token, tokens
from odin_graph.client.link import quoted
from odin_graph.query.plan.json_values import from_json, to_json
from odin_graph.runtime.models import trust
from odin_graph.server import Settings, create_app
from odin_graph.stores import hidden_texts
from tests.server.serving import served

IDS = [
    "a",
    "a/pixels",
    "a/pixels/pixels",
    "a/thumbnail",
    "a/lineage",
    "a/../b",
    "..",
    ".",
    "../a",
    "a//b",
    "/a",
    "a/",
    "%2F",
    "a%2Fpixels",
    "a?format=png",
    "a#b",
    "a b+c",
    "ä/é",
    "\U0001f600",
    "a\\b",
    "a;b=c&d",
    ":id",
    "{id}",
]


@pytest.fixture(scope="module")
def odd(retina: og.Workspace) -> og.Workspace:
    """Images of every odd id, each with its own pixels."""
    images = np.arange(len(IDS), dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)
    retina.images.add(images=images, ids=IDS, progress=False)
    return retina


@pytest.fixture(scope="module")
def far(odd: og.Workspace, secret: str) -> Iterator[og.Workspace]:
    with (
        served(odd, Settings(cypher=True)) as port,
        og.connect(f"http://127.0.0.1:{port}", token=secret) as workspace,
    ):
        yield workspace


def test_every_id_is_its_own_address(far: og.Workspace, odd: og.Workspace) -> None:
    """Whatever an id holds, its address gives that image and no other: fields, pixels, picture, lineage."""
    for number, id_ in enumerate(IDS):
        image = far.images[id_]
        assert (image.id, image.key) == (id_, odd.images[id_].key), id_
        assert np.unique(image.pixels).tolist() == [number], id_
        assert image.predictions() == []
        for what in ("pixels", "thumbnail", "predictions", "lineage"):
            assert far._session.link.get_bytes(f"/v1/images/{quoted(id_)}/{what}") is not None
    for absent in ("b", "a/lineage/x", "pixels", "a%252Fpixels"):
        with pytest.raises(og.UnknownNameError):
            far.images[absent]


VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    2**53 + 1,
    2**63 - 1,
    -(2**63),
    0.1,
    -0.0,
    1e300,
    math.inf,
    -math.inf,
    math.nan,
    "",
    "ä\U0001f600\x00",
    b"",
    b"\x00\xff",
    datetime(2020, 1, 2, 3, 4, 5, 678901),
    datetime(2020, 1, 2, tzinfo=UTC),
    datetime(2020, 1, 2).date(),
    datetime(2020, 1, 2, 3, 4, 5).time(),
    [1, math.inf, [b"a"]],
    {"$float": "NaN"},
    {"$map": {"$bytes": 3}},
    {"a": math.nan, "b": {"$x": 1}},
    {},
]


def same(a: Any, b: Any) -> bool:
    """Of one type and value: -0.0 is not 0.0, NaN is NaN."""
    if isinstance(a, float) and isinstance(b, float):
        return math.isnan(b) if math.isnan(a) else (a, math.copysign(1, a)) == (b, math.copysign(1, b))
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[name], b[name]) for name in a)
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_json_gives_back_what_was_written(value: Any) -> None:
    """Every value comes back from JSON as it was, also inside of others."""
    import json

    for held in (value, [value], {"a": value}):
        assert same(from_json(json.loads(json.dumps(to_json(held), allow_nan=False))), held)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["$float", "$map"]), inner),
    )
)
def test_json_gives_back_anything(value: Any) -> None:
    """Also what was made up."""
    assert same(from_json(to_json(value)), value)


def test_values_travel_as_they_are(far: og.Workspace, odd: og.Workspace, client: TestClient) -> None:
    """Infinity, NaN, -0.0, large integers, times and missing values of Cypher and of fields are the same far away."""
    for text in ("1.0 / 0.0", "-1.0 / 0.0", "0.0 / 0.0", "-0.0", "9007199254740993", "null", "date('2020-01-02')"):
        statement = f"RETURN {text} AS value"
        (here,), (there,) = odd.cypher(statement), far.cypher(statement)
        assert same(there["value"], here["value"]), text
    for value in (math.inf, -math.inf, 2**53 + 1, -0.0, datetime(2020, 1, 2, 3, 4), "a", [1, 2], None):
        (there,) = far.cypher("RETURN $value AS value", value=value)
        assert same(there["value"], value), value
    odd.images[IDS[0]].update(ratio=math.inf, count=2**53 + 1, taken=datetime(2020, 1, 2, tzinfo=UTC))
    here, there = odd.images[IDS[0]], far.images[IDS[0]]
    for name in ("ratio", "count", "taken"):
        assert same(there[name], here[name]), name
    query = odd.images(IDS[:2]).to_json()
    body = {"query": query, "columns": ["id", "ratio", "count"]}
    first, second = client.post("/v1/query", json=body).json()["rows"]
    keys = [odd.images[id_].key for id_ in IDS[:2]]
    assert first == {"key": keys[0], "id": IDS[0], "ratio": {"$float": "Infinity"}, "count": 2**53 + 1}
    # Every column, null where there is no value.
    assert second == {"key": keys[1], "id": IDS[1], "ratio": None, "count": None}


def test_pages_are_bounded_by_bytes(retina: og.Workspace, secret: str) -> None:
    """A page ends where it would get too large, and the next one goes on there."""
    app = create_app(retina, Settings(page_bytes=2000))
    with TestClient(app, headers={"Authorization": f"Bearer {secret}"}) as client:
        body: dict[str, Any] = {"query": retina.images("retina-test").to_json(), "columns": ["id"]}
        rows: list[Any] = []
        pages = 0
        while True:
            answer = client.post("/v1/query", json=body)
            assert len(answer.content) < 3000
            page = answer.json()
            rows += page["rows"]
            pages += 1
            if page["cursor"] is None:
                break
            body["cursor"] = page["cursor"]
    assert pages > 1
    assert rows == retina.images("retina-test").to_arrow("id").to_pylist()


def test_a_data_set_says_its_counts(client: TestClient, retina: og.Workspace) -> None:
    """Counts are images by label."""
    said = client.get("/v1/datasets/retina-test").json()
    assert said["counts"] == retina.dataset("retina-test").label_counts()


def test_every_answer_has_the_headers(client: TestClient, retina: og.Workspace) -> None:
    """Answers, errors, refusals and pages say what a browser may make of them."""
    with TestClient(create_app(retina)) as stranger:
        for who, path in (
            (client, "/health"),
            (client, "/v1/datasets"),
            (client, "/v1/images/nothing"),
            (client, "/nowhere"),
            (client, "/docs"),
            (client, "/redoc"),
            (client, "/openapi.json"),
            (client, "/v1/images/scan000.png/pixels"),
            (stranger, "/v1/datasets"),
            (stranger, "/ready"),
        ):
            headers = who.get(path).headers
            assert headers["x-content-type-options"] == "nosniff", path
            assert headers["x-frame-options"] == "DENY"
            assert headers["referrer-policy"] == "no-referrer"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert ("script-src" in headers["content-security-policy"]) == (path in ("/docs", "/redoc"))


def test_no_answer_holds_what_is_the_servers_own(client: TestClient, retina: og.Workspace) -> None:
    """An error names what was wrong in the request, and no address, path or password."""
    secrets = hidden_texts(retina._stores)
    assert len(secrets) >= 3
    for statement, named in (
        ("CALL nobody.knows()", "nobody.knows"),
        ("RETURN nobody.knows()", "nobody.knows"),
        ("CALL { CALL nobody.knows() YIELD x RETURN x } RETURN x", "nobody.knows"),
        ("SHOW USERS", "SHOW"),
        ("LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line", "LOAD CSV"),
        ("//\rLOAD CSV FROM 'http://127.0.0.1:1/a' AS line RETURN line", "LOAD CSV"),
        ("CALL dbms.killConnections(['a'])", "killconnections"),
    ):
        answer = client.post("/v1/cypher", json={"statement": statement})
        assert answer.status_code in (403, 422), answer.text
        assert named.lower() in answer.text.lower() or "write" in answer.text
        assert not [secret for secret in secrets if secret in answer.text]


def test_an_engine_that_is_gone(retina: og.Workspace, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server lives on, says that it is not ready, and keeps the engine's address to itself."""
    graph = retina._stores.graph
    with TestClient(create_app(retina), headers={"Authorization": f"Bearer {secret}"}) as client:
        error = og.UnreachableError(f"No graph engine answers at {graph.address}: {graph.endpoint.password}.")

        def gone(*_: Any, **__: Any) -> Any:
            raise error

        monkeypatch.setattr(graph, "_managed", gone)
        monkeypatch.setattr(graph, "verify", gone)
        monkeypatch.setattr(graph, "change_token", gone)
        assert client.get("/health").status_code == 200
        for path in ("/ready", "/v1/datasets"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["error"]["type"]) == (503, "UnreachableError")
            assert graph.address not in answer.text
            assert graph.endpoint.password not in answer.text


def test_tokens_expire(retina: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token of so many days is refused afterwards, and whoever holds it learns why."""
    secret = create_token(retina._stores, "for a while", days=1)
    (held,) = [one for one in tokens(retina._stores) if one.id == "for a while"]
    assert held.expires_at is not None
    assert timedelta(hours=23) < held.expires_at - datetime.now(UTC) <= timedelta(days=1)
    with served(retina, Settings()) as port, og.connect(f"http://127.0.0.1:{port}", token=secret) as far:
        assert far.images().count()
        retina._stores.graph.write(
            "MATCH (t:Token {id: 'for a while'}) SET t.expires_at = t.created_at - duration('PT1S')"
        )
        with pytest.raises(og.LoginError, match=r"The token 'for a while' expired on .*: ask who runs the server"):
            far.images().count()
    revoke_token(retina._stores, "for a while")
    for days in (0, -1, math.nan, True, 10**9):
        with pytest.raises(og.QueryError, match="more than 0 and at most"):
            create_token(retina._stores, "never", days=days)


def test_a_model_that_nobody_vouched_for(retina: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its code runs where the operator says so; who asks learns whom to ask, and nothing unfinished is left."""
    monkeypatch.setattr(trust, "_vouched", set())
    monkeypatch.setattr(trust, "_live", {})
    monkeypatch.setattr(trust, "_returns_module", lambda _: False)
    secret = create_token(retina._stores, "doubtful", "write")
    by = {"experiment": "small-cnn/1", "layer": "features", "pooling": "max"}
    alike = retina.images().where(og.F("width") == retina.image("scan003.png").pixels.shape[1])
    body = {"image": "scan003.png", "by": by, "k": 3, "query": alike.to_json()}
    headers = {"Authorization": f"Bearer {secret}"}
    before = sorted(retina.activations.ids())
    with TestClient(create_app(retina), headers=headers) as client:
        answer = client.post("/v1/similar", json=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, "TrustError")
    assert "`odin serve --trust-source`" in answer.json()["error"]["message"]
    assert "build(trust_source=True)" not in answer.text
    unfinished = "MATCH (s:ActivationSet {state: 'building'}) RETURN s.id AS id"
    assert (sorted(retina.activations.ids()), retina._stores.graph.read(unfinished)) == (before, [])
    with TestClient(create_app(retina, Settings(trust_source=True)), headers=headers) as client:
        answer = client.post("/v1/similar", json=body)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["rows"]) == 3
    revoke_token(retina._stores, "doubtful")
