"""Every route gives what the library gives."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from PIL import Image as PillowImage

import odin_graph as og
from odin_graph import F
from odin_graph.server.answers import ARROW


def asked(client: TestClient, path: str, body: dict[str, Any]) -> Any:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_pages_are_the_whole_answer(client: TestClient, retina: og.Workspace) -> None:
    exp = retina.experiment("small-cnn/1")
    query = retina.images("retina-test").where(F("age") > 40, ~exp.wrong).order_by(F("age").desc())
    body: dict[str, Any] = {"query": query.to_json(), "columns": ["id", "age"], "limit": 13}
    rows: list[Any] = []
    while True:
        page = asked(client, "/v1/query", body)
        rows += page["rows"]
        assert page["total"] == len(query)
        if page["cursor"] is None:
            break
        body["cursor"] = page["cursor"]
    assert rows == query.to_arrow("id", "age").to_pylist()


def test_a_page_of_changed_data_is_refused(client: TestClient, retina: og.Workspace) -> None:
    body: dict[str, Any] = {"query": retina.images().to_json(), "limit": 10}
    cursor = asked(client, "/v1/query", body)["cursor"]
    retina.images()[0].update(note="seen")
    answer = client.post("/v1/query", json={**body, "cursor": cursor})
    assert (answer.status_code, answer.json()["error"]["type"]) == (409, "ConflictError")
    other = client.post("/v1/query", json={"query": retina.images()[:50].to_json(), "cursor": cursor})
    assert other.status_code == 422
    assert client.post("/v1/query", json={**body, "cursor": "x"}).status_code == 422


def test_arrow_comes_whole(client: TestClient, retina: og.Workspace) -> None:
    query = retina.images("retina-test").where(F("iop") > 12)
    answer = client.post("/v1/query", json={"query": query.to_json()}, headers={"Accept": ARROW})
    assert answer.headers["content-type"] == ARROW
    assert pa.ipc.open_stream(answer.content).read_all().equals(query.to_arrow())


def test_groups_and_things_are_queries_too(client: TestClient, retina: og.Workspace) -> None:
    exp = retina.experiment("small-cnn/1")
    groups = retina.images("retina-test").group_by("site").agg(n=og.count(), wrong=exp.wrong.mean())
    assert asked(client, "/v1/query", {"query": groups.to_json()})["rows"] == groups.to_arrow().to_pylist()
    things = retina.experiments().order_by(F("results.accuracy").desc())
    page = asked(client, "/v1/query", {"query": things.to_json(), "columns": ["id", "results.accuracy"]})
    assert page["rows"] == things.to_arrow("id", "results.accuracy").to_pylist()


def test_count_check_and_explain(client: TestClient, retina: og.Workspace) -> None:
    query = retina.images("retina-test").where(F("age") > 40)
    assert asked(client, "/v1/query/count", {"query": query.to_json()}) == {"count": len(query)}
    unbound = {**query.to_json(), "source": {"source": "dataset", "dataset": "retina-test"}}
    assert asked(client, "/v1/query/check", {"query": unbound})["query"] == query.to_json()
    explained = asked(client, "/v1/query/explain", {"query": query.to_json(), "run": True})
    assert explained["parts"][0]["rows"] == len(query)
    assert explained["text"].startswith('where F("age") > 40')


def test_similar_to_a_stored_image_a_file_and_a_vector(client: TestClient, retina: og.Workspace) -> None:
    layer = retina.experiment("small-cnn/1").layer("features")
    by = {"experiment": "small-cnn/1", "layer": "features"}
    test = retina.images("retina-test")
    near = test.nearest(test[5], by=layer, k=4)
    expected = near.to_arrow("id").to_pylist()
    said = {"by": by, "k": 4, "query": test.to_json(), "columns": ["id"]}
    assert asked(client, "/v1/similar", {**said, "image": test[5].id})["rows"] == expected
    out = io.BytesIO()
    PillowImage.fromarray(test[5].pixels[:, :, 0]).save(out, "PNG")
    file = base64.b64encode(out.getvalue()).decode()
    (first, *_) = asked(client, "/v1/similar", {**said, "file": file})["rows"]
    assert (first["id"], first["distance"]) == (test[5].id, pytest.approx(0, abs=1e-6))
    rows = np.random.default_rng(0).normal(size=(len(test), 3))
    retina.vectors.add("mine", test, rows)
    found = asked(client, "/v1/similar", {"by": {"vectors": "mine"}, "vector": rows[9].tolist(), "k": 1})
    assert [row["id"] for row in found["rows"]] == [test[9].id]


UNITS: dict[str, Any] = {"experiment": "small-cnn/1", "layer": "features", "numbers": [3, 17, 28]}


def test_similar_by_units_with_weights(client: TestClient, retina: og.Workspace) -> None:
    test, units = retina.images("retina-test"), retina.experiment("small-cnn/1").layer("features").units[[3, 17, 28]]
    near = test.nearest(test[5], by=units, k=4, metric="l1", weights=[1, 0, 2.5])
    expected = near.to_arrow("id").to_pylist()  # stored here: a token that reads stores nothing
    said = {"by": UNITS, "k": 4, "metric": "l1", "query": test.to_json(), "columns": ["id"], "image": test[5].id}
    assert asked(client, "/v1/similar", {**said, "weights": [1, 0, 2.5]})["rows"] == expected
    unlike = asked(client, "/v1/similar", {**said, "weights": [0, 1, 0]})["rows"]
    assert unlike == test.nearest(test[5], by=units[1], k=4, metric="l1").to_arrow("id").to_pylist()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("[1, 2]", "There are 3 units, and 2 weights: give one each."),
        ("[1, 2, 3, 4]", "There are 3 units, and 4 weights: give one each."),
        ("[]", "There are 3 units, and 0 weights: give one each."),
        ("[1, -2, 1]", "not below 0: that of unit 1 of the group is -2.0."),
        ("[1, 1e300, 1]", "not below 0: that of unit 1 of the group is 1e+300."),
        ("[1, NaN, 1]", "The body is not JSON: expected value at line 1"),
        ("[1, Infinity, 1]", "The body is not JSON: expected value at line 1"),
        ('[1, "a", 1]', "body.weights.1: Input should be a valid number"),
        ("3", "body.weights: Input should be a valid list."),
    ],
)
def test_wrong_weights_are_refused(client: TestClient, weights: str, message: str) -> None:
    for metric in ("l1", "cosine"):
        body = {"by": UNITS, "vector": [1, 2, 3], "metric": metric, "k": 2}
        text = json.dumps(body)[:-1] + f', "weights": {weights}}}'
        answer = client.post("/v1/similar", content=text, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, answer.text
        assert message in answer.json()["error"]["message"]


def test_weights_are_of_units_alone(client: TestClient) -> None:
    by = {"experiment": "small-cnn/1", "layer": "features"}
    answer = client.post("/v1/similar", json={"by": by, "vector": [1.0] * 8, "weights": [1.0] * 8})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].startswith("weights= are of units: nearest(image, by=layer.units[[3, 17]]")
    answer = client.post("/v1/similar", json={"by": {**UNITS, "numbers": [3, 512]}, "vector": [1.0, 2.0]})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"] == (
        "There is no unit 512: the layer 'features' has 512, numbered from 0 to 511."
    )
    for numbers in ([-1], [2**63], [1.5], []):
        answer = client.post("/v1/similar", json={"by": {**UNITS, "numbers": numbers}, "vector": [1.0]})
        assert answer.status_code == 422, numbers


def test_representative(client: TestClient, retina: og.Workspace) -> None:
    exp = retina.experiment("small-cnn/1")
    wrong = retina.images("retina-test").where(exp.wrong)
    few = wrong.representative(5, by=exp.layer("features"))
    body = {"query": wrong.to_json(), "layer": "features", "k": 5}
    answer = asked(client, "/v1/experiments/small-cnn/1/representative", body)
    assert answer["rows"] == few.to_arrow("id", "label").to_pylist()


def test_an_image_its_pixels_and_what_was_said_of_it(client: TestClient, retina: og.Workspace) -> None:
    image = retina.images()[3]
    held = client.get(f"/v1/images/{image.id}").json()
    assert (held["id"], held["key"], held["label"]) == (image.id, image.key, image.label)
    pixels = np.load(io.BytesIO(client.get(f"/v1/images/{image.id}/pixels").content))
    np.testing.assert_array_equal(pixels, image.pixels)
    png = PillowImage.open(io.BytesIO(client.get(f"/v1/images/{image.id}/pixels?format=png").content))
    np.testing.assert_array_equal(np.asarray(png)[..., 0], image.pixels[..., 0])
    small = PillowImage.open(io.BytesIO(client.get(f"/v1/images/{image.id}/thumbnail?size=8").content))
    assert max(small.size) == 8
    (said,) = client.get(f"/v1/images/{image.id}/predictions").json()["rows"]
    exp = retina.experiment("small-cnn/1")
    table = retina.images("retina-test").to_arrow("id", said=exp.predicted, wrong=exp.wrong)
    row = next(row for row in table.to_pylist() if row["id"] == image.id)
    assert (said["experiment"], said["predicted"], said["wrong"]) == ("small-cnn/1", row["said"], row["wrong"])
    crop = next(iter(retina.images()[3:4].crop((0, 0, 4, 4)).store("corner")))
    (parent,) = client.get(f"/v1/images/{crop.id.replace('#', '%23')}/lineage").json()["rows"]
    assert parent["id"] == image.id
    children = client.get(f"/v1/images/{image.id}/lineage?direction=descendants").json()["rows"]
    assert [child["id"] for child in children] == [crop.id]


def test_what_there_is(client: TestClient, retina: og.Workspace) -> None:
    for kind, known in (("datasets", "retina-test@1"), ("models", "small-cnn"), ("experiments", "small-cnn/1")):
        listed = client.get(f"/v1/{kind}").json()
        assert ([row["id"] for row in listed["rows"]], listed["total"]) == ([known], 1)
        assert client.get(f"/v1/{kind}/{known}").json()["id"] == known
        answer = client.get(f"/v1/{kind}/nothing")
        assert (answer.status_code, "nothing" in answer.json()["error"]["message"]) == (404, True)
    held = client.get("/v1/experiments/small-cnn/1").json()
    assert held["best"] == retina.experiment("small-cnn/1").best_checkpoint().id  # type: ignore[union-attr]
    assert client.get("/v1/images/nothing").status_code == 404
    assert client.get("/health").json()["status"] == "ok"
    assert client.get("/ready").json() == {"status": "ready"}


def test_cypher_reads_and_never_writes(client: TestClient, retina: og.Workspace) -> None:
    body = {"statement": "MATCH (i:Image) WHERE i.age > $age RETURN count(i) AS n", "parameters": {"age": 40}}
    expected = retina.images().where(F("age") > 40).count()
    assert asked(client, "/v1/cypher", body)["rows"] == [{"n": expected}]
    refused = client.post("/v1/cypher", json={"statement": "MATCH (i:Image) SET i.age = 1"})
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "ReadOnlyError")
    assert retina.images().where(F("age") > 40).count() == expected
