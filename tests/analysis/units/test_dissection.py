"""Channels against masks: by the plainest loop, SciPy and torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from odin_graph.analysis.units import dissection
from odin_graph.analysis.units.affinity import affinity
from odin_graph.analysis.units.dissection import Iou, enlarged
from odin_graph.analysis.units.kinds import Hypothesis
from odin_graph.errors import DataError, ShapeError
from tests.analysis.units.activations import maps, slabs
from tests.runtime.digits import digits


def by_loop(held: NDArray[Any], masks: NDArray[np.bool_], top: float) -> tuple[float, float]:
    """IoU and p of one channel (n, h, w)."""
    threshold = np.quantile(held.astype(np.float64), 1 - top)
    size = masks.shape[1:]
    both = either = 0
    more = []
    for one, mask in zip(held, masks, strict=True):
        large = between(between(one, size[0]).T, size[1]).T
        lit = large > threshold
        both += (lit & mask).sum()
        either += (lit | mask).sum()
        others = (masks.sum(axis=0) - mask) / (len(masks) - 1)
        more.append((lit & mask).sum() - others[lit].sum())
    return both / either, stats.ttest_1samp(more, 0, alternative="greater").pvalue


def between(rows: NDArray[Any], many: int) -> NDArray[np.float64]:
    """Along the first axis, by NumPy."""
    few = len(rows)
    at = (np.arange(many) + 0.5) * few / many - 0.5
    return np.stack([np.interp(at, np.arange(few), column.astype(np.float64)) for column in rows.T], axis=1)


@given(size=st.tuples(*[st.integers(1, 9)] * 4))
def test_maps_are_enlarged_as_torch_does(size: tuple[int, int, int, int]) -> None:
    h, w, high, wide = size
    high, wide = max(h, high), max(w, wide)
    held = np.random.default_rng(0).normal(size=(2, 3, h, w)).astype(np.float32)
    expected = torch.nn.functional.interpolate(torch.from_numpy(held).double(), (high, wide), mode="bilinear")
    np.testing.assert_allclose(enlarged(held, high, wide), expected.numpy(), atol=1e-12)


@pytest.mark.parametrize("top", [0.005, 0.1])
@pytest.mark.parametrize("cells", [1, 2**20])
def test_strokes_of_digits(top: float, cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a channel lies on the ink of a digit, and on the dark left half of it."""
    monkeypatch.setattr(dissection, "_CELLS", cells)
    held, _ = maps()
    held = held[:, :60]
    ink = digits()[0][:60] > 128
    said = {"ink": ink, "left": ink & (np.arange(28) < 14)}
    found = affinity(slabs(held, 5), {name: Hypothesis(masks, measures=Iou(top=top)) for name, masks in said.items()})
    assert len(found) == 2 * 16
    assert found["effect"].max() > (0.05 if top > 0.01 else 0.005)
    for row in found.to_pandas().to_dict("records"):
        one = held[row["unit"]]
        if np.ptp(one) == 0:
            assert np.isnan([row["effect"], row["p"]]).all()
            continue
        iou, p = by_loop(one, said[row["hypothesis"]], top)
        assert row["effect"] == pytest.approx(iou, abs=1e-12)
        assert row["p"] == pytest.approx(p, rel=1e-6, nan_ok=True)


def test_a_channel_that_is_the_mask_and_one_that_looks_at_the_middle() -> None:
    """Both lie on the masks; only the first knows where each is."""
    draw = np.random.default_rng(2)
    masks = np.zeros((50, 16, 16), bool)
    for mask, (y, x) in zip(masks, draw.integers(4, 9, (50, 2)), strict=True):
        mask[y : y + 4, x : x + 4] = True
    middle = np.zeros((16, 16), np.float32)
    middle[6:10, 6:10] = 1
    held = np.stack([masks.astype(np.float32), np.broadcast_to(middle, masks.shape)])
    found = affinity(slabs(held), {"lesion": Hypothesis(masks, measures=Iou(top=0.0625))}).sorted("unit")
    assert found["effect"][0] == 1
    assert found["p"][0] < 1e-20
    assert found["effect"][1] > 0.3
    assert found["p"][1] > 0.3


@pytest.mark.parametrize("n", [20, 300])
def test_noise_has_a_low_p_no_more_often_than_that(n: int) -> None:
    draw = np.random.default_rng(3)
    held = draw.normal(size=(400, n, 6, 6)).astype(np.float32)
    masks = np.zeros((n, 12, 12), bool)
    masks[:, 4:9, 4:9] = draw.random((n, 5, 5)) > 0.4
    p = affinity(slabs(held, 50), {"noise": Hypothesis(masks, measures=Iou(top=0.05))})["p"]
    for level in (0.001, 0.01, 0.05):
        assert (p < level).mean() <= level + 2.5 * np.sqrt(level / 400)
    if n == 300:
        assert (p < 0.5).mean() == pytest.approx(0.5, abs=0.08), "nor is it far too cautious"


def test_images_without_a_mask_and_broken_maps_are_left_out() -> None:
    held, _ = maps()
    held = held[:6, :40].copy()
    ink = digits()[0][:40] > 128
    held[0, 3, 2, 2] = np.nan
    masks = [None if place == 7 else mask for place, mask in enumerate(ink)]
    found = affinity(slabs(held), {"ink": masks}).sorted("unit")
    assert found["n"].tolist() == [38, *[39] * 5]
    kept = np.delete(np.arange(40), [3, 7])
    iou, p = by_loop(held[0, kept], ink[kept], 0.005)
    assert found["effect"][0] == pytest.approx(iou, abs=1e-12, nan_ok=True)
    assert found["p"][0] == pytest.approx(p, rel=1e-6, nan_ok=True)


def test_masks_beside_other_hypotheses() -> None:
    """Values are compared with the highest position of a map, masks with the map."""
    held, labels = maps()
    said = {"digit": labels, "one": labels == 1, "ink": digits()[0] > 128}
    found = affinity(slabs(held), said)
    assert {*zip(found["hypothesis"], found["measure"], strict=True)} == {
        ("digit", "pearson"), ("digit", "spearman"), ("one", "auc"), ("ink", "iou"),
    }  # fmt: skip
    alone = affinity(slabs(held.max(axis=(2, 3))), {"one": said["one"]}).sorted("unit")
    np.testing.assert_allclose(found.of("one").sorted("unit")["p"], alone["p"])


def test_nonsense_is_refused() -> None:
    held = np.random.default_rng(0).normal(size=(2, 4, 3, 3)).astype(np.float32)

    def said(masks: Any, **how: Any) -> str:
        with pytest.raises(DataError) as caught:
            affinity(slabs(held), {"vessel": Hypothesis(masks, measures=Iou(**how))})
        return str(caught.value)

    some = np.zeros((4, 6, 6), bool)
    some[:, 2, 2] = True
    assert said([some[0], some[1], some[2, :5], None]) == (
        "The masks of 'vessel' are of different sizes, 5 x 6, 6 x 6: resize them to one."
    )
    assert said(some[0]) == "The masks of 'vessel' must be (height, width) for each image, not (6,)."
    assert said(some & False) == ("The masks of 'vessel' cover nothing in every image, so no channel can lie on them.")
    assert "cover everything" in said(some | True)
    assert said([None] * 4).startswith("The hypothesis 'vessel' has no value for any of 4 images")
    assert said(some[:3]) == (
        "The hypothesis 'vessel' has 3 values, and the units are looked at for 4 images: give one an image, in the "
        "order of their keys, None where there is none."
    )
    assert said(some, top=1.5) == ("A channel is high at a share of its positions between 0 and 1, not at top=1.5.")
    with pytest.raises(ShapeError):
        affinity(slabs(held), {"vessel": some[:3]})
