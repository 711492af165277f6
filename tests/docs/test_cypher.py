"""docs/cypher.md: each of its sixteen statements runs on both engines, and its answer is the right one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from odin_graph.graph import Graph
from odin_graph.graph.member_chunks import draw_chunks
from odin_graph.graph.transaction import Transaction
from odin_graph.graph.writer import create_edges, create_nodes
from odin_graph.schema import edge
from tests.graph.foreign import py2neo_graph

PAGE = Path(__file__).parents[2] / "docs" / "cypher.md"
QUESTION = re.compile(
    r"^## (?P<number>\d+)\. (?P<question>[^\n]+)\n(?:(?!```|^#).)*```cypher\n(?P<cypher>.*?)```", re.M | re.S
)
STATEMENTS = {int(found["number"]): found["cypher"] for found in QUESTION.finditer(PAGE.read_text(encoding="utf-8"))}


def at(day: int) -> datetime:
    return datetime(2026, 3, day)  # noqa: DTZ001 - as it is stored


# Six scans of three patients; a/2 is a crop of a/1, and a/3 of that crop. a/1 is tested on, a/3 trained on: a leak.
IMAGES = [
    {"id": "a/1", "key": 1, "label": "DME", "age": 61, "patientID": "Ann"},
    {"id": "a/2", "key": 2, "label": "DME", "age": 61, "patientID": "Ann"},
    {"id": "a/3", "key": 3, "label": "DME", "age": 61, "patientID": "Ann"},
    {"id": "b/1", "key": 4, "label": "normal", "age": 70, "patientID": "Bo"},
    {"id": "b/2", "key": 5, "label": "drusen", "age": 70, "patientID": "Bo"},
    {"id": "c/1", "key": 6, "label": "normal", "age": 33, "patientID": "Cy"},
    # What was deleted: a scan that both experiments got wrong, a crop of a/1 that vgg/1 was trained on.
    {"id": "d/1", "key": 7, "label": "normal", "age": 90, "patientID": "Di", "deleted": True},
    {"id": "a/4", "key": 8, "label": "DME", "age": 61, "patientID": "Ann", "deleted": True},
]
MEMBERS = {
    "train@1": ["a/3", "b/1", "a/4"],
    "train@2": ["a/3"],
    "train@3": ["a/3"],
    "test@1": ["a/1", "b/2", "c/1", "d/1"],
}
# Of each experiment, over test@1: (image, predicted, confidence, wrong).
SAID = {
    "vgg/1": [
        ("a/1", "normal", 0.95, True),
        ("b/2", "normal", 0.6, True),
        ("c/1", "normal", 0.9, False),
        ("d/1", "DME", 0.99, True),
    ],
    "vgg/2": [
        ("a/1", "DME", 0.8, False),
        ("b/2", "DME", 0.7, True),
        ("c/1", "normal", 0.7, False),
        ("d/1", "DME", 0.9, True),
    ],
}


def nodes(label: str, *rows: Mapping[str, Any]) -> tuple[tuple[str, ...], Sequence[Mapping[str, Any]]]:
    return (label,), rows


NODES = [
    (("Image",), [row for row in IMAGES if row["id"] not in ("a/2", "a/3")]),
    (("Crop", "Image"), [row for row in IMAGES if row["id"] in ("a/2", "a/3")]),
    nodes(
        "Dataset",
        {"id": "train@1", "base": "train", "version": 1, "size": 2, "state": "ready", "frozen_at": at(1)},
        {"id": "train@2", "base": "train", "version": 2, "size": 1, "state": "ready", "frozen_at": at(9)},
        {"id": "train@3", "base": "train", "version": 3, "size": 1, "state": "deleted", "deleted": True},
        {"id": "test@1", "base": "test", "version": 1, "size": 3, "state": "ready", "frozen_at": at(1)},
    ),
    nodes("Model", {"id": "vgg", "task": "multi-class", "classes": ["normal", "DME", "drusen"]}),
    nodes("Experiment", *({"id": f"vgg/{n}", "state": "finished"} for n in (1, 2, 3))),
    nodes("Experiment", {"id": "vgg/4", "state": "finished", "deleted": True}),
    nodes("Checkpoint", {"id": "vgg/1/0", "best": True}, {"id": "vgg/2/0", "best": True}),
    nodes(
        "PredictionSet",
        {"id": "vgg/1:test@1", "state": "ready"},
        {"id": "vgg/2:test@1", "state": "ready"},
        {"id": "vgg/3:test@1", "state": "building"},
    ),
    nodes("LabelChange", {"id": "l1", "before": "normal", "after": "drusen", "at": at(5)}),
    nodes("Deletion", {"id": "d1", "why": "consent withdrawn", "at": at(6)}),
    (
        ("Prediction",),
        [
            {"id": f"{said_by}:{image}", "predicted": predicted, "confidence": confidence, "wrong": wrong}
            for said_by, rows in [*SAID.items(), ("vgg/3", [("a/1", "DME", 0.99, True)])]
            for image, predicted, confidence, wrong in rows
        ],
    ),
]
FROZEN = {image["id"]: image["label"] for image in IMAGES} | {"b/2": "normal"}
HAD_MEMBER = (
    "HAD_MEMBER",
    "Dataset",
    "Image",
    [(d, image, {"label": FROZEN[image]}) for d, members in MEMBERS.items() for image in members],
)
EDGES: list[tuple[str, str, str, list[tuple[Any, ...]]]] = [
    ("REVISION_OF", "Dataset", "Dataset", [("train@2", "train@1"), ("train@3", "train@2")]),
    (
        "DERIVED_FROM",
        "Image",
        "Image",
        [
            ("a/2", "a/1", {"op": "crop", "params": "{}"}),
            ("a/3", "a/2", {"op": "rotate", "params": "{}"}),
            ("a/4", "a/1", {"op": "crop", "params": "{}"}),
        ],
    ),
    ("HAS_ROOT", "Image", "Image", [("a/2", "a/1"), ("a/3", "a/1"), ("a/4", "a/1")]),
    (
        "USED",
        "Experiment",
        "Dataset",
        [
            ("vgg/1", "train@1", {"role": "train"}),
            ("vgg/1", "test@1", {"role": "test"}),
            ("vgg/2", "train@2", {"role": "train"}),
            ("vgg/2", "test@1", {"role": "test"}),
            ("vgg/4", "train@1", {"role": "train"}),
        ],
    ),
    ("USED", "Experiment", "Model", [("vgg/1", "vgg"), ("vgg/2", "vgg")]),
    ("INFORMED_BY", "Experiment", "Experiment", [("vgg/3", "vgg/2"), ("vgg/2", "vgg/1")]),
    ("GENERATED_BY", "Checkpoint", "Experiment", [("vgg/1/0", "vgg/1"), ("vgg/2/0", "vgg/2")]),
    ("SPECIALIZATION_OF", "Checkpoint", "Model", [("vgg/1/0", "vgg"), ("vgg/2/0", "vgg")]),
    ("GENERATED_BY", "PredictionSet", "Experiment", [(f"vgg/{n}:test@1", f"vgg/{n}") for n in (1, 2, 3)]),
    ("DERIVED_FROM", "PredictionSet", "Checkpoint", [(f"vgg/{n}:test@1", f"vgg/{n}/0") for n in (1, 2)]),
    ("OF", "PredictionSet", "Dataset", [(f"vgg/{n}:test@1", "test@1") for n in (1, 2, 3)]),
    (
        "PART_OF",
        "Prediction",
        "PredictionSet",
        [(f"{said_by}:{row[0]}", f"{said_by}:test@1") for said_by, rows in SAID.items() for row in rows]
        + [("vgg/3:a/1", "vgg/3:test@1")],
    ),
    (
        "OF",
        "Prediction",
        "Image",
        [(f"{said_by}:{row[0]}", row[0]) for said_by, rows in SAID.items() for row in rows] + [("vgg/3:a/1", "a/1")],
    ),
    ("OF", "LabelChange", "Image", [("l1", "b/2")]),
    ("INVALIDATED_BY", "Image", "Deletion", [("b/1", "d1")]),
]

ANSWERS: dict[int, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    1: ({"image": "a/3"}, [{"dataset": "train@1"}, {"dataset": "train@2"}]),
    2: ({"image": "a/3"}, [{"experiment": "vgg/1"}, {"experiment": "vgg/2"}]),
    3: (
        {"image": "a/1"},
        [
            {"model": "vgg", "checkpoint": "vgg/1/0", "predicted": "normal", "wrong": True},
            {"model": "vgg", "checkpoint": "vgg/2/0", "predicted": "DME", "wrong": False},
        ],
    ),
    4: ({"experiment": "vgg/1", "confidence": 0.9}, [{"image": "a/1", "truth": "DME", "predicted": "normal"}]),
    5: ({"a": "vgg/1", "b": "vgg/2"}, [{"image": "b/2"}]),
    6: ({"a": "vgg/1", "b": "vgg/2"}, [{"image": "a/1"}]),
    7: ({"experiment": "vgg/1"}, [{"trained_on": "a/3", "tested_on": "a/1"}]),
    8: ({"image": "a/3"}, [{"operations": ["rotate", "crop"], "root": "a/1"}]),
    9: ({"image": "a/1"}, [{"image": "a/2", "steps": 1}, {"image": "a/3", "steps": 2}]),
    10: (
        {"image": "b/2"},
        [{"experiment": "vgg/1", "dataset": "test@1"}, {"experiment": "vgg/2", "dataset": "test@1"}],
    ),
    11: ({"experiment": "vgg/3"}, [{"ancestor": "vgg/2"}, {"ancestor": "vgg/1"}]),
    12: (
        {"dataset": "train"},
        [
            {"dataset": "train@1", "images": 2, "revision_of": None},
            {"dataset": "train@2", "images": 1, "revision_of": "train@1"},
        ],
    ),
    13: (
        {"checkpoint": "vgg/1/0"},
        [
            {"kind": "Dataset", "id": "test@1", "role": "test"},
            {"kind": "Dataset", "id": "train@1", "role": "train"},
            {"kind": "Model", "id": "vgg", "role": None},
        ],
    ),
    14: (
        {"experiment": "vgg/1", "age": 60},
        [{"patient": "Ann", "images": 1, "wrong": 1}, {"patient": "Bo", "images": 1, "wrong": 1}],
    ),
    15: ({}, [{"experiment": "vgg/1", "image": "b/1", "why": "consent withdrawn"}]),
    16: (
        {"images": ["a/1"]},
        [
            {"kind": "derived image", "id": "a/2"},
            {"kind": "derived image", "id": "a/3"},
            {"kind": "derived image", "id": "a/4"},
            {"kind": "data set", "id": "train@1"},
            {"kind": "data set", "id": "train@2"},
            {"kind": "data set", "id": "test@1"},
            {"kind": "experiment", "id": "vgg/1"},
            {"kind": "experiment", "id": "vgg/2"},
            {"kind": "experiment", "id": "vgg/3"},
            {"kind": "checkpoint", "id": "vgg/1/0"},
            {"kind": "checkpoint", "id": "vgg/2/0"},
            {"kind": "prediction set", "id": "vgg/1:test@1"},
            {"kind": "prediction set", "id": "vgg/2:test@1"},
        ],
    ),
}


@pytest.fixture(params=["small enough for edges", "too large for edges"])
def clinic(graph: Graph, request: pytest.FixtureRequest) -> Graph:
    """Two trainings over a data set in two versions, a third under way, a correction and a deletion."""
    edges = [HAD_MEMBER, *EDGES] if request.param == "small enough for edges" else EDGES

    def write(tx: Transaction) -> None:
        for labels, rows in NODES:
            create_nodes(tx, labels, rows)
        for type_, start, end, pairs in edges:
            known = edge(type_, start, end)
            rows = [{"start": pair[0], "end": pair[1], **(pair[2] if len(pair) > 2 else {})} for pair in pairs]
            assert all(set(row) - {"start", "end"} <= set(known.properties) for row in rows)
            create_edges(tx, type_, (start, "id"), (end, "id"), rows)

    graph.execute(write)
    keys = {image["id"]: image["key"] for image in IMAGES}
    for dataset, members in MEMBERS.items():
        frozen = [FROZEN[image] for image in members]
        draw_chunks(graph, dataset, pa.table({"key": [keys[image] for image in members], "label": frozen}))
    return graph


def test_the_page_asks_sixteen_questions() -> None:
    assert sorted(STATEMENTS) == sorted(ANSWERS) == list(range(1, 17))
    assert PAGE.read_text(encoding="utf-8").count("```cypher") == 16


def test_each_statement_answers_its_question(clinic: Graph) -> None:
    """One test of all, since each only reads; the failing ones are told apart by their numbers."""
    found = {n: [dict(row) for row in clinic.user_read(STATEMENTS[n], ANSWERS[n][0])] for n in STATEMENTS}
    found[16].sort(key=ANSWERS[16][1].index)  # a UNION has no order
    assert found == {n: rows for n, (_, rows) in ANSWERS.items()}


def test_py2neo_gets_the_same_answers(clinic: Graph) -> None:
    """A client that knows nothing of us, by the log-in that only reads where there is one."""
    endpoint = clinic.endpoint
    log_in = (endpoint.reader, endpoint.reader_password) if endpoint.reader else (endpoint.user, endpoint.password)
    with py2neo_graph(endpoint.address, *log_in, endpoint.database) as graph:
        found = {n: graph.run(STATEMENTS[n], ANSWERS[n][0]).data() for n in STATEMENTS}
        found[16].sort(key=ANSWERS[16][1].index)
        assert found == {n: rows for n, (_, rows) in ANSWERS.items()}
        table = graph.run(STATEMENTS[1], ANSWERS[1][0]).to_data_frame()
        assert table.to_dict("records") == ANSWERS[1][1]
        image = graph.nodes.match("Image", id="a/1").first()
        assert (image["age"], set(image.labels)) == (61, {"Image"})
        said_of_it = {edge.start_node["id"] for edge in graph.match((None, image), "OF")}
        assert said_of_it == {"vgg/1:a/1", "vgg/2:a/1", "vgg/3:a/1"}
