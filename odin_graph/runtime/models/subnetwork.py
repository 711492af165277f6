"""A digest of the sub-network that feeds a layer: checkpoints that share it give the same output there.

One input runs through the model while every operation is watched. What an operation gave is known by a digest of its
name, its constants and what its inputs are known by; a weight is known by its bytes, the input by its shape. So what a
layer gave is known by everything that reached it, and by nothing else: not by names, heads or what was trained beside.
What is written in place is known by what was there and by what wrote it, whichever views were taken of it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from odin_graph.catalog.models.checkpoints import CheckpointRecord, checkpoint_of
from odin_graph.catalog.models.models import ModelRecord, model_of
from odin_graph.catalog.records.files import StoredFiles
from odin_graph.errors import ModelError, OdinError
from odin_graph.folder import make_near
from odin_graph.runtime.layers.hooks import CALL, evaluating
from odin_graph.runtime.layers.outputs import tensor_of
from odin_graph.runtime.models.model import layers_of, load_checkpoint
from odin_graph.stores import Stores

_FORM: Final = 1
"""The version of the digest: another way to make it has another number."""
_DEPENDS_ON_DATA: Final = ("aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.is_nonzero")
"""Operations after which another input may take another way through the model."""


def layer_digests(stores: Stores, checkpoint: str) -> dict[str, str]:
    """The digest of what feeds each layer of a checkpoint, preprocessing included; a call has a name: ``relu#2``.

    Found by a trace, once: the workspace's cache keeps it. Where the model cannot be traced (it has no input shape,
    what it does depends on the input, or its operations cannot be watched), the digests are of all weights and the
    definition: then nothing is shared, and nothing is mistaken.

    Raises:
        UnknownNameError: There is no such checkpoint.
        ModelError: It cannot be built.
    """
    record = checkpoint_of(stores, checkpoint)
    if record.model is None:
        raise ModelError(f"The checkpoint {record.id!r} belongs to no model, so it has no layers that could be run.")
    model = model_of(stores, record.model)
    whole = _digest("whole", record.weights, model.definition_digest, model.preprocess, list(model.input_shape or ()))
    file = stores.cache / "subnetworks" / f"{whole}.json"
    try:
        digests: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        digests = _computed(stores, record, model, whole)
        _cache(file, digests)
    return digests


def trace(module: nn.Module, input_shape: tuple[int, ...]) -> dict[str, str] | None:
    """The digest of what feeds each layer, by running one input; None where it cannot be traced.

    Args:
        module: On the CPU.
        input_shape: (bands, height, width).
    """
    like = next(iter((*module.parameters(), *module.buffers())), torch.empty(0))
    dtype = like.dtype if like.dtype.is_floating_point else torch.float32
    # Not zeros: what is computed outside of torch becomes a constant, which must differ between networks.
    inputs = torch.rand((1, *input_shape), generator=torch.Generator().manual_seed(0)).to(dtype)
    watch = _Watch(inputs)
    try:
        with torch.no_grad(), _named(module, watch), watch:
            module(inputs)
    except OdinError:
        raise
    except Exception:  # noqa: BLE001 - torch's operations fail in many ways where they are watched
        return None
    return None if watch.lost else watch.layers


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tracks the digest of every storage, operation by operation."""

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layers: dict[str, str] = {}
        self.lost = False
        self._known: dict[int, str] = {_storage(inputs): _digest("input", list(inputs.shape), str(inputs.dtype))}
        self._alive: list[Tensor] = [inputs]
        """Keeps tensors alive: a storage that is freed gives its address to the next."""

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        read = [self._of(value) for value in tree_flatten((args, kwargs))[0]]
        result = func(*args, **kwargs)
        name = str(func)
        self.lost |= name.startswith(_DEPENDS_ON_DATA)
        node = _digest(name, sorted(kwargs), str(tree_flatten((args, kwargs))[1]), read)
        outputs = [value for value in tree_flatten(result)[0] if isinstance(value, Tensor)]
        known = {_storage(value) for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)}
        for place, value in enumerate(outputs):
            # A view shares its input's storage, and is told apart by its shape, strides and offset.
            if _storage(value) not in known:
                self._known[_storage(value)] = _digest(node, place)
        for value in _written(func, args, kwargs):
            self._known[_storage(value)] = _digest(node, "in place")
        self._alive += outputs
        return result

    def keep(self, name: str, output: Tensor) -> None:
        """Record the digest of a layer's output now: a later operation may write to it."""
        self.layers[name] = _digest("layer", self._of(output))

    def _of(self, value: object) -> object:
        if not isinstance(value, Tensor):
            return str(value)
        place = _storage(value)
        if place not in self._known:  # a weight, or a constant
            self._known[place] = _bytes_of(value)
            self._alive.append(value)
        offset, strides = int(value.storage_offset()), list(value.stride())
        return [
            self._known[place],
            list(value.shape),
            strides,
            offset,
            str(value.dtype),
            value.is_conj(),
            value.is_neg(),
        ]


def _written(func: Any, args: Any, kwargs: Any) -> Iterator[Tensor]:
    """The tensors that an operation writes to, by its schema."""
    schema = getattr(func, "_schema", None)
    if schema is None:
        raise ModelError("an operation without a schema")
    for place, argument in enumerate(schema.arguments):
        if argument.alias_info is None or not argument.alias_info.is_write:
            continue
        value = args[place] if place < len(args) else kwargs.get(argument.name)
        yield from (tensor for tensor in tree_flatten(value)[0] if isinstance(tensor, Tensor))


@contextmanager
def _named(module: nn.Module, watch: _Watch) -> Iterator[None]:
    """Tell the watch what each layer gave, by the names that `captured` takes."""
    calls: Counter[str] = Counter()

    def keep(name: str, _module: nn.Module, _args: object, output: object) -> None:
        calls[name] += 1
        if (tensor := tensor_of(output)) is not None:
            watch.keep(f"{name}{CALL}{calls[name]}", tensor)
            watch.keep(name, tensor)

    with ExitStack() as undo:
        undo.enter_context(evaluating(module))
        for name, child in module.named_modules(remove_duplicate=False):
            undo.enter_context(child.register_forward_hook(partial(keep, name)))
        yield


def _computed(stores: Stores, record: CheckpointRecord, model: ModelRecord, whole: str) -> dict[str, str]:
    traced: dict[str, str] | None = None
    if model.input_shape is not None:
        with torch.random.fork_rng(devices=[]):
            traced = trace(load_checkpoint(StoredFiles(stores), record, model), model.input_shape)
    if traced is not None:
        return {name: _digest("traced", digest, model.preprocess) for name, digest in traced.items()}
    names = [
        name
        for row in layers_of(model)
        for name in (row.name, *(f"{row.name}{CALL}{call + 1}" for call in range(max(1, row.calls))))
    ]
    return {name: _digest("whole", whole, name) for name in names}


def _cache(file: Path, digests: dict[str, str]) -> None:
    try:
        make_near(file.parent)
        fresh = file.with_suffix(f".{id(digests)}.tmp")
        fresh.write_text(json.dumps(digests), encoding="utf-8")
        fresh.replace(file)
    except OSError:  # it is computed again
        return


def _storage(value: Tensor) -> int:
    return int(value.untyped_storage()._cdata)  # noqa: SLF001 - torch has no other name for it


def _bytes_of(value: Tensor) -> str:
    """All of a storage, since other views of it may come."""
    storage = value.untyped_storage()
    whole = torch.empty(0, dtype=torch.uint8, device=value.device).set_(storage)
    return hashlib.sha256(whole.cpu().numpy().data).hexdigest()


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps([_FORM, *parts]).encode()).hexdigest()
