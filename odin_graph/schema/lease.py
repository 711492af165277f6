"""The two properties of what a live process is at work on."""

from __future__ import annotations

from neomodel import FloatProperty, StringProperty


class Leased:
    """Mixed into nodes that are built over time: a live owner is spared, the work of a dead one can be taken over."""

    lease_owner = StringProperty()
    """Host, process and its start."""
    lease_until = FloatProperty()
    """Seconds since 1970, UTC; renewed while the owner lives."""
