"""How many random cases a test draws: a share of them in `make test`, all of them in `make soak`."""

from __future__ import annotations

DEFAULT = 100
"""Cases of a property that says nothing else."""
_SHARE = 5
_LEAST = 4
whole = False
"""Whether all are asked for; set by tests/conftest.py before a test is imported."""


def share(cases: int) -> int:
    """The number of cases of this run, of those that are drawn where all are asked for."""
    return cases if whole else min(cases, max(_LEAST, -(-cases // _SHARE)))
