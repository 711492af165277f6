"""Captures the source of a class or function that only a notebook or script has, with all that it uses.

What a name *is* now decides how it is captured: a module or something of an installed module becomes an import, a
class or function of the same notebook its source, a plain value its value. Anything else is taken from the statement
that assigned it. Dependencies come first, so that the result runs from top to bottom.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import symtable
import sys
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from odin_graph.errors import ModelError

Definition = ast.ClassDef | ast.FunctionDef


def capture(target: Callable[..., Any]) -> str:
    """The source that defines ``target`` in an empty module.

    Raises:
        ModelError: Some of it cannot be captured; names it and the remedy.
    """
    module = sys.modules.get(target.__module__)
    if "<locals>" in target.__qualname__ or "." in target.__qualname__ or target.__name__ == "<lambda>":
        raise ModelError(
            f"{target.__qualname__} is defined inside something else, so its source does not stand alone: "
            "define it at the top level of the notebook or script."
        )
    if module is None or vars(module).get(target.__name__) is not target:
        raise ModelError(
            f"{target.__module__}.{target.__name__} is not the object that you gave, but another one with that name: "
            "give the object that has the name now, or write the model in a module that can be imported."
        )
    return _Capture(module, target.__name__).run()


class _Capture:
    """One capture: what was met, and the pieces in the order in which they must run."""

    def __init__(self, module: ModuleType, target: str) -> None:
        self.module = module
        self.target = target
        self.pieces: dict[str, str] = {}
        self.files: dict[str, None] = {}
        """The files (or notebook cells) of what was met, for the names that only a statement explains."""

    def run(self) -> str:
        self._name(self.target, by=self.target)
        futures = sorted({f"from __future__ import {name}" for name in self._futures()})
        imports = [piece for piece in self.pieces.values() if piece.startswith(("import ", "from "))]
        rest = [piece for piece in self.pieces.values() if piece not in imports]
        return "\n".join([*futures, *dict.fromkeys(sorted(imports)), "", "\n\n\n".join(rest), ""])

    def _name(self, name: str, *, by: str) -> None:
        if name in self.pieces:
            return
        if name not in vars(self.module):
            return  # a builtin, or a name that is defined later: the build after the capture fails without it
        value = vars(self.module)[name]
        if (found := _import_of(name, value, self.module)) is not None:
            self.pieces[name] = found
        elif (
            isinstance(value, type | FunctionType)
            and value.__module__ == self.module.__name__
            and value.__name__ == name
        ):
            self._defined(name, value)
        elif (text := _plain(value)) is not None:
            self.pieces[name] = f"{name} = {text}"
        else:
            self._assigned(name, value, by)

    def _defined(self, name: str, value: type | FunctionType) -> None:
        for file in dict.fromkeys((*(code.co_filename for code in _codes(value)), *self._places())):
            if (text := _source(file, name)) is not None:
                self.files[file] = None
                self._piece(name, text)
                return
        raise ModelError(f"The source of {name!r} cannot be read: write the model in a file or a notebook.")

    def _assigned(self, name: str, value: object, by: str) -> None:
        for file in self._places():
            text = _statement(file, name)
            if text is not None:
                self._piece(name, text)
                return
        raise ModelError(
            f"{by!r} uses {name!r}, a {type(value).__qualname__} that cannot be captured with it: make it an argument "
            "of the model, or write the model in a module that can be imported."
        )

    def _piece(self, name: str, text: str) -> None:
        self.pieces[name] = ""  # met: two functions may use each other
        for used in sorted(_globals(text)):
            self._name(used, by=name)
        del self.pieces[name]
        self.pieces[name] = text  # after what it uses

    def _places(self) -> Iterator[str]:
        yield from tuple(self.files)
        if (script := getattr(self.module, "__file__", None)) is not None:
            yield script
        # The cells of a notebook, the newest first: a name means what it was last assigned.
        yield from (
            name for name in reversed(list(linecache.cache)) if "ipykernel_" in name or name.startswith("<ipython")
        )

    def _futures(self) -> Iterator[str]:
        for file in self.files:
            for node in _parsed(file).body:
                if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                    yield from (alias.name for alias in node.names)


def _import_of(name: str, value: Any, here: ModuleType) -> str | None:
    """The statement that imports the value under the name; None if it is not something of an importable module."""
    if isinstance(value, ModuleType):
        if value.__name__ == "__main__":
            return None
        return f"import {value.__name__} as {name}" if value.__name__ != name else f"import {name}"
    home = getattr(value, "__module__", None)
    known = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    homes = [home] if isinstance(home, str) else []
    if callable(value) and not homes:  # built-in functions such as torch.relu have no __module__
        homes = [package for package in ("torch", "torch.nn.functional", "numpy", "math") if package in sys.modules]
    for module in homes:
        if module in (here.__name__, "__main__") or known is None or "." in known:
            continue
        if getattr(sys.modules.get(module), known, None) is value:
            if module == "builtins":
                return None if name == known else f"from builtins import {known} as {name}"
            return f"from {module} import {known}" + (f" as {name}" if known != name else "")
    return None


def _plain(value: object) -> str | None:
    """The value as Python writes it, if that reads back as the same."""
    try:
        text = repr(value)
        again = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return text if type(again) is type(value) and repr(again) == text else None


def _codes(value: type | FunctionType) -> Iterator[CodeType]:
    """The code of a function, or of a class's methods: a class in a notebook knows its cell by nothing else."""
    if isinstance(value, FunctionType):
        yield inspect.unwrap(value).__code__
        return
    for member in vars(value).values():
        function = inspect.unwrap(getattr(member, "__func__", None) or getattr(member, "fget", None) or member)
        if isinstance(function, FunctionType) and function.__module__ == value.__module__:
            yield function.__code__


def _parsed(file: str) -> ast.Module:
    text = "".join(linecache.getlines(file))
    try:
        return ast.parse(text)
    except SyntaxError:  # a notebook cell with magics: those lines are not Python
        kept = ["\n" if line.lstrip().startswith(("%", "!", "?")) else line for line in text.splitlines(keepends=True)]
        try:
            return ast.parse("".join(kept))
        except SyntaxError as error:
            raise ModelError(f"The source in {file} cannot be read as Python: {error}.") from error


def _source(file: str, name: str) -> str | None:
    """The text of the last definition of the name at the top level, decorators included."""
    for node in reversed(list(_top_level(_parsed(file)))):
        if isinstance(node, Definition) and node.name == name:
            return _text(file, node, min((decorator.lineno for decorator in node.decorator_list), default=node.lineno))
    return None


def _statement(file: str, name: str) -> str | None:
    """The text of the last statement at the top level that assigns or imports the name."""
    for node in reversed(list(_top_level(_parsed(file)))):
        match node:
            case ast.Assign(targets=[ast.Name(id=found)]) | ast.AnnAssign(target=ast.Name(id=found), value=ast.expr()):
                if found == name:
                    return _text(file, node, node.lineno)
            case ast.Import(names=names) | ast.ImportFrom(names=names, level=0):
                for alias in names:
                    if (alias.asname or alias.name) == name:
                        kept = (
                            ast.Import([alias])
                            if isinstance(node, ast.Import)
                            else ast.ImportFrom(node.module, [alias], 0)
                        )
                        return ast.unparse(kept)
    return None


def _top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements of a module, and those under a top-level ``if``, ``try`` or ``with``."""
    for node in tree.body:
        yield node
        for field in ("body", "orelse", "finalbody"):
            if isinstance(node, ast.If | ast.Try | ast.With):
                yield from (statement for statement in getattr(node, field, []))


def _text(file: str, node: ast.stmt, first: int) -> str:
    lines = linecache.getlines(file)[first - 1 : node.end_lineno]
    return textwrap.dedent("".join(lines)).rstrip()


def _globals(text: str) -> set[str]:
    """The names that a piece takes from its module."""
    found: set[str] = set()

    def walk(table: symtable.SymbolTable) -> None:
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (
                symbol.is_global() or (table.get_type() == "module" and not symbol.is_assigned())
            ):
                found.add(symbol.get_name())
        for child in table.get_children():
            walk(child)

    walk(symtable.symtable(text, "<captured>", "exec"))
    return found
