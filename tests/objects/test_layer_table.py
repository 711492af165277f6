"""``checkpoint.layers()``: what runs, and what storing it costs."""

from __future__ import annotations

import pytest

import odin_graph as og
from odin_graph.client import LocalSession
from odin_graph.objects.things.checkpoint import Checkpoint
from odin_graph.stores import Stores
from tests.runtime.digits import add_trained


def test_the_table_says_what_runs_and_what_it_costs(stores: Stores) -> None:
    table = Checkpoint(LocalSession(stores), add_trained(stores)).layers()
    assert table.names == ("first", "second", "norm", "relu#1", "relu#2", "drop", "head")
    held = table["first"]
    assert (held.type, held.shape, held.units, held.parameters) == ("Conv2d", (8, 28, 28), 6272, 80)
    assert (held.u8, held.f16, held.f32) == (6_272_000, 12_544_000, 25_088_000)
    assert (table["relu#1"].shape, table["relu#2"].shape) == ((8, 28, 28), (16, 13, 13))
    assert table[0] == held
    assert table[:2].names == ("first", "second")
    assert len(list(table)) == len(table) == 7
    frame = table.to_pandas()
    assert frame.columns.tolist() == ["name", "type", "shape", "units", "parameters", "u8", "f16", "f32"]
    assert frame["units"].tolist()[-1] == 10
    lines = repr(table).splitlines()
    assert lines[0].split() == ["layer", "type", "output", "units", "parameters", "u8", "f16", "f32"]
    assert "6.0 MiB" in lines[1]
    assert "1,000 images before compression" in lines[-1]
    assert "<td>8 x 28 x 28</td>" in table._repr_html_()
    with pytest.raises(og.UnknownNameError, match=r"There is no layer 'haed'\. Did you mean 'head'"):
        table["haed"]
