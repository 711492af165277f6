"""Weights as safetensors, and from the files of others. Nothing is ever unpickled but tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor, nn

from odin_graph.errors import ModelError, StoreError

_ALIASES = "odin_aliases"


def to_safetensors(weights: nn.Module | Mapping[str, Tensor]) -> bytes:
    """A module's weights as a safetensors file; the same weights are the same bytes.

    A tensor that goes by several names (tied weights) is stored once, and its other names beside it.

    Raises:
        ModelError: Something is no tensor, or no plain one.
    """
    held = state_of(weights)
    stored: dict[str, Tensor] = {}
    first: dict[tuple[Any, ...], str] = {}
    aliases: dict[str, str] = {}
    for name, value in held.items():
        if not isinstance(value, Tensor) or value.layout is not torch.strided or value.is_meta:
            kind = f"a {value.layout} tensor" if isinstance(value, Tensor) else f"a {type(value).__qualname__}"
            raise ModelError(
                f"The weights hold {name!r}, {kind}: only plain tensors are stored, so that nothing is ever unpickled."
            )
        place = (value.device, value.data_ptr(), value.shape, value.stride(), value.dtype)
        if value.numel() and place in first:
            aliases[name] = first[place]
            continue
        first[place] = name
        # A copy of its own: views of one storage (a fused projection) are refused by the format.
        stored[name] = value.detach().to("cpu").clone(memory_format=torch.contiguous_format)
    try:
        return save(stored, {_ALIASES: json.dumps(aliases, sort_keys=True)} if aliases else None)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"The weights cannot be written as safetensors: {error}.") from error


def state_of(weights: nn.Module | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Weights by name: those of a module without what DataParallel and compile put around it, or as they are given.

    Raises:
        ModelError: It is neither a module nor a state dict.
    """
    if not isinstance(weights, nn.Module | Mapping):
        raise ModelError(f"{weights!r:.80} has no weights: give a module, or its state dict.")
    return _unwrapped(weights).state_dict() if isinstance(weights, nn.Module) else weights


def not_finite(weights: nn.Module | Mapping[str, Tensor]) -> list[str]:
    """The names of the weights that hold NaN or infinity."""
    return [
        name
        for name, value in state_of(weights).items()
        if (value.is_floating_point() or value.is_complex()) and not _all_finite(value.detach())
    ]


def from_safetensors(data: bytes) -> dict[str, Tensor]:
    """What `to_safetensors` wrote.

    Raises:
        StoreError: It is no such file.
    """
    try:
        tensors = load(data)
        aliases = json.loads(_metadata(data).get(_ALIASES, "{}"))
    except (SafetensorError, ValueError) as error:
        raise StoreError(f"A file of weights is not a safetensors file: {error}. Run odin doctor.") from error
    return tensors | {name: tensors[of] for name, of in aliases.items()}


def import_weights(path: str | Path) -> dict[str, Tensor]:
    """The weights in a ``.pth``, ``.pt`` or ``.safetensors`` file of others.

    Raises:
        ModelError: It holds more than tensors, or cannot be read.
    """
    file = Path(path).expanduser()
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as opened:
                return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no dictionary
        held = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"There is no file of weights {str(file)!r}.") from error
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(
            f"{str(file)!r} cannot be read as weights: {reason} It contains more than tensors, or is damaged. Where "
            "you made it, save only the weights: torch.save(model.state_dict(), path)."
        ) from error
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
    if not isinstance(held, Mapping) or not all(isinstance(value, Tensor) for value in held.values()):
        raise ModelError(
            f"{str(file)!r} has no state dict: save only the weights, torch.save(model.state_dict(), path)."
        )
    return {str(name): value for name, value in held.items()}


def apply_weights(module: nn.Module, weights: Mapping[str, Tensor], *, what: str, strict: bool = True) -> None:
    """Put weights into a module.

    Args:
        module: Takes them.
        weights: By name.
        what: Whose they are, for the message.
        strict: False to leave out what does not fit in name; shapes must fit always.

    Raises:
        ModelError: Names what is missing, what is too much, and what has another shape.
    """
    wanted = module.state_dict()
    missing, unexpected = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    other = sorted(
        f"{name} {tuple(weights[name].shape)} for {tuple(wanted[name].shape)}"
        for name in wanted.keys() & weights.keys()
        if weights[name].shape != wanted[name].shape
    )
    faults = [("other shapes", other)]
    if strict:
        faults += [("missing", missing), ("unexpected", unexpected)]
    if said := [f"{name}: {_listed(names)}" for name, names in faults if names]:
        remedy = " Give the model that they were trained as" + ("." if other or not strict else ", or strict=False.")
        raise ModelError(f"The weights of {what} do not fit {type(module).__qualname__}. {'; '.join(said)}.{remedy}")
    module.load_state_dict(dict(weights), strict=False)


def _all_finite(value: Tensor) -> bool:
    if value.element_size() == 1:  # floats of 8 bits, which torch does not ask
        value = value.float()
    return bool(torch.isfinite(value).all())


def _unwrapped(module: nn.Module) -> nn.Module:
    """The module itself, without what DataParallel and compile put around it."""
    while True:
        inner = getattr(module, "_orig_mod", None)
        if inner is None and isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = module.module
        if not isinstance(inner, nn.Module):
            return module
        module = inner


def _metadata(data: bytes) -> dict[str, str]:
    """The header's free part; the format keeps it as JSON behind eight bytes of length."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return dict(header.get("__metadata__", {}))


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
