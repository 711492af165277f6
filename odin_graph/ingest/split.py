"""Splits: by fraction, with the same share of each class, without tearing a patient apart, keeping who has a side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.arguments import check_seed
from odin_graph.catalog.datasets.sides import is_missing, value_key
from odin_graph.errors import DataError

Positions = NDArray[np.int64]

_NEW = -1
"""The part of what has none yet."""


def split_positions(
    n: int,
    fractions: Mapping[str, float],
    *,
    stratify: Sequence[Any] | None = None,
    group_by: Sequence[Any] | None = None,
    time: Sequence[Any] | None = None,
    sides: Sequence[str | None] | None = None,
    ids: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, Positions]:
    """Deal n images to parts.

    Args:
        n: How many images.
        fractions: The parts and their shares, which sum to 1.
        stratify: (n,) values, each of which keeps its share in every part, as far as whole images allow.
        group_by: (n,) values; all images of one go to one part. An image without a value is a group of its own.
        time: (n,) values that sort: the first part gets the least, and equal ones stay together. No chance then.
        sides: (n,) parts that images have already, and keep; None for those that are dealt now, so that all together
            come as near to the shares as they can. By time these go where the kept moments around them are.
        ids: (n,) ids. With them the same images are dealt alike, in whatever order they come.
        seed: The same seed deals alike.

    Returns:
        The positions of each part, ascending. Together they are all positions, each once.

    Raises:
        DataError: The fractions make no sense, or the groups cannot be split so.
    """
    check_fractions(fractions)
    check_seed(seed)
    names, shares = list(fractions), np.array(list(fractions.values()), np.float64)
    draw = np.random.default_rng(seed)
    order = np.array(sorted(range(n), key=ids.__getitem__), np.int64) if ids is not None else np.arange(n)
    strata = _codes(stratify, order) if stratify is not None else np.zeros(n, np.int64)
    kept = np.array([_NEW if side is None else names.index(side) for side in sides or [None] * n], np.int64)
    part = np.empty(n, np.int64)
    if time is not None:
        if stratify is not None or group_by is not None:
            raise DataError("A split by time is not stratified or grouped as well: leave these out.")
        part = _deal_times(time, shares, kept, ids)
    elif group_by is None:
        part[order] = _deal(strata, shares, draw, kept[order])
    else:
        groups = _codes(group_by, order, alone=True)
        part[order] = _deal_groups(groups, strata, shares, draw, names, kept[order], [group_by[at] for at in order])
    found = {name: np.flatnonzero(part == index) for index, name in enumerate(names)}
    empty = [name for name, positions in found.items() if not len(positions)]
    if empty:
        raise DataError(
            f"{n} images leave nothing for {', '.join(map(repr, empty))}: give larger shares, or more images"
            + ("." if sides is None else ", or redraw=True, since those that have a side keep it.")
        )
    return found


def check_fractions(fractions: Mapping[str, float]) -> None:
    """Refuse what are no shares of parts.

    Raises:
        DataError: They are not above 0, do not sum to 1, or a part has no name that a data set can have.
    """
    if not isinstance(fractions, Mapping) or not all(
        isinstance(share, int | float | np.number) for share in fractions.values()
    ):
        raise DataError(
            f'A split takes parts and their shares, as in {{"train": 0.8, "test": 0.2}}, not {fractions!r:.80}.'
        )
    total = sum(fractions.values())
    if not fractions or not math.isclose(total, 1, abs_tol=1e-6) or any(share <= 0 for share in fractions.values()):
        raise DataError(f"The shares of a split are above 0 and sum to 1, not {dict(fractions)} (sum {total:g}).")
    for name in fractions:
        if not isinstance(name, str) or not name or not set(name).isdisjoint("@/"):
            raise DataError(f"{name!r} cannot be the name of a part: it is not text, is empty, or contains @ or /.")


def _codes(values: Sequence[Any], order: Positions, *, alone: bool = False) -> Positions:
    """In that order, a number for each distinct value, the same for any order; with ``alone`` one for each None."""
    if len(values) != len(order):
        raise DataError(f"{len(order)} images, but {len(values)} values to split by.")
    keys = [
        ("", f"{place:012}") if alone and is_missing(values[row]) else value_key(values[row])
        for place, row in enumerate(order)
    ]
    index = {key: code for code, key in enumerate(sorted(set(keys)))}
    return np.array([index[key] for key in keys], np.int64)


def _deal_times(
    time: Sequence[Any], shares: NDArray[np.float64], kept: Positions, ids: Sequence[str] | None
) -> Positions:
    missing = [at for at, value in enumerate(time) if is_missing(value)]
    if missing:
        which = f", first {ids[missing[0]]!r}" if ids is not None else ""
        raise DataError(f"{len(missing)} images have no time to split by{which}: leave them out, or give them one.")
    try:
        known = sorted(set(time))
    except TypeError as error:
        raise DataError(f"The times to split by do not sort: {error}.") from error
    index = {value: place for place, value in enumerate(known)}
    codes = np.array([index[value] for value in time], np.int64)
    # A moment goes to the part that the middle of its images falls into.
    counts = np.bincount(codes, minlength=len(known))
    middles = (np.cumsum(counts) - counts / 2) / max(1, len(time))
    moment_parts = np.minimum(np.searchsorted(np.cumsum(shares), middles, side="right"), len(shares) - 1)
    # It is not before a part that an earlier moment is in, nor after one that a later moment is in.
    has = kept != _NEW
    first, last = np.zeros(len(known), np.int64), np.full(len(known), len(shares) - 1)
    np.maximum.at(first, codes[has], kept[has])
    np.minimum.at(last, codes[has], kept[has])
    first, last = np.maximum.accumulate(first), np.minimum.accumulate(last[::-1])[::-1]
    return np.where(has, kept, np.clip(moment_parts, first, np.maximum(first, last))[codes])


def _deal(strata: Positions, shares: NDArray[np.float64], draw: np.random.Generator, kept: Positions) -> Positions:
    part = kept.copy()
    wanted, given = np.zeros(len(shares)), np.zeros(len(shares))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        new = draw.permutation(members[kept[members] == _NEW])
        has = np.bincount(kept[members][kept[members] != _NEW], minlength=len(shares))
        wanted += shares * len(members)
        given += has
        if not len(new):
            continue
        lacking = np.maximum(shares * len(members) - has, 0)
        counts = np.floor(lacking * (len(new) / lacking.sum()) + 1e-9).astype(np.int64)
        for _ in range(len(new) - counts.sum()):  # what is left over goes where most is owed so far
            counts[np.argmax(wanted - given - counts)] += 1
        given += counts
        part[new] = np.repeat(np.arange(len(shares)), counts)
    return part


def _deal_groups(
    groups: Positions,
    strata: Positions,
    shares: NDArray[np.float64],
    draw: np.random.Generator,
    names: Sequence[str],
    kept: Positions,
    values: Sequence[Any],
) -> Positions:
    """Large groups first, each to the part that stays nearest to its share of every stratum."""
    number = int(groups.max()) + 1 if len(groups) else 0
    if number < len(shares):
        raise DataError(
            f"{number} groups cannot be split into {len(shares)} parts ({', '.join(names)}) without tearing one apart."
        )
    table = np.zeros((number, int(strata.max()) + 1))
    np.add.at(table, (groups, strata), 1)
    wanted = shares[:, None] * table.sum(axis=0)
    group_parts = _sides_of_groups(groups, kept, number, names, values)
    given = np.zeros_like(wanted)
    has = group_parts != _NEW
    np.add.at(given, group_parts[has], table[has])
    order = draw.permutation(number)
    order = order[np.argsort(-table[order].sum(axis=1), kind="stable")]
    order = order[group_parts[order] == _NEW]
    for left, group in zip(range(len(order), 0, -1), order, strict=True):
        # The change of the squared distance to what is wanted, if the group went to each part.
        cost = (table[group] * (table[group] + 2 * (given - wanted))).sum(axis=1)
        bare = given.sum(axis=1) == 0
        if bare.sum() == left:  # every part gets a group
            cost = np.where(bare, cost, np.inf)
        group_parts[group] = np.argmin(cost)
        given[group_parts[group]] += table[group]
    return group_parts[groups]


def _sides_of_groups(
    groups: Positions, kept: Positions, number: int, names: Sequence[str], values: Sequence[Any]
) -> Positions:
    """The side of each group (number,) by those of its images that have one."""
    has = kept != _NEW
    first, last = np.full(number, len(names)), np.full(number, _NEW)
    np.minimum.at(first, groups[has], kept[has])
    np.maximum.at(last, groups[has], kept[has])
    torn = np.flatnonzero(first < last)
    if len(torn):
        first_ones = ", ".join(repr(values[int(np.argmax(groups == group))]) for group in torn[:5])
        raise DataError(
            f"{len(torn)} groups have images in two parts already, first {first_ones}: each image "
            "stays in its part, and a group stays together. Leave their images out of one part "
            "(dataset.revise(remove=...)), or draw everything again with redraw=True."
        )
    return last
