"""Units of a layer behind a server. The server knows which units exist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from odin_graph.errors import QueryError, RemoteError
from odin_graph.objects.layers.unit_expressions import UnitExpressions, numbers_in
from odin_graph.objects.layers.units import Channels, Units
from odin_graph.objects.remote.elsewhere import Elsewhere
from odin_graph.query.expressions.nodes import UnitGroup, UnitView
from odin_graph.query.expressions.spelling import spell_group
from odin_graph.query.plan.plan import LayerOf


class RemoteUnits(Elsewhere, UnitExpressions):
    """A group of units in an order: ``layer.units[[3, 17, 88]]``, for expressions and as a space.

    Args:
        layer: Whose.
        view: Every number of its output, or a summary of each channel.
        numbers: Which; none are named yet.
    """

    _beside = frozenset(dir(Units))

    def __init__(self, layer: LayerOf, view: UnitView, numbers: tuple[int, ...] = ()) -> None:
        self._layer, self._view, self._numbers = layer, view, numbers

    def __getitem__(self, which: int | slice | Iterable[int]) -> RemoteUnits:
        """Some of these units, by number; in a group, by position in the group."""
        if isinstance(which, slice):
            raise _unknown()
        wanted = numbers_in(which)
        if self._numbers:
            held = self._numbers
            if out := [one for one in wanted if not -len(held) <= one < len(held)]:
                raise QueryError(f"There is no unit at position {out[0]}: the group has {len(held):,}.")
            wanted = [held[one] for one in wanted]
        return RemoteUnits(self._layer, self._view, tuple(wanted))

    @property
    def node(self) -> UnitGroup:
        """Its form in a plan."""
        of = self._layer
        return UnitGroup(of.experiment, of.layer, self._numbers, of.checkpoint, self._view)

    def __len__(self) -> int:
        """The number of listed units."""
        if not self._numbers:
            raise _unknown()
        return len(self._numbers)

    def __iter__(self) -> Iterator[RemoteUnits]:
        """Each unit on its own."""
        return (RemoteUnits(self._layer, self._view, (number,)) for number in self._numbers[: len(self)])

    def __repr__(self) -> str:
        return f"RemoteUnits({spell_group(self.node)})"


class RemoteChannels(Elsewhere):
    """The channels of a layer, each summarized over its positions: ``layer.channels.max[5]``, ``layer.channels[5]``."""

    _beside = frozenset(dir(Channels))

    def __init__(self, layer: LayerOf) -> None:
        self._layer = layer

    @property
    def max(self) -> RemoteUnits:
        """The largest value of each channel."""
        return RemoteUnits(self._layer, "channels-max")

    @property
    def mean(self) -> RemoteUnits:
        """The mean of each channel."""
        return RemoteUnits(self._layer, "channels-mean")

    @property
    def where(self) -> RemoteUnits:
        """The position of the largest value of each channel, numbered in C order."""
        return RemoteUnits(self._layer, "channels-where")

    def __getitem__(self, which: int | slice | Iterable[int]) -> RemoteUnits:
        """Some of the channels, by their largest value."""
        return self.max[which]


def _unknown() -> RemoteError:
    return RemoteError(
        "How many units a layer has is known where the workspace is: name them, as in units[[3, 17, 88]]."
    )
