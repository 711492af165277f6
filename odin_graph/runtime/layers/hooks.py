"""Layer outputs, captured while a model runs. The model comes back as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

from torch import Tensor, nn

from odin_graph.errors import ModelError, UnknownNameError
from odin_graph.runtime.layers.outputs import tensor_of

CALL = "#"
"""Between a module's name and which of its calls is meant, from 1: ``relu#2``."""


Reduce = Callable[[Tensor], Tensor]


class AllCaptured(Exception):  # noqa: N818 - no error
    """Ends a forward pass whose wanted layers have all run: see `captured`."""


@contextmanager
def captured(
    model: nn.Module,
    layers: Iterable[str],
    *,
    reduce: Reduce | Mapping[str, Reduce] | None = None,
    stop: bool = False,
) -> Iterator[dict[str, Tensor]]:
    """Each forward pass fills the dict: layer name to output (n, ...), detached, on the CPU.

    The model runs in evaluation mode; afterwards every module has its own mode again, and no hook is left.

    Args:
        model: The model.
        layers: Names of its modules, as `named_modules` has them. A module that runs several times in one pass takes
            the number of the call: ``relu#1``.
        reduce: Applied to each output where it was computed, before it is copied: a pooling, or one a layer.
        stop: Raise `AllCaptured` in the forward pass once every layer has run: what comes after is not run,
            so that it is not noticed either when one of them runs again.

    Raises:
        UnknownNameError: The model has no such module.
        ModelError: In the forward pass: a layer runs twice, or returns no tensor.
    """
    outputs: dict[str, Tensor] = {}
    pools = _pooling(reduce)
    calls: Counter[str] = Counter()
    asked = set(layers)
    wanted = _by_module(asked)
    # One module can have several names; a hook on the object sees all of them, so each name is looked up alone.
    modules = {name: _module(model, name) for name in wanted}

    def begin(_module: nn.Module, _args: object) -> None:
        outputs.clear()
        calls.clear()

    def keep(name: str, _module: nn.Module, _args: object, output: object) -> None:
        calls[name] += 1
        layer = f"{name}{CALL}{calls[name]}"
        if name in wanted[name]:
            if calls[name] > 1:
                raise ModelError(
                    f"The layer {name!r} runs more than once in a pass, so it has more than one output. "
                    f"Say which call you mean: {name}{CALL}1, {layer} ..."
                )
            layer = name
        elif layer not in wanted[name]:
            return
        tensor = tensor_of(output)
        if tensor is None:
            raise ModelError(
                f"The layer {name!r} returns {type(output).__qualname__}, no tensor: choose another layer."
            )
        values = tensor.detach()
        values = pools(layer, values)
        # copy=True: on the CPU .cpu() copies nothing, and an in-place ReLU that follows would overwrite it
        outputs[layer] = values.detach().to("cpu", copy=True)
        if stop and outputs.keys() == asked:
            raise AllCaptured

    with ExitStack() as undo:  # the model comes back as it was, also after an error
        for module in model.modules():
            undo.callback(setattr, module, "training", module.training)
        undo.enter_context(model.register_forward_pre_hook(begin))
        for name, module in modules.items():
            undo.enter_context(module.register_forward_hook(partial(keep, name)))
        model.eval()
        yield outputs


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode; afterwards every module has its own mode again."""
    with captured(model, ()):
        yield


def _pooling(reduce: Reduce | Mapping[str, Reduce] | None) -> Callable[[str, Tensor], Tensor]:
    """How a layer's output is reduced before it is stored."""
    if reduce is None:
        return lambda _, output: output
    if isinstance(reduce, Mapping):
        return lambda layer, output: reduce[layer](output)
    return lambda _, output: reduce(output)


def _by_module(layers: Iterable[str]) -> dict[str, set[str]]:
    """The layers that are calls of each module."""
    wanted: dict[str, set[str]] = {}
    for layer in layers:
        wanted.setdefault(layer.partition(CALL)[0], set()).add(layer)
    return wanted


def _module(model: nn.Module, name: str) -> nn.Module:
    found: dict[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
    if name in found:
        return found[name]
    raise UnknownNameError.of("layer", name, filter(None, found))
