"""Every unit against every hypothesis, with significance and control for many tests.

The job of DeepBase (Sellam, Lin, Huang, Yang, Vondrick and Wu, SIGMOD 2019), whose hypotheses are per image here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.analysis.units.hypotheses import LEAST, Effects, Measure, Prepared, Rows
from odin_graph.analysis.units.kinds import hypothesis_of
from odin_graph.analysis.units.slab import Slab, Slabs, blocks, checked, workers
from odin_graph.analysis.units.stats import not_finite
from odin_graph.analysis.units.table import UnitTable, counted
from odin_graph.errors import QueryError, ShapeError, UnknownNameError
from odin_graph.served import travels

SUMMARIES: Final[Mapping[str, Callable[..., NDArray[np.float32]]]] = {"max": np.max, "mean": np.mean}
"""How a channel's map becomes one value an image."""


@travels
@dataclass(frozen=True, eq=False, repr=False)
class Affinity(UnitTable):
    """How units and hypotheses go together: a row a test, the most significant first.

    Columns: ``unit``, ``hypothesis``, ``measure``; ``effect``, the effect size of the measure (r, rho, AUC, epsilon
    squared, IoU); ``strength``, the same from 0, no relation, to 1; the ``statistic`` and the ``p`` of its test;
    ``p_bh``, the p adjusted by Benjamini and Hochberg (1995), so that of all rows with p_bh <= 0.05 about 5 % are
    false; ``p_bonferroni``, the p times the number of tests; ``n``, the images that the test rests on. Rows are NaN
    where a unit is constant: these count as no test.
    """

    tests: int
    """How many p-values were adjusted for, over all units, hypotheses and measures."""

    def of(self, hypothesis: str) -> Affinity:
        """The rows of one hypothesis, adjusted as before for all tests.

        Raises:
            UnknownNameError: There is no such hypothesis; lists those there are.
        """
        names = self.table.column("hypothesis").combine_chunks().dictionary.to_pylist()
        if hypothesis not in names:
            raise UnknownNameError.of("hypothesis", hypothesis, names)
        return replace(self, table=self.table.filter(pa.compute.equal(self.table.column("hypothesis"), hypothesis)))

    def significant(self, level: float = 0.05) -> Affinity:
        """The rows of which about so large a share is false: those with ``p_bh`` at most the level."""
        return replace(self, table=self.table.filter(pa.compute.less_equal(self.table.column("p_bh"), level)))

    def _head(self) -> str:
        units = len(np.unique(self["unit"]))
        hypotheses = len(self.table.column("hypothesis").unique())
        return (
            f"{counted(units, 'unit')} and {hypotheses} hypotheses over {counted(self.images, 'image')}: "
            f"{int((self['p_bh'] <= 0.05).sum()):,} of {counted(self.tests, 'test')} with p_bh <= 0.05"
        )


@dataclass(frozen=True, eq=False)
class _Test:
    hypothesis: str
    measure: Measure
    prepared: Prepared


def affinity(slabs: Slabs, hypotheses: Mapping[str, Any], *, summary: str = "max") -> Affinity:
    """Test every unit against every hypothesis.

    Args:
        slabs: Units over all images; with masks among the hypotheses the maps (u, n, h, w) of channels.
        hypotheses: By name: (n,) values of the images in their order, None or NaN where missing; masks (n, h, w), or
            a list of masks and None; or a `Hypothesis` that says by which measures. Numbers are compared by Pearson
            and Spearman, booleans by AUC, categories by Kruskal-Wallis, masks by IoU.
        summary: ``max`` or ``mean``: what of a channel's map is compared with values.

    Raises:
        QueryError: There is no hypothesis, unit or image, or masks and no maps.
        DataError: A hypothesis that is constant, or missing for nearly all images.
        ShapeError: Not as many values as images.
        UnknownNameError: There is no such measure or summary.
    """
    if not hypotheses:
        raise QueryError('There is no hypothesis to compare the units with: give at least one, {"age": F("age")}.')
    if summary not in SUMMARIES:
        raise UnknownNameError.of("summary of maps", summary, SUMMARIES)
    stream = checked(slabs, maps=None)
    first = next(stream)
    tests = [
        _Test(name, measure, measure.prepare(name, hypothesis.values))
        for name, hypothesis in ((name, hypothesis_of(values)) for name, values in hypotheses.items())
        for measure in hypothesis.registered()
    ]
    _check(tests, first)
    units: list[NDArray[np.int64]] = []
    found: list[NDArray[np.float64]] = []
    with workers() as pool:
        for slab in chain([first], stream):
            units.append(slab.units)
            found.extend(pool.map(lambda block: _tested(block[1], tests, summary), blocks(slab)))
    return _table(np.concatenate(units), np.concatenate(found, axis=1), tests, first.values.shape[1])


def _check(tests: Sequence[_Test], first: Slab) -> None:
    n = first.values.shape[1]
    for test in tests:
        if len(test.prepared.present) != n:
            raise ShapeError(
                f"The hypothesis {test.hypothesis!r} has {len(test.prepared.present):,} values, and the units are "
                f"looked at for {n:,} images: give one an image, in the order of their keys, None where there is none."
            )
        if test.measure.maps and first.values.ndim == 2:
            raise QueryError(
                f"The hypothesis {test.hypothesis!r} is of masks, and the units have one value an image and no place "
                "in it: ask for a layer whose channels have maps."
            )


def _tested(values: NDArray[np.float32], tests: Sequence[_Test], summary: str) -> NDArray[np.float64]:
    """The columns of some units (u, n, ...): (tests, u, 5) effect, strength, statistic, p and n."""
    found = np.full((len(tests), len(values), 5), np.nan)
    found[..., 4] = 0
    by_images: dict[tuple[bool, bytes], list[int]] = {}
    for place, test in enumerate(tests):
        by_images.setdefault((test.measure.maps, test.prepared.present.tobytes()), []).append(place)
    flat = values if values.ndim == 2 else np.asarray(SUMMARIES[summary](values, axis=(2, 3)), np.float32)
    for (maps, _), places in by_images.items():
        inputs, present = values if maps else flat, tests[places[0]].prepared.present
        for rows, images in _complete(inputs, present):
            if images.sum() < LEAST:
                continue
            units = Rows(inputs[np.ix_(rows, np.flatnonzero(images))])  # shared: its ranks are computed once
            for place in places:
                effects = tests[place].measure(units, tests[place].prepared.values[images])
                found[place, rows] = _columns(tests[place].measure, effects, len(rows), int(images.sum()))
    return found


def _complete(
    values: NDArray[np.float32], present: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Units that are finite for the same images, with these images: all at once, where nothing is amiss."""
    finite = not_finite(values.reshape(len(values), -1))
    if finite is None:
        yield np.arange(len(values)), present
        return
    whole = finite.reshape(*values.shape[:2], -1).all(axis=2) & present
    patterns, pattern_of = np.unique(whole, axis=0, return_inverse=True)
    for place, pattern in enumerate(patterns):
        yield np.flatnonzero(pattern_of.ravel() == place), pattern


def _columns(measure: Measure, effects: Effects, units: int, n: int) -> NDArray[np.float64]:
    for name in ("effect", "strength", "statistic", "p"):
        if getattr(effects, name).shape != (units,):
            raise ShapeError(
                f"The measure {measure.name!r} gave {name} {getattr(effects, name).shape} of {units} units: one number "
                "a unit is needed."
            )
    return np.stack(
        [effects.effect, effects.strength, effects.statistic, effects.p, np.full(len(effects.p), n)], axis=1
    )


def _table(units: NDArray[np.int64], found: NDArray[np.float64], tests: Sequence[_Test], images: int) -> Affinity:
    from scipy import stats

    unit = np.tile(units, len(tests))
    test = np.repeat(np.arange(len(tests)), len(units))
    effect, strength, statistic, p, n = found.reshape(-1, found.shape[2]).T
    made = ~np.isnan(p)
    adjusted = np.full((2, len(p)), np.nan)
    if made.any():
        adjusted[0, made] = stats.false_discovery_control(p[made])
        adjusted[1, made] = np.minimum(p[made] * made.sum(), 1)
    order = np.lexsort((unit, test, -strength, p))
    columns = {
        "unit": unit,
        "hypothesis": _named([each.hypothesis for each in tests], test),
        "measure": _named([each.measure.name for each in tests], test),
        "effect": effect,
        "strength": strength,
        "statistic": statistic,
        "p": p,
        "p_bh": adjusted[0],
        "p_bonferroni": adjusted[1],
        "n": n.astype(np.int64),
    }
    return Affinity(pa.table(columns).take(pa.array(order)), images, tests=int(made.sum()))


def _named(names: Sequence[str], index: NDArray[np.int64]) -> pa.DictionaryArray:
    known = list(dict.fromkeys(names))
    places = np.array([known.index(name) for name in names], np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(places[index]), pa.array(known))
