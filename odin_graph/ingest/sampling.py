"""Samples: by chance, as many of each value, or as likely as a weight says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.arguments import check_seed, whole
from odin_graph.errors import DataError


def sample_positions(
    n: int,
    k: int,
    *,
    balanced: Sequence[Any] | None = None,
    weights: Sequence[float | None] | None = None,
    ids: Sequence[str] | None = None,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Draw k of n images without repetition.

    Args:
        n: How many there are.
        k: How many to draw.
        balanced: (n,) values, of each of which as many are drawn; where that leaves a rest, the first values, sorted,
            give one more.
        weights: (n,) positive numbers: the chance to be drawn next is proportional.
        ids: (n,) ids. With them the same images are drawn, in whatever order they come.
        seed: The same seed draws alike.

    Returns:
        Positions, ascending.

    Raises:
        DataError: There are too few, or a weight is missing or not positive.
    """
    if balanced is not None and weights is not None:
        raise DataError("A sample is balanced or weighted, not both: leave one of them out.")
    if (wanted := whole(k)) is None or not 0 < wanted <= n:
        raise DataError(f"{k!r:.80} of {n} images cannot be drawn, each at most once: give 1 to {n}.")
    order = np.array(sorted(range(n), key=ids.__getitem__), np.int64) if ids is not None else np.arange(n)
    check_seed(seed)
    draw = np.random.default_rng(seed)
    if balanced is not None:
        return np.sort(_balanced(order, [balanced[at] for at in order], k, draw))
    if weights is None:
        return np.sort(draw.choice(order, k, replace=False))
    bad = [at for at in range(n) if not _is_weight(weights[at])]
    if bad:
        name = f", first {ids[bad[0]]!r}" if ids is not None else ""
        raise DataError(f"{len(bad)} images have no positive weight{name}: {weights[bad[0]]!r}. Give each one.")
    chance = np.array([weights[at] for at in order], np.float64)
    return np.sort(draw.choice(order, k, replace=False, p=chance / chance.sum()))


def _balanced(order: NDArray[np.int64], values: Sequence[Any], k: int, draw: np.random.Generator) -> NDArray[np.int64]:
    groups: dict[Any, list[int]] = {}
    for at, value in zip(order.tolist(), values, strict=True):
        groups.setdefault(repr(value), []).append(at)
    share, rest = divmod(k, len(groups))
    chosen = []
    for place, value in enumerate(sorted(groups)):
        wanted = share + (place < rest)
        if wanted > len(groups[value]):
            raise DataError(
                f"{k} images of {len(groups)} values are {wanted} of each, and there are only "
                f"{len(groups[value])} of {value}: draw fewer."
            )
        chosen.append(draw.choice(np.array(groups[value], np.int64), wanted, replace=False))
    return np.concatenate(chosen)


def _is_weight(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0 and np.isfinite(value)
