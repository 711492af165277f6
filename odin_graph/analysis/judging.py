"""How often a data set has judged, and who had seen its verdicts before: tuning on the test set becomes visible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from odin_graph.analysis.choices import choices_of
from odin_graph.schema.kinds import alive
from odin_graph.schema.metadata import decode
from odin_graph.served import served, travels
from odin_graph.stores import Stores

_USES: Final = f"""
MATCH (d:Dataset {{base: $base}})<-[:USED {{role: 'test'}}]-(e:Experiment)
WHERE {alive("Experiment", "e")}
RETURN e.id AS id, e.started_at AS at, e.odin_chosen AS chosen, collect(d.id) AS datasets ORDER BY at, id
"""
_PREDICTED: Final = f"""
MATCH (d:Dataset {{base: $base}})<-[:OF]-(s:PredictionSet) WHERE {alive("PredictionSet", "s")}
MATCH (s)-[:GENERATED_BY]->(e:Experiment) WHERE {alive("Experiment", "e")}
OPTIONAL MATCH (e)-[u:USED]->(:Dataset {{base: $base}})
RETURN e.id AS id, e.started_at AS at, e.odin_chosen AS chosen, collect(DISTINCT d.id) AS datasets,
       count(DISTINCT s) AS sets, collect(DISTINCT u.role) AS roles ORDER BY at, id
"""
_INFORMED: Final = f"""
UNWIND $ids AS id MATCH (a:Experiment {{id: id}})<-[:INFORMED_BY]-(e:Experiment)
WHERE {alive("Experiment", "e")} RETURN a.id AS source, e.id AS id, e.started_at AS at
"""
_SCHEMA: Final = pa.schema(
    [
        ("use", pa.int64()),
        ("at", pa.timestamp("us")),
        ("experiment", pa.string()),
        ("datasets", pa.list_(pa.string())),
        ("predictions", pa.int64()),
        ("descends_from", pa.list_(pa.string())),
        ("chose", pa.list_(pa.string())),
    ]
)


@travels
@dataclass(frozen=True, repr=False, eq=False)
class Verdicts:
    """Every experiment that a data set has judged, in any of its versions, and those that descend from one."""

    base: str
    table: pa.Table
    """``use`` (1 is the first; null where the experiment only descends from one that was judged), ``at`` (UTC),
    ``experiment``, ``datasets`` (the versions), ``predictions`` (how many sets it has over them: each may have been a
    trial), ``descends_from`` (experiments that had seen it before), ``chose`` (what it chose by it: its best
    checkpoint)."""

    @property
    def tuned(self) -> tuple[str, ...]:
        """Experiments that descend from one that had been judged by it, or chose something by it."""
        rows = self.table.select(["experiment", "descends_from", "chose"]).to_pylist()
        return tuple(row["experiment"] for row in rows if row["descends_from"] or row["chose"])

    def __len__(self) -> int:
        """How many experiments it has judged."""
        return int(self.table.num_rows - self.table.column("use").null_count)

    def to_arrow(self) -> pa.Table:
        """The table."""
        return self.table

    def __str__(self) -> str:
        lines = [f"{self.base} was used as a test set by {len(self):,} experiments"]
        for row in self.table.to_pylist():
            use = f"{row['use']}." if row["use"] is not None else "-"
            at = f"{row['at']:%Y-%m-%d %H:%M}" if row["at"] is not None else "no time"
            seen = (
                f", descends from {', '.join(row['descends_from'])}, which had seen it" if row["descends_from"] else ""
            )
            sets = f", {row['predictions']:,} sets of predictions" if row["predictions"] > 1 else ""
            chose = f", chose by it: {', '.join(row['chose'])}" if row["chose"] else ""
            lines.append(f"  {use} {at} {row['experiment']}{sets}{seen}{chose}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return str(self.table.to_pandas().to_html(index=False, border=0, max_rows=40))


@served
def verdicts(stores: Stores, base: str) -> Verdicts:
    """The experiments that used a data set, in any version, as their test set, or predicted it in no role; by time.

    Args:
        stores: The open workspace.
        base: The id without a version.
    """
    uses = {row["id"]: row for row in stores.graph.read(_USES, {"base": base})}
    sets: dict[str, int] = {}
    for row in stores.graph.read(_PREDICTED, {"base": base}):
        if not row["roles"]:
            uses[row["id"]] = row
        sets[row["id"]] = row["sets"]
    chosen = choices_of(uses.values())
    times: dict[str, Any] = {id_: row["at"] for id_, row in uses.items()}
    seen: dict[str, set[str]] = {}
    level = list(uses)
    handed: dict[str, set[str]] = {id_: {id_} for id_ in uses}  # what an experiment hands on to those it informs
    while level:
        reached: dict[str, None] = {}
        for row in stores.graph.read(_INFORMED, {"ids": level}):
            times.setdefault(row["id"], row["at"])
            new = handed[row["source"]] - seen.setdefault(row["id"], set()) - {row["id"]}
            if new:
                seen[row["id"]] |= new
                handed.setdefault(row["id"], set()).update(new)
                reached[row["id"]] = None
        level = list(reached)
    order = sorted(times, key=lambda id_: (str(times[id_]), id_))
    number = {id_: place + 1 for place, id_ in enumerate(id_ for id_ in order if id_ in uses)}
    rows = [
        {
            "use": number.get(id_),
            "at": decode(times[id_]),
            "experiment": id_,
            "datasets": sorted(uses[id_]["datasets"]) if id_ in uses else [],
            "predictions": sets.get(id_, 0) if id_ in uses else 0,
            "descends_from": sorted(seen.get(id_, ())),
            "chose": [
                f"{choice['what']} ({choice['by']})"
                for choice in chosen.get(id_, ())
                if choice["dataset"].rpartition("@")[0] == base
            ],
        }
        for id_ in order
    ]
    return Verdicts(base, pa.Table.from_pylist(rows, _SCHEMA))
