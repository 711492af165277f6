"""Channels against masks: the overlap of where a channel is high with what people outlined.

As in Network Dissection (Bau, Zhou, Khosla, Oliva and Torralba, 2017), with a test, which the paper has not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.analysis.units.hypotheses import HYPOTHESES, Effects, Prepared, Rows, enough
from odin_graph.errors import DataError, ShapeError

_CELLS: Final = 2**17
"""Pixels of enlarged maps in memory at once."""


@dataclass(frozen=True)
class Iou:
    """Intersection over union of the masks and of where the channel is above its own threshold, over all images.

    The threshold is the value that a share ``top`` of the channel's positions exceeds; maps are enlarged to the masks
    bilinearly before they are compared with it.

    The p is one-sided: whether the channel lies on the mask of an image more than on the masks of the others, by a
    t-test over images. An image counts once, however many pixels it has, and a channel that merely looks at the
    middle, where most masks are, gains nothing. Of few images it is cautious: overlaps are skewed, and of what has no
    relation a smaller share than 5 % has p <= 0.05.
    """

    name: str = "iou"
    effect: str = "IoU"
    maps: bool = True
    top: float = 0.005

    def prepare(self, name: str, values: Any) -> Prepared:
        """See `Measure`."""
        sizes = {np.shape(mask) for mask in values if mask is not None}
        if any(len(size) != 2 for size in sizes):
            raise ShapeError(f"The masks of {name!r} must be (height, width) for each image, not {sizes.pop()}.")
        if len(sizes) > 1:
            listed = ", ".join(" x ".join(map(str, size)) for size in sorted(sizes))
            raise ShapeError(f"The masks of {name!r} are of different sizes, {listed}: resize them to one.")
        present = np.array([mask is not None for mask in values], bool)
        enough(name, present)
        masks = np.zeros((len(present), *sizes.pop()), bool)
        for place in np.flatnonzero(present):
            masks[place] = values[place] != 0
        inside = masks[present]
        if inside.all() or not inside.any():
            covers = "everything" if inside.all() else "nothing"
            raise DataError(f"The masks of {name!r} cover {covers} in every image, so no channel can lie on them.")
        return Prepared(masks, present)

    def __call__(self, units: Rows, values: NDArray[Any]) -> Effects:
        """See `Measure`."""
        from scipy import special

        maps, (n, high, wide) = units.values, values.shape
        threshold = _exceeded(maps.reshape(len(maps), -1), self.top)
        usual = values.mean(axis=0)
        inside, lit, more = np.empty((3, len(maps), n))
        images = max(1, _CELLS // (len(maps) * high * wide))
        for first in range(0, n, images):
            part = slice(first, first + images)
            above = enlarged(maps[:, part], high, wide) > threshold[:, None, None, None]
            masks = values[part].astype(np.float64)
            weights = np.stack([masks, masks - usual, np.ones_like(masks)])
            # (images, units, pixels) by (images, pixels, 3): a product an image.
            rows = above.reshape(len(maps), len(masks), -1).transpose(1, 0, 2).astype(np.float64)
            sums = rows @ weights.reshape(3, len(masks), -1).transpose(1, 2, 0)
            inside[:, part], more[:, part], lit[:, part] = sums.transpose(2, 1, 0)
        both = inside.sum(axis=1)
        iou = both / (lit.sum(axis=1) + values.sum() - both)
        iou[units.constant] = np.nan
        spread = more.std(axis=1, ddof=1)
        t = np.divide(more.mean(axis=1), spread / np.sqrt(n), out=np.full(len(maps), np.nan), where=spread > 0)
        t[units.constant] = np.nan
        return Effects(iou, iou, t, special.stdtr(n - 1, -t))


def enlarged(maps: NDArray[np.float32], high: int, wide: int) -> NDArray[np.float64]:
    """Maps (u, n, h, w) as (u, n, high, wide), bilinearly between the middles of positions."""
    result = maps.astype(np.float64)
    for axis, many in ((2, high), (3, wide)):
        result = _between(result, axis, many)
    return result


def _between(values: NDArray[np.float64], axis: int, many: int) -> NDArray[np.float64]:
    few = values.shape[axis]
    if few == many:
        return values
    at = np.clip((np.arange(many) + 0.5) * few / many - 0.5, 0, few - 1)
    below = np.floor(at).astype(np.int64)
    low, high = values.take(below, axis), values.take(np.minimum(below + 1, few - 1), axis)
    share = (at - below).reshape(-1, *[1] * (values.ndim - 1 - axis))
    # Not low * (1 - share) + high * share: between equal values it may exceed both, and a channel's plateau, such as
    # what it says of a black background, is often its threshold.
    result: NDArray[np.float64] = low + (high - low) * share
    return result


def _exceeded(values: NDArray[np.float32], top: float) -> NDArray[np.float64]:
    """The value that a share ``top`` of each row (u, m) exceeds, interpolated between values."""
    if not 0 < top < 1:
        raise DataError(f"A channel is high at a share of its positions between 0 and 1, not at top={top!r}.")
    place = (1 - top) * (values.shape[1] - 1)
    below = int(place)
    above = min(below + 1, values.shape[1] - 1)
    around = np.partition(values, sorted({below, above}), axis=1)[:, [below, above]].astype(np.float64)
    threshold: NDArray[np.float64] = around[:, 0] + (around[:, 1] - around[:, 0]) * (place - below)
    return threshold


IOU = HYPOTHESES.register("iou")(Iou())
