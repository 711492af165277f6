"""Runs the Python of a guide twice, statement by statement: beside the workspace, and through a server."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import odin_graph as og
from odin_graph.address import Address
from odin_graph.catalog.records.tokens import create_token
from odin_graph.client import LocalSession, Session
from odin_graph.runtime.training.loader import Loader
from odin_graph.server import Settings
from tests.docs.pages import blocks_of
from tests.server.serving import served

REFUSED = frozenset(
    """
    add delete load purge revise split store tag untag update undelete derive kfold map materialize
    run log_predictions predict pin unpin retype checkpoint
    doctor gc backup orm bolt budget
    """.split()  # noqa: SIM905 - one word a line says less
)
"""What a guide may do that does not travel. Everything else does."""


def run_both(page: str, db: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], set[str]]:
    """Every statement of a page near, then far; where it reads, both give the same.

    What is refused far away is taken over from near, so that the page goes on.

    Returns:
        The names that were made near, and what was refused far away.
    """
    here: dict[str, Any] = {}
    there: dict[str, Any] = {}
    refused: set[str] = set()
    folders = [Path(name).absolute() for name in ("near", "far")]  # each writes files of its own
    for folder in folders:
        folder.mkdir()
    token = create_token(db._stores, "guides")
    with served(db, Settings(cypher=True)) as port, og.connect(f"http://127.0.0.1:{port}", token=token) as far:
        for raises, source in blocks_of(page):
            for statement in ast.parse(source).body:
                before = dict(here)
                monkeypatch.setattr(og, "connect", lambda *_, **__: db)
                with chdir(folders[0]):
                    error = _run(statement, page, here)
                assert (type(error).__name__ == raises) if error is not None else True, error
                monkeypatch.setattr(og, "connect", lambda *_, **__: far)
                with chdir(folders[1]):
                    other = _run(statement, page, there)
                writes = REFUSED & {one.attr for one in ast.walk(statement) if isinstance(one, ast.Attribute)}
                if isinstance(other, og.RemoteError) or (writes and other is not None and error is None):
                    named = re.match(r"(\w+) needs the workspace", str(other))
                    assert named is not None or writes, other  # what it writes to may be gone near, or be there
                    refused |= writes if named is None else {named[1]}
                    new = [name for name in here if name not in before or here[name] is not before[name]]
                    there.update({name: twin(here[name], far._session) for name in new})
                    continue
                line = ast.unparse(statement)
                assert type(other) is type(error), f"{line}\n{other!r}"
                assert str(other) == str(error), line
                for name in here:
                    if name not in before or here[name] is not before[name]:
                        assert same(here[name], there[name]), f"{name} of {line}: {here[name]!r} / {there[name]!r}"
    assert refused <= REFUSED, refused - REFUSED
    return here, refused


def _run(statement: ast.stmt, page: str, names: dict[str, Any]) -> og.OdinError | None:
    """Run a statement; what an expression gives is kept as ``_``."""
    if isinstance(statement, ast.Expr):
        kept = ast.Assign([ast.Name("_", ast.Store())], statement.value)
        statement = ast.fix_missing_locations(ast.copy_location(kept, statement))
    code = compile(ast.Module([statement], []), page, "exec")
    try:
        exec(code, names)
    except og.OdinError as error:
        return error
    return None


def twin(value: Any, session: Session) -> Any:
    """An object of near as one of far."""
    if isinstance(value, LocalSession):
        return session
    if isinstance(value, Address):
        return session.address
    if isinstance(value, Loader):  # it counts its batches
        return copy.deepcopy(value)
    if type(value) in (list, tuple):
        return type(value)(twin(one, session) for one in value)
    if type(value) is dict:
        return {name: twin(one, session) for name, one in value.items()}
    if not type(value).__module__.startswith(("odin_graph.objects", "odin_graph.workspace")) or not hasattr(
        value, "__dict__"
    ):
        return value
    made = copy.copy(value)
    for name, held in list(vars(made).items()):
        object.__setattr__(made, name, twin(held, session))
    return made


def same(here: Any, there: Any) -> bool:
    """Whether both say the same, as far as it can be told."""
    if type(here).__name__ != type(there).__name__:
        return False
    compared: dict[type[Any], Callable[[Any, Any], bool]] = {
        np.ndarray: lambda a, b: a.shape == b.shape and (a.shape == b.shape and _alike(a, b)),
        pd.DataFrame: lambda a, b: bool(a.equals(b)),
        pd.Series: lambda a, b: bool(a.equals(b)),
        pa.Table: lambda a, b: repr(a.to_pylist()) == repr(b.to_pylist()),
        tuple: lambda a, b: len(a) == len(b) and all(map(same, a, b)),
        list: lambda a, b: len(a) == len(b) and all(map(same, a, b)),
        dict: lambda a, b: list(a) == list(b) and all(same(a[name], b[name]) for name in a),
        float: lambda a, b: a == b or a != a,
        **dict.fromkeys((int, str, bool), lambda a, b: a == b),
    }
    for kind, alike in compared.items():
        if isinstance(here, kind):
            return alike(here, there)
    for name in ("plan", "key", "id", "node"):
        if hasattr(here, name) and hasattr(type(here), "__module__") and type(here).__module__.startswith("odin_graph"):
            return bool(repr(getattr(here, name)) == repr(getattr(there, name)))
    return True


def _alike(here: Any, there: Any) -> bool:
    return bool(np.array_equal(here, there, equal_nan=here.dtype.kind == "f"))
