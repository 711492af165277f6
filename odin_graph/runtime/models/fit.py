"""Whether weights are those of a model: asked before they are stored, not when somebody wants to run them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor, nn

from odin_graph.catalog.models.models import ModelRecord
from odin_graph.catalog.models.weights import state_of
from odin_graph.catalog.records.files import StoredFiles
from odin_graph.errors import ModelError
from odin_graph.runtime.models.model import build_model, layers_of
from odin_graph.stores import Stores

_SHOWN: Final = 5
_shapes: dict[str, dict[str, tuple[int, ...]]] = {}
"""By digest of a definition: the names and shapes of its weights. A model is built for them once a process."""


def without_prefix(weights: nn.Module | Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights whose names begin so, by the rest of their names.

    Raises:
        ModelError: There are none.
    """
    state = state_of(weights)
    found = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    if not found:
        raise ModelError(f"No weight's name begins with {prefix!r}: the names are {_listed(list(state))}.")
    return found


def check_fit(stores: Stores, model: ModelRecord, weights: nn.Module | Mapping[str, Tensor]) -> None:
    """Refuse weights that the model could not be loaded with.

    Where nobody vouched for the model's code, it is not built, and only the names of its modules are compared.

    Args:
        stores: The open workspace.
        model: The model that they should fit.
        weights: A module, or its state dict.

    Raises:
        ModelError: Names what is missing, too much, or of another shape, and the prefix that all names have in common.
    """
    given = {name: tuple(value.shape) for name, value in state_of(weights).items() if isinstance(value, Tensor)}
    wanted = _wanted(stores, model)
    modules = {row.name for row in layers_of(model)} | {""}

    def fits(name: str) -> bool:
        return name.rpartition(".")[0] in modules if wanted is None else name in wanted

    faults = {"unexpected": sorted(name for name in given if not fits(name))}
    if wanted is not None:
        faults["missing"] = sorted(wanted.keys() - given.keys())
        faults["other shapes"] = [
            f"{name} {given[name]} for {shape}" for name, shape in wanted.items() if given.get(name, shape) != shape
        ]
    problems = [f"{what}: {_listed(names)}" for what, names in faults.items() if names]
    if not problems:
        return
    raise ModelError(
        f"The weights do not fit the model {model.id!r}, so they cannot be loaded. {'; '.join(problems)}. "
        f"{_remedy(list(given), fits)} Nothing was stored."
    )


def _wanted(stores: Stores, model: ModelRecord) -> dict[str, tuple[int, ...]] | None:
    """Names and shapes of the model's weights; None where it cannot, or may not, be built."""
    if model.definition_digest not in _shapes:
        with torch.random.fork_rng(devices=[]):  # building draws weights, and must not change a training's random state
            try:
                built = build_model(StoredFiles(stores), model)
            except ModelError:  # TrustError among them
                return None
        _shapes[model.definition_digest] = {name: tuple(value.shape) for name, value in built.state_dict().items()}
    return _shapes[model.definition_digest]


def _remedy(names: list[str], fits: Callable[[str], bool]) -> str:
    """The remedy; where all names fit without a wrapper's prefix, to take that off."""
    for prefix in sorted({f"{name.partition('.')[0]}." for name in names}):
        inside = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        if inside and all(map(fits, inside)):
            return (
                f"Names begin with {prefix!r}, which a wrapper puts before them: give the module inside "
                f"(wrapper.{prefix[:-1]}), or run.add_checkpoint(..., prefix={prefix!r}) to take it off."
            )
    return "Give the module that the model builds, or add the model that they are of: db.models.add(...)."


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
