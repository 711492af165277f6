"""The OpenAPI description: its examples run, and nothing that fits it, or does not, makes the server fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from random import SystemRandom
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

import odin_graph as og
from odin_graph.server import Settings, create_app
from tests.server.serving import served


@pytest.fixture(scope="module")
def described(retina: og.Workspace, secret: str) -> Iterator[tuple[TestClient, dict[str, Any]]]:
    retina.vectors.add("clip", retina.images(), [[float(n), 1.0] for n in range(len(retina.images()))])
    retina.views.add("all", retina.images())
    app = create_app(retina, Settings(cypher=True, seconds=10.0))
    with TestClient(app, headers={"Authorization": f"Bearer {secret}"}, raise_server_exceptions=False) as client:
        yield client, client.get("/openapi.json").json()


def test_who_opens_the_server_in_a_browser_is_led_to_the_description(retina: og.Workspace) -> None:
    """Without a token: the page asks for one."""
    with TestClient(create_app(retina, Settings()), follow_redirects=False) as stranger:
        answer = stranger.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


def example_of(schema: dict[str, Any], parts: dict[str, Any]) -> Any:
    """A body of the examples that its fields have; of the others those that must be there."""
    if "$ref" in schema:
        return example_of(parts[schema["$ref"].rpartition("/")[2]], parts)
    if "examples" in schema:
        return schema["examples"][0]
    found = {}
    for name, field in schema.get("properties", {}).items():
        if "examples" in field or name in schema.get("required", ()):
            found[name] = example_of(field, parts)
    return found


def test_every_example_runs(described: tuple[TestClient, dict[str, Any]]) -> None:
    client, page = described
    parts = page["components"]["schemas"]
    ran = []
    for path, methods in page["paths"].items():
        for method, operation in methods.items():
            if method != "post":
                continue
            (body,) = operation["requestBody"]["content"].values()
            url = path.replace("{id}", "small-cnn/1").replace("{name}", "models.model_ids")
            answer = client.post(url, json=example_of(body["schema"], parts))
            assert answer.status_code == 200, (path, answer.text)
            ran.append(path)
    assert len(ran) >= 8


def test_every_operation_is_described(described: tuple[TestClient, dict[str, Any]]) -> None:
    _, page = described
    for path, methods in page["paths"].items():
        for operation in methods.values():
            assert operation["summary"], path
            assert operation["description"], path
            if path.startswith("/v1"):
                assert operation["security"] == [{"HTTPBearer": []}]
                assert {"401", "422", "429"} <= set(operation["responses"])


def test_the_pages_load_nothing_from_elsewhere(described: tuple[TestClient, dict[str, Any]]) -> None:
    client, _ = described
    for page in ("/docs", "/redoc"):
        text = client.get(page).text
        assert "https://" not in text.replace("http://www.w3.org", "")
        for quote in ('src="', 'href="'):
            for link in text.split(quote)[1:]:
                assert client.get(link.partition('"')[0]).status_code == 200, link


def test_a_page_leaves_the_server_to_others(retina: og.Workspace) -> None:
    """Also while a client is slow to take it, and after one that left in the middle of it."""
    with served(retina, Settings()) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        script = next(part.partition('"')[0] for part in client.get("/docs").text.split('src="')[1:])
        assert len(client.get(script).content) > 1_000_000
        with client.stream("GET", script) as slow:
            next(slow.iter_raw(1))
            assert httpx.get(f"http://127.0.0.1:{port}/health", timeout=30).status_code == 200
        with client.stream("POST", "/health", content=iter([b"x" * 100] * 10)) as answer:  # a body that nobody asks for
            assert answer.status_code == 405
        assert client.get("/health").status_code == 200


@pytest.mark.parametrize(
    "mode",
    [
        GenerationMode.POSITIVE,
        pytest.param(GenerationMode.NEGATIVE, marks=pytest.mark.one_engine),  # is refused before a graph is asked
    ],
    ids=lambda mode: mode.name.lower(),
)
def test_nothing_makes_the_server_fail(
    described: tuple[TestClient, dict[str, Any]], secret: str, mode: GenerationMode, soak: bool
) -> None:
    client, _ = described
    number = int(os.environ.get("ODIN_SEED") or SystemRandom().randrange(2**32))
    print(f"ODIN_SEED={number} repeats these cases")
    schema = schemathesis.openapi.from_asgi("/openapi.json", client.app)
    for found in schema.get_all_operations():
        operation = found.ok()

        @hypothesis.seed(number)
        @hypothesis.settings(max_examples=200 if soak else 15, database=None, suppress_health_check=list(HealthCheck))
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def answered(case: Any) -> None:
            answer = case.call(headers={"Authorization": f"Bearer {secret}"})
            assert answer.status_code < 500, (case.as_curl_command(), answer.text)

        with suppress(Unsatisfiable):  # what takes nothing cannot be asked wrongly
            answered()
