"""Weights as safetensors, and from other files. Only tensors are ever unpickled."""

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
    """The weights of a module as a safetensors file; equal weights give equal bytes.

    A tensor with several names (tied weights) is stored once, with its other names as aliases.

    Raises:
        ModelError: Something is not a plain tensor.
    """
    state = state_of(weights)
    stored: dict[str, Tensor] = {}
    first: dict[tuple[Any, ...], str] = {}
    aliases: dict[str, str] = {}
    for name, value in state.items():
        if not isinstance(value, Tensor) or value.layout is not torch.strided or value.is_meta:
            kind = f"a {value.layout} tensor" if isinstance(value, Tensor) else f"a {type(value).__qualname__}"
            raise ModelError(
                f"The weights hold {name!r}, {kind}: only plain tensors are stored, so that nothing is ever unpickled."
            )
        storage = (value.device, value.data_ptr(), value.shape, value.stride(), value.dtype)
        if value.numel() and storage in first:
            aliases[name] = first[storage]
            continue
        first[storage] = name
        # Copied: the format refuses views of one storage (a fused projection).
        stored[name] = value.detach().to("cpu").clone(memory_format=torch.contiguous_format)
    try:
        return save(stored, {_ALIASES: json.dumps(aliases, sort_keys=True)} if aliases else None)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"The weights cannot be written as safetensors: {error}.") from error


def state_of(weights: nn.Module | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Weights by name: of a module, unwrapped from DataParallel and compile, or the given state dict itself.

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
    """Read what `to_safetensors` wrote.

    Raises:
        StoreError: It is not a safetensors file.
    """
    try:
        tensors = load(data)
        aliases = json.loads(_metadata(data).get(_ALIASES, "{}"))
    except (SafetensorError, ValueError) as error:
        raise StoreError(f"A file of weights is not a safetensors file: {error}. Run odin doctor.") from error
    return tensors | {name: tensors[of] for name, of in aliases.items()}


def import_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the weights in a ``.pth``, ``.pt`` or ``.safetensors`` file from elsewhere.

    Raises:
        ModelError: It holds more than tensors, or cannot be read.
    """
    file = Path(path).expanduser()
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as opened:
                return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no dictionary
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"There is no file of weights {str(file)!r}.") from error
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(
            f"{str(file)!r} cannot be read as weights: {reason} It contains more than tensors, or is damaged. Where "
            "you made it, save only the weights: torch.save(model.state_dict(), path)."
        ) from error
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise ModelError(
            f"{str(file)!r} has no state dict: save only the weights, torch.save(model.state_dict(), path)."
        )
    return {str(name): value for name, value in loaded.items()}


def apply_weights(module: nn.Module, weights: Mapping[str, Tensor], *, what: str, strict: bool = True) -> None:
    """Put weights into a module.

    Args:
        module: The module to load them into.
        weights: By name.
        what: Their name in the message.
        strict: False to ignore missing and unexpected names; shapes must always fit.

    Raises:
        ModelError: Names are missing or unexpected, or shapes differ; lists them.
    """
    expected = module.state_dict()
    missing, unexpected = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    misfits = sorted(
        f"{name} {tuple(weights[name].shape)} for {tuple(expected[name].shape)}"
        for name in expected.keys() & weights.keys()
        if weights[name].shape != expected[name].shape
    )
    faults = [("other shapes", misfits)]
    if strict:
        faults += [("missing", missing), ("unexpected", unexpected)]
    if reasons := [f"{name}: {_listed(names)}" for name, names in faults if names]:
        remedy = " Give the model that they were trained as" + ("." if misfits or not strict else ", or strict=False.")
        raise ModelError(f"The weights of {what} do not fit {type(module).__qualname__}. {'; '.join(reasons)}.{remedy}")
    module.load_state_dict(dict(weights), strict=False)


def _all_finite(value: Tensor) -> bool:
    if value.element_size() == 1:  # isfinite of torch does not take 8-bit floats
        value = value.float()
    return bool(torch.isfinite(value).all())


def _unwrapped(module: nn.Module) -> nn.Module:
    """The module itself, without the wrappers of DataParallel and compile."""
    while True:
        inner = getattr(module, "_orig_mod", None)
        if inner is None and isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = module.module
        if not isinstance(inner, nn.Module):
            return module
        module = inner


def _metadata(data: bytes) -> dict[str, str]:
    """The free metadata of the header, which is JSON after eight bytes of length."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return dict(header.get("__metadata__", {}))


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
