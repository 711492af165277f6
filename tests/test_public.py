"""The public face: which names there are, and that looking at it loads nothing heavy."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import odin_graph as og
from odin_graph import errors

HEAVY = {"neo4j", "neomodel", "numpy", "pandas", "torch", "tiledb", "faiss", "pyarrow", "matplotlib"}
OBJECTS = [
    "ActivationSet",
    "Budget",
    "Checkpoint",
    "CoverageWarning",
    "DataWarning",
    "Dataset",
    "DerivedImage",
    "DerivedQuery",
    "Experiment",
    "F",
    "Groups",
    "Image",
    "Input",
    "LayoutWarning",
    "LeakWarning",
    "Layer",
    "Model",
    "NotFiniteWarning",
    "PredictionSet",
    "Query",
    "Run",
    "SplitWarning",
    "Video",
    "Volume",
    "Workspace",
    "aggregated",
    "connect",
    "restore",
    "count",
    "derived_from",
    "errors",
    "fn",
    "has_root",
    "in_dataset",
    "ops",
    "schema",
    "source",
    "used_by",
]
ERRORS = [
    "ConflictError",
    "DataError",
    "EngineError",
    "EngineStartError",
    "ExpressionError",
    "FrozenError",
    "LeakError",
    "LoginError",
    "MemoryLimitError",
    "MetadataError",
    "MismatchError",
    "MissingExtraError",
    "MissingWorkspaceError",
    "ModelError",
    "OdinError",
    "PositionError",
    "QueryError",
    "ReadOnlyError",
    "RemoteError",
    "SchemaVersionError",
    "ShapeError",
    "SpaceError",
    "StoreError",
    "TimeLimitError",
    "TrustError",
    "UncertainWriteError",
    "UnknownNameError",
    "UnreachableError",
    "UnreadableImageError",
    "WorkspaceError",
]


def loaded_by(program: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after it ran a program."""
    report = "import json, sys; print('\\n' + json.dumps(sorted({n.partition('.')[0] for n in sys.modules})))"
    ran = subprocess.run(
        [sys.executable, "-c", f"{program}\n{report}"], capture_output=True, text=True, check=True, timeout=120
    )
    return set(json.loads(ran.stdout.splitlines()[-1]))


def test_the_names_are_pinned() -> None:
    assert sorted(vars(og)["__all__"]) == sorted(OBJECTS + ERRORS)


def test_every_error_is_a_name_of_the_package() -> None:
    ours = [name for name, held in vars(errors).items() if isinstance(held, type) and issubclass(held, og.OdinError)]
    assert sorted(ours) == ERRORS
    assert all(getattr(og, name) is getattr(errors, name) for name in ours)


def test_every_name_of_the_stub_resolves() -> None:
    stub = ast.parse(Path(og.__file__).with_suffix(".pyi").read_text())
    listed = [
        name.asname or name.name
        for node in ast.walk(stub)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    ]
    assert sorted(listed) == sorted(vars(og)["__all__"])
    assert set(listed) <= set(dir(og))
    for name in listed:
        assert getattr(og, name) is not None, name


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="conect"):
        og.conect  # type: ignore[attr-defined]  # noqa: B018


def test_import_loads_nothing_heavy() -> None:
    assert not HEAVY & loaded_by("import odin_graph; dir(odin_graph)")


@pytest.mark.parametrize("verb", [[], ["doctor"], ["info"], ["bolt"], ["up"], ["gc"], ["storage"], ["quickstart"]])
def test_help_loads_nothing_heavy(verb: list[str]) -> None:
    words = json.dumps(["odin", *verb, "--help"])
    program = (
        f"import sys; sys.argv = {words}\n"
        "from odin_graph.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as ended:\n    assert not ended.code, ended.code"
    )
    loaded = loaded_by(program)
    assert "odin_graph" in loaded
    assert not HEAVY & loaded


def test_the_heavy_ones_are_seen_when_they_are_loaded() -> None:
    """The check itself can fail: what a workspace needs is loaded when it is asked for."""
    assert {"neo4j", "numpy", "tiledb", "pyarrow"} <= loaded_by("import odin_graph; odin_graph.Workspace")


def test_connect_starts_the_engine_before_anything_heavy_is_loaded() -> None:
    assert not HEAVY & loaded_by("import odin_graph; odin_graph.connect")


def test_the_distribution_has_the_command() -> None:
    (command,) = importlib.metadata.entry_points(group="console_scripts", name="odin")
    assert command.value == "odin_graph.cli:main"
    assert importlib.metadata.metadata("odin-graph")["Requires-Python"] == ">=3.11"


BRITISH = re.compile(
    r"\w*(?:colour|grey|centre|neighbour|behaviour|favour|licence|labell|catalogue|artefact|whilst|"
    r"(?:material|normal|optim|initial|serial|recogn|organ|general|visual|quant|minim|maxim|summar)is(?!m|t))\w*",
    re.IGNORECASE,
)


def test_spelling_is_that_of_torch_and_numpy() -> None:
    root = Path(__file__).parents[1]
    files = [*(root / "odin_graph").rglob("*.py"), *(root / "docs").rglob("*.md"), *root.glob("*.md")]
    assert len(files) > 400
    found = {str(file.relative_to(root)): BRITISH.findall(file.read_text(encoding="utf-8")) for file in files}
    assert {name: words for name, words in found.items() if words} == {}
