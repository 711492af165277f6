"""ONNX: a file, or an ``onnx.ModelProto``, run by ONNX Runtime."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from odin_graph.errors import MissingExtraError, ModelError
from odin_graph.runtime.models.formats.format import Facts, Inputs, ModelFormat, Outputs


class Onnx(ModelFormat):
    """The model's one input is (n, bands, height, width); its output is the one named ``logits``, else the first."""

    packages: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    runs_code: ClassVar[bool] = False

    def accepts(self, model: object) -> bool:
        """Whether it is the path of an ``.onnx`` file, or a model in memory."""
        if isinstance(model, str | os.PathLike):
            return Path(model).suffix.lower() == ".onnx"
        library = sys.modules.get("onnx")
        return library is not None and isinstance(model, library.ModelProto)

    def dump(self, model: Any) -> bytes:
        """The file, with all its weights inside.

        Raises:
            ModelError: It cannot be read.
        """
        if not isinstance(model, str | os.PathLike):
            return bytes(model.SerializeToString(deterministic=True))
        try:
            return Path(model).expanduser().read_bytes()
        except OSError as error:
            raise ModelError(f"{os.fspath(model)!r} cannot be read: {error.strerror}.") from error

    def facts(self, model: Any) -> Facts:
        """The shape that its input states."""
        shape = _opened(self.dump(model)).get_inputs()[0].shape[1:]
        known = len(shape) in (3, 4) and all(isinstance(size, int) and size > 0 for size in shape)
        return Facts(input_shape=tuple(shape) if known else None)

    def load(self, data: bytes) -> Callable[[Inputs], Outputs]:
        """The model as a function of images, on an accelerator if ONNX Runtime has one.

        Raises:
            ModelError: ONNX Runtime refuses it, or it takes something else than images.
            MissingExtraError: ONNX Runtime is not installed.
        """
        session = _opened(data)
        inputs = session.get_inputs()
        if len(inputs) != 1:
            listed = ", ".join(wanted.name for wanted in inputs)
            raise ModelError(f"The ONNX model takes {len(inputs)} inputs ({listed}): give one that takes images alone.")
        (wanted,) = inputs
        names = [given.name for given in session.get_outputs()]
        output = "logits" if "logits" in names else names[0]
        dtype = {"tensor(float16)": np.float16, "tensor(double)": np.float64}.get(wanted.type, np.float32)
        fixed = wanted.shape[0] if wanted.shape and isinstance(wanted.shape[0], int) else None

        def run(images: Inputs) -> Outputs:
            images = images.astype(dtype, copy=False)
            if fixed is None:
                return _array(session.run([output], {wanted.name: images})[0], output)
            parts = []
            for start in range(0, len(images), fixed):  # the last one is filled up, and what was too much is cut off
                part = images[start : start + fixed]
                filled = np.concatenate([part, np.zeros((fixed - len(part), *part.shape[1:]), dtype)])
                parts.append(_array(session.run([output], {wanted.name: filled})[0], output)[: len(part)])
            return np.concatenate(parts)

        return run


def _opened(data: bytes) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("ONNX models need ONNX Runtime: pip install 'odin-graph[onnx]'.") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors: the others are no user's business
    try:
        return onnxruntime.InferenceSession(data, options, providers=onnxruntime.get_available_providers())
    except Exception as error:
        raise ModelError(f"ONNX Runtime refuses the model: {error}") from error


def _array(value: Any, output: str) -> Outputs:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        raise ModelError(
            f"The output {output!r} of the ONNX model is no array of numbers: name the output to be used 'logits'."
        )
    return value


ONNX = Onnx()
