"""Splits: by fraction, with the same share of each class, without tearing a patient apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import DataError


def split_positions(
    n: int,
    fractions: Mapping[str, float],
    *,
    stratify: Sequence[Any] | None = None,
    group: Sequence[Any] | None = None,
    time: Sequence[Any] | None = None,
    ids: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, NDArray[np.int64]]:
    """Deal n images to parts.

    Args:
        n: How many images.
        fractions: The parts and their shares, which sum to 1.
        stratify: (n,) values, each of which keeps its share in every part, as far as whole images allow.
        group: (n,) values; all images of one go to one part. An image without a value is a group of its own.
        time: (n,) values that sort: the first part gets the least, and equal ones stay together. No chance then.
        ids: (n,) ids. With them the same images are dealt alike, in whatever order they come.
        seed: The same seed deals alike.

    Returns:
        The positions of each part, ascending. Together they are all positions, each once.

    Raises:
        DataError: The fractions make no sense, or the groups cannot be split so.
    """
    _check(fractions)
    names, shares = list(fractions), np.array(list(fractions.values()), np.float64)
    draw = np.random.default_rng(seed)
    order = np.array(sorted(range(n), key=ids.__getitem__), np.int64) if ids is not None else np.arange(n)
    strata = _codes(stratify, order) if stratify is not None else np.zeros(n, np.int64)
    part = np.empty(n, np.int64)
    if time is not None:
        if stratify is not None or group is not None:
            raise DataError("A split by time is not stratified or grouped as well: leave these out.")
        part = _deal_times(time, shares, ids)
    elif group is None:
        part[order] = _deal(strata, shares, draw)
    else:
        part[order] = _deal_groups(_codes(group, order, alone=True), strata, shares, draw, names)
    found = {name: np.flatnonzero(part == index) for index, name in enumerate(names)}
    empty = [name for name, positions in found.items() if not len(positions)]
    if empty:
        raise DataError(
            f"{n} images leave nothing for {', '.join(map(repr, empty))}: give larger shares, or more images."
        )
    return found


def _check(fractions: Mapping[str, float]) -> None:
    total = sum(fractions.values())
    if not fractions or not math.isclose(total, 1, abs_tol=1e-6) or any(share <= 0 for share in fractions.values()):
        raise DataError(f"The shares of a split are above 0 and sum to 1, not {dict(fractions)} (sum {total:g}).")
    for name in fractions:
        if not name or not set(name).isdisjoint("@/"):
            raise DataError(f"{name!r} cannot be the name of a part: it is empty, or holds @ or /.")


def _codes(values: Sequence[Any], order: NDArray[np.int64], *, alone: bool = False) -> NDArray[np.int64]:
    """In that order, a number for each distinct value, the same for any order; with ``alone`` each None is its own."""
    if len(values) != len(order):
        raise DataError(f"{len(order)} images, but {len(values)} values to split by.")
    keys = [
        ("", f"{place:012}") if alone and values[row] is None else (type(values[row]).__name__, str(values[row]))
        for place, row in enumerate(order)
    ]
    index = {key: code for code, key in enumerate(sorted(set(keys)))}
    return np.array([index[key] for key in keys], np.int64)


def _deal_times(time: Sequence[Any], shares: NDArray[np.float64], ids: Sequence[str] | None) -> NDArray[np.int64]:
    missing = [at for at, value in enumerate(time) if value is None or value != value]
    if missing:
        first = f", first {ids[missing[0]]!r}" if ids is not None else ""
        raise DataError(f"{len(missing)} images have no time to split by{first}: leave them out, or give them one.")
    try:
        known = sorted(set(time))
    except TypeError as error:
        raise DataError(f"The times to split by do not sort: {error}.") from error
    index = {value: place for place, value in enumerate(known)}
    codes = np.array([index[value] for value in time], np.int64)
    # A moment goes to the part that the middle of its images falls into.
    counts = np.bincount(codes, minlength=len(known))
    middles = (np.cumsum(counts) - counts / 2) / max(1, len(time))
    return np.minimum(np.searchsorted(np.cumsum(shares), middles, side="right"), len(shares) - 1)[codes]


def _deal(strata: NDArray[np.int64], shares: NDArray[np.float64], draw: np.random.Generator) -> NDArray[np.int64]:
    part = np.empty(len(strata), np.int64)
    wanted, given = np.zeros(len(shares)), np.zeros(len(shares))
    for stratum in np.unique(strata):
        members = draw.permutation(np.flatnonzero(strata == stratum))
        wanted += shares * len(members)
        counts = np.floor(shares * len(members) + 1e-9).astype(np.int64)
        for _ in range(len(members) - counts.sum()):  # what is left over goes where most is owed so far
            counts[np.argmax(wanted - given - counts)] += 1
        given += counts
        part[members] = np.repeat(np.arange(len(shares)), counts)
    return part


def _deal_groups(
    groups: NDArray[np.int64],
    strata: NDArray[np.int64],
    shares: NDArray[np.float64],
    draw: np.random.Generator,
    names: Sequence[str],
) -> NDArray[np.int64]:
    """Large groups first, each to the part that stays nearest to its share of every stratum."""
    number = int(groups.max()) + 1 if len(groups) else 0
    if number < len(shares):
        raise DataError(
            f"{number} groups cannot be split into {len(shares)} parts ({', '.join(names)}) without tearing one apart."
        )
    table = np.zeros((number, int(strata.max()) + 1))
    np.add.at(table, (groups, strata), 1)
    wanted = shares[:, None] * table.sum(axis=0)
    given = np.zeros_like(wanted)
    of_group = np.empty(number, np.int64)
    order = draw.permutation(number)
    order = order[np.argsort(-table[order].sum(axis=1), kind="stable")]
    for left, group in zip(range(number, 0, -1), order, strict=True):
        # The change of the squared distance to what is wanted, if the group went to each part.
        cost = (table[group] * (table[group] + 2 * (given - wanted))).sum(axis=1)
        bare = given.sum(axis=1) == 0
        if bare.sum() == left:  # every part gets a group
            cost = np.where(bare, cost, np.inf)
        of_group[group] = np.argmin(cost)
        given[of_group[group]] += table[group]
    return of_group[groups]
