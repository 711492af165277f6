"""The output of a module, as the one tensor that is meant."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from odin_graph.errors import ModelError


def tensor_of(output: object) -> Tensor | None:
    """The tensor of an output; None where it has none.

    Of a tuple (an LSTM, attention, inception in training) the first tensor, of a dictionary (segmentation, Hugging
    Face) its ``logits``, its ``out``, else the first.
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        named = (output[name] for name in ("logits", "out") if name in output)
        return next((tensor for value in (*named, *output.values()) if (tensor := tensor_of(value)) is not None), None)
    if isinstance(output, tuple | list):
        return next((tensor for value in output if (tensor := tensor_of(value)) is not None), None)
    return None


def logits_of(output: object) -> Tensor:
    """The tensor of a whole model's output.

    Raises:
        ModelError: It has none.
    """
    tensor = tensor_of(output)
    if tensor is None:
        raise ModelError(
            f"The model returns {type(output).__qualname__}, which contains no tensor: wrap it in a module whose "
            "forward returns the outputs, (n, ...)."
        )
    return tensor
