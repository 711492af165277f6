"""Two exposures of one place on the sky give each other away, whatever their ids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from odin_graph.analysis.leak_rules import Matches, Side


@dataclass(frozen=True)
class WithinArcSeconds:
    """Images whose fields ``ra`` and ``dec`` (degrees) are within so many arc seconds."""

    within: float = 1.0

    def __call__(self, train: Side, test: Side) -> Matches:
        """All pairs, and their distance in arc seconds."""
        (train_rows, ours), (test_rows, theirs) = _on_the_sphere(train), _on_the_sphere(test)
        chord = 2 * np.sin(np.deg2rad(self.within / 3600) / 2)
        found = cKDTree(ours).query_ball_tree(cKDTree(theirs), chord) if len(ours) and len(theirs) else []
        pairs = np.array([(a, b) for a, near in enumerate(found) for b in near], np.int64).reshape(-1, 2)
        apart = np.linalg.norm(ours[pairs[:, 0]] - theirs[pairs[:, 1]], axis=1)
        distance = np.rad2deg(2 * np.arcsin(apart / 2)) * 3600
        return Matches(train_rows[pairs[:, 0]], test_rows[pairs[:, 1]], distance)


def _on_the_sphere(side: Side) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Positions in the data set, and unit vectors (n, 3), of the images that have coordinates."""
    table = side.fields("ra", "dec")
    ra, dec = (np.deg2rad(table.column(name).to_numpy().astype(np.float64)) for name in ("ra", "dec"))
    points = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    known = np.flatnonzero(np.isfinite(points).all(axis=1))
    return known, points[known]
