"""Margin and entropy against the textbook."""

from __future__ import annotations

import math

import numpy as np

from odin_graph.query.expressions.uncertainty import entropy, margin

SURE, TORN = [1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]


def test_margin() -> None:
    found = margin(np.array([SURE, TORN, [0.125, 0.5, 0.25, 0.125]], np.float32))
    np.testing.assert_allclose(found, [1.0, 0.0, 0.25])


def test_margin_of_one_class_is_missing() -> None:
    assert np.isnan(margin(np.ones((2, 1), np.float32))).all()


def test_entropy_in_nats() -> None:
    np.testing.assert_allclose(entropy(np.array([SURE, TORN], np.float32)), [0.0, math.log(4)], atol=1e-12)
