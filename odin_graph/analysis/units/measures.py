"""Measures of units against one value an image: correlation, AUC, Kruskal-Wallis. All are two-sided.

Computed as SciPy does it for one column, of many at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.analysis.units.hypotheses import HYPOTHESES, Effects, Prepared, Rows, constant, enough
from odin_graph.analysis.units.labels import Classes
from odin_graph.errors import DataError


@dataclass(frozen=True)
class Correlation:
    """Pearson's r of values, or Spearman's of ranks, with the p of Student's t.

    Of ranks it is 2 / n! at least: among all orders of n images only two go together wholly, which t does not know.
    Numbers that are not finite are missing.
    """

    name: str
    effect: str
    ranked: bool
    maps: bool = False

    def prepare(self, name: str, values: Any) -> Prepared:
        """See `Measure`."""
        column = numbers(name, values)
        present = np.isfinite(column)
        enough(name, present)
        if (column[present] == column[present][0]).all():
            raise constant(name, float(column[present][0]))
        return Prepared(column, present)

    def __call__(self, units: Rows, values: NDArray[Any]) -> Effects:
        """See `Measure`."""
        from scipy import special

        y = _ranks(values) if self.ranked else values
        x = _direction(units.ranks if self.ranked else units.values.astype(np.float64))
        r = np.clip(x @ _direction(y[None])[0], -1, 1)
        r[units.constant | (values == values[0]).all()] = np.nan
        n = len(values)
        # Student's t of r with n - 2 degrees of freedom as the incomplete beta function, which is exact near r = 1.
        p = np.minimum(2 * special.betainc(n / 2 - 1, n / 2 - 1, (1 - np.abs(r)) / 2), 1)
        return Effects(r, np.abs(r), r, np.maximum(p, 2 / special.gamma(n + 1)) if self.ranked else p)


@dataclass(frozen=True)
class Auc:
    """The probability that an image of which it is true has the higher value, equal ones counting half.

    The p is that of the Mann-Whitney test: normal approximation, corrected for ties and continuity.
    """

    name: str = "auc"
    effect: str = "AUC"
    maps: bool = False

    def prepare(self, name: str, values: Any) -> Prepared:
        """See `Measure`."""
        column = numbers(name, values)
        present = np.isfinite(column)
        enough(name, present)
        if not np.isin(column[present], (0, 1)).all():
            raise DataError(
                f"The hypothesis {name!r} must be true or false for an image, but has other numbers: compare it, "
                "as in F('age') > 60, or leave out measures=."
            )
        if (column[present] == column[present][0]).all():
            raise constant(name, bool(column[present][0]))
        return Prepared(column, present)

    def __call__(self, units: Rows, values: NDArray[Any]) -> Effects:
        """See `Measure`."""
        from scipy import special

        n, true = len(values), float(values.sum())
        pairs = true * (n - true)
        if not pairs:
            return nothing(len(units.values))
        u = units.ranks @ values - true * (true + 1) / 2
        spread = np.sqrt(pairs / 12 * (n + 1 - units.ties / (n * (n - 1))))
        with np.errstate(invalid="ignore", divide="ignore"):
            z = (np.maximum(u, pairs - u) - pairs / 2 - 0.5) / spread
        p = np.minimum(2 * special.ndtr(-z), 1)
        auc = np.where(units.constant, np.nan, u / pairs)
        p[units.constant] = np.nan
        return Effects(auc, np.abs(2 * auc - 1), np.where(units.constant, np.nan, u), p)


@dataclass(frozen=True)
class KruskalWallis:
    """Whether categories differ in their ranks, corrected for ties.

    The effect size is epsilon squared, H / (n - 1), or eta squared, (H - k + 1) / (n - k) of k categories, which is
    less than 0 where they differ less than by chance.
    """

    name: str = "kruskal-wallis"
    effect: str = "epsilon squared"
    maps: bool = False

    def prepare(self, name: str, values: Any) -> Prepared:
        """See `Measure`."""
        classes = Classes.of(values, f"the hypothesis {name!r}")
        present = classes.codes >= 0
        enough(name, present)
        if len(classes.names) == 1:
            raise constant(name, classes.names[0])
        if len(classes.names) == present.sum():
            raise DataError(
                f"The hypothesis {name!r} has another category for each of {present.sum():,} images, so it groups "
                "nothing: give a field with fewer values."
            )
        return Prepared(classes.codes, present)

    def __call__(self, units: Rows, values: NDArray[Any]) -> Effects:
        """See `Measure`."""
        from scipy import special

        order = np.argsort(values, kind="stable")
        _, starts, sizes = np.unique(values[order], return_index=True, return_counts=True)
        n, k = len(values), len(sizes)
        if k < 2 or k == n:
            return nothing(len(units.values))
        sums = np.add.reduceat(units.ranks[:, order], starts, axis=1)
        # Of deviations from the mean rank: the usual sum of squares loses its digits where n is large.
        apart = ((sums / sizes - (n + 1) / 2) ** 2 * sizes).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            h = 12 * apart / (n * (n + 1)) / (1 - units.ties / (float(n) ** 3 - n))
        h[units.constant] = np.nan
        epsilon = h / (n - 1)
        effect = epsilon if self.effect == "epsilon squared" else (h - k + 1) / (n - k)
        return Effects(effect, epsilon, h, special.chdtrc(k - 1, h))


def numbers(name: str, values: Any) -> NDArray[np.float64]:
    """A column as float64, NaN where it has none: of an array, Arrow, pandas, or a list with None.

    Raises:
        DataError: It holds something else.
    """
    import pandas as pd

    if hasattr(values, "to_pandas"):
        values = values.to_pandas()
    try:
        column = pd.Series(values).astype("Float64").to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"The hypothesis {name!r} does not contain numbers ({error}): leave out measures=.") from error
    return np.asarray(column, np.float64)


def nothing(units: int) -> Effects:
    """The effects where there is nothing to compare: all NaN."""
    return Effects(*(np.full(units, np.nan) for _ in range(4)))


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Ranks as for units, but of float64: float32 would make some values equal."""
    _, place, number = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(number) - (number - 1) / 2)[place]
    return ranks


def _direction(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows (u, n) about their means, of length 1; 0 stays 0."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.sqrt(np.einsum("un,un->u", rows, rows))[:, None]
    np.divide(rows, length, out=rows, where=length > 0)
    return rows


PEARSON = HYPOTHESES.register("pearson")(Correlation("pearson", "r", ranked=False))
SPEARMAN = HYPOTHESES.register("spearman")(Correlation("spearman", "rho", ranked=True))
AUC = HYPOTHESES.register("auc")(Auc())
KRUSKAL_WALLIS = HYPOTHESES.register("kruskal-wallis")(KruskalWallis())
KRUSKAL_WALLIS_ETA = HYPOTHESES.register("kruskal-wallis-eta")(KruskalWallis("kruskal-wallis-eta", "eta squared"))
