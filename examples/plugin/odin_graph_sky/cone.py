"""A cone search: ``db.images(og.source("cone", ra=83.6, dec=-5.4, within=0.2))``, the nearest to its axis first."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.graph.moment import Moment
from odin_graph.schema.kinds import alive
from odin_graph_sky.separation import separation


def cone(at: Moment, ra: float, dec: float, within: float = 1.0) -> pa.Table:
    """The images whose fields ``ra`` and ``dec`` (degrees) are within so many degrees of a direction."""
    rows = at.read(
        f"MATCH (i:Image) WHERE {alive('Image', 'i')} AND i.ra IS NOT NULL AND abs(i.dec - $dec) <= $within "
        "RETURN i.key AS key, i.ra AS ra, i.dec AS dec",
        {"dec": float(dec), "within": float(within)},
    )
    places = {name: pa.array([row[name] for row in rows], pa.float64()) for name in ("ra", "dec")}
    apart = separation(places["ra"], places["dec"], pa.scalar(float(ra)), pa.scalar(float(dec)))
    table = pa.table({"key": pa.array([row["key"] for row in rows], pa.int64()), "apart": apart})
    return table.filter(pc.field("apart") <= within).sort_by([("apart", "ascending"), ("key", "ascending")])
