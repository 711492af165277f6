"""Pipelines: recorded, read again, and equal by structure."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from importlib.metadata import version
from typing import ClassVar

import numpy as np
import pytest

from odin_graph.errors import DataError, QueryError, UnknownNameError
from odin_graph.ops import OPS, CenterCrop, Normalize, Pipeline, Resize, ToFloat, ToRgb

STEPS = (Resize(size=(24, 24)), CenterCrop(size=20), ToRgb(), ToFloat(), Normalize(mean=(0.5,), std=(0.25,)))
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 28, 28, 1), dtype=np.uint8)


def test_the_json_form_comes_back_equal() -> None:
    held = Pipeline.of(STEPS)
    text = held.to_json()
    again = Pipeline.from_json(text)
    assert again == held
    assert hash(again) == hash(held)
    np.testing.assert_array_equal(again(PIXELS[0]), held(PIXELS[0]))
    assert json.loads(text)["odin"] == version("odin-graph")
    assert pickle.loads(pickle.dumps(held)) == held


def test_other_parameters_are_another_pipeline() -> None:
    assert Pipeline.of([Resize(size=28)]) != Pipeline.of([Resize(size=(28, 28))])
    assert Pipeline.of([ToFloat(maximum=255)]) == Pipeline.of([ToFloat(maximum=255.0)])


def test_a_batch_is_its_images() -> None:
    held = Pipeline.of(STEPS)
    np.testing.assert_allclose(held.batch(PIXELS), np.stack([held(image) for image in PIXELS]), atol=1e-6)


def test_an_operation_that_takes_one_image_gets_one_image() -> None:
    @OPS.register("test-flip-one")
    @dataclass(frozen=True, kw_only=True)
    class FlipOne:
        times: int = 1

        def __call__(self, pixels: np.ndarray) -> np.ndarray:
            assert pixels.ndim == 3
            return pixels[:, :: (-1) ** self.times]

    held = Pipeline.of(["test-flip-one", "to-float"])
    np.testing.assert_array_equal(held.batch(PIXELS), ToFloat()(PIXELS[:, :, ::-1]))
    assert Pipeline.from_json(held.to_json()) == held


@dataclass(frozen=True, kw_only=True)
class Summed:
    """Of all bands, without an axis for the one that is left."""

    batched: ClassVar[bool] = False

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return pixels.sum(axis=-1, dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class SummedBatch(Summed):
    batched: ClassVar[bool] = True


@pytest.mark.parametrize("op", [Summed(), SummedBatch()])
def test_an_image_of_one_band_has_its_axis(op: Summed) -> None:
    held = Pipeline((op, ToRgb()))
    assert held(PIXELS[0]).shape == (28, 28, 3)
    np.testing.assert_array_equal(held.batch(PIXELS), np.repeat(PIXELS, 3, axis=-1).astype(np.float32))


def test_what_is_no_image_names_the_operation() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Total:
        def __call__(self, pixels: np.ndarray) -> np.ndarray:
            return pixels.sum(axis=(0, 1))

    with pytest.raises(
        DataError, match=r"Total gave an array of shape \(1,\) for pixels of shape \(28, 28, 1\), which"
    ):
        Pipeline((Total(),))(PIXELS[0])


def test_names_and_json_forms_are_read() -> None:
    assert Pipeline.of(["to-rgb", {"op": "resize", "parameters": {"size": [8, 9]}}]).ops == (
        ToRgb(),
        Resize(size=(8, 9)),
    )


def test_unknown_names_list_what_there_is() -> None:
    with pytest.raises(
        UnknownNameError, match=r"no image operation 'resise'. Did you mean 'resize'\? There is: blur, center-crop"
    ):
        Pipeline.of(["resise"])
    with pytest.raises(
        UnknownNameError, match=r"parameter of the image operation 'resize': 'sise'. Did you mean 'size'"
    ):
        Pipeline.of([{"op": "resize", "parameters": {"sise": 3}}])
    with pytest.raises(DataError, match="'resize' takes size, method"):
        Pipeline.of(["resize"])


def test_what_is_no_operation_is_refused() -> None:
    with pytest.raises(DataError, match="is not an image operation"):
        Pipeline.of([3])  # type: ignore[list-item]
    with pytest.raises(DataError, match=r"write ToFloat\(\)"):
        Pipeline.of([ToFloat])  # type: ignore[list-item]
    with pytest.raises(DataError, match="takes a list"):
        Pipeline.of("to-float")
    with pytest.raises(QueryError, match=r"flip is not a registered image operation.*: write it as a frozen dataclass"):
        Pipeline.of([np.flip])


def test_a_broken_json_form_is_refused() -> None:
    for text in ("", "[]", '{"ops": []}', '{"format": 1, "ops": [{"op": "resize"}]}'):
        with pytest.raises(DataError, match="not a pipeline's JSON form"):
            Pipeline.from_json(text)
    with pytest.raises(DataError, match="written by odin_graph 9"):
        Pipeline.from_json('{"format": 99, "odin": "9", "ops": []}')
