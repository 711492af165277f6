"""Exported programs: how a module whose class and arguments nobody knows is kept."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from odin_graph.errors import ModelError


@dataclass(frozen=True, slots=True)
class Program:
    """A torch.export program as a file, and as text."""

    data: bytes
    """Of a ``.pt2`` file, the weights at export included."""
    graph: str
    """What it computes, as Python, and the shapes of its weights."""

    @property
    def digest(self) -> str:
        """SHA-256 of the file, hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


def export_program(module: nn.Module, input_shape: Sequence[int]) -> Program:
    """A module as a program, for any number of images, in evaluation mode: it can be run, not trained.

    Raises:
        ModelError: It cannot be exported; says what to do instead.
    """
    modes = [(child, child.training) for child in module.modules()]
    like = next(module.parameters(), torch.empty(0))
    try:
        batch = torch.export.Dim("batch")
        example = (torch.zeros((2, *input_shape), dtype=like.dtype, device=like.device),)
        exported = torch.export.export(module.eval(), example, dynamic_shapes=({0: batch},))
        buffer = io.BytesIO()
        torch.export.save(exported, buffer)
    except Exception as error:
        raise ModelError(
            f"This {type(module).__qualname__} cannot be exported: {_first_line(error)}. Give its class and arguments "
            "instead: db.models.add(id, Class, kwargs={...}); its weights go into a checkpoint."
        ) from error
    finally:
        for child, training in modes:
            child.training = training
    return Program(buffer.getvalue(), _text(exported))


def load_program(data: bytes) -> nn.Module:
    """The module of an exported program, with its layers. Runs code of the program: `trust.check` comes first.

    Raises:
        ModelError: This version of torch does not load it.
    """
    try:
        module: nn.Module = torch.export.unflatten(torch.export.load(io.BytesIO(data)))
    except Exception as error:
        raise ModelError(
            f"The exported program does not load with torch {torch.__version__}: {_first_line(error)}."
        ) from error
    return module


def _text(exported: Any) -> str:
    code: str = exported.graph_module.code
    shapes = [f"# {name}: {value.dtype} {tuple(value.shape)}" for name, value in exported.state_dict.items()]
    return "\n".join([code.strip(), *shapes, ""])


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
