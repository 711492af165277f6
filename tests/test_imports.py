"""Imports stand at the top of a file; inside a function stand those alone that load what most users never need."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for file in (ROOT / "odin_graph").rglob("*.py")
}
HEAVY = {"PIL", "captum", "duckdb", "fastapi", "faiss", "neo4j", "neomodel", "pandas", "pyarrow", "sklearn", "tiledb"}
HEAVY |= {"torch", "torchvision", "uvicorn"}
"""What takes long to load."""
EXCEPTIONS = {
    ("odin_graph.opening", "odin_graph.graph"): "gives its names by __getattr__, and then loads the driver",
    ("odin_graph.objects.things.model", "odin_graph.runtime.models.trusted"): "beside its neighbor, which loads torch",
}
"""Own imports inside functions that the rule does not explain, each with its reason."""


def imports(module: str) -> Iterator[tuple[str, bool]]:
    """What a file imports, and whether inside a function; not what only a type checker sees."""
    package = module if FILES[module].name == "__init__.py" else module.rpartition(".")[0]

    def names(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            return
        parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*parts, *([node.module] if node.module else [])])
        for alias in node.names:
            yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in FILES else base

    def walk(node: ast.AST, *, inside: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import | ast.ImportFrom):
                yield from ((name, inside) for name in names(child))
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(child, inside=inside or function)

    yield from walk(ast.parse(FILES[module].read_text()), inside=False)


IMPORTS = {module: list(imports(module)) for module in FILES}


def loads(module: str) -> set[str]:
    """The heavy libraries that are loaded with a file, by itself and by all it imports at its top."""
    seen: set[str] = set()
    left = [module]
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            parents = name.split(".")
            left += [".".join(parents[:end]) for end in range(1, len(parents))]
            left += [other for other, inside in IMPORTS.get(name, ()) if not inside]
    return {name.split(".")[0] for name in seen} & HEAVY


def test_own_imports_inside_functions_load_something_heavy() -> None:
    found = {(module, name) for module, all_ in IMPORTS.items() for name, inside in all_ if inside and name in FILES}
    assert len(found) > 20, "the search finds those that there are"
    needless = {(module, name) for module, name in found if not loads(name) - loads(module)}
    assert needless == set(EXCEPTIONS)


def test_objects_write_no_cypher() -> None:
    """What a thing is in the graph is known to the catalog alone."""
    texts = [
        (module, node.value)
        for module, file in FILES.items()
        if module.startswith("odin_graph.objects.")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert len(texts) > 1000
    statement = re.compile(r"^\s*(MATCH|UNWIND|MERGE|CREATE|CALL|OPTIONAL MATCH) ?[({$\w]")
    assert [(module, text[:60]) for module, text in texts if statement.match(text)] == []
