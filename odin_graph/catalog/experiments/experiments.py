"""Experiments: started with their inputs, ended with a state, continued by id."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from odin_graph.arguments import whole
from odin_graph.catalog.experiments.provenance import commit_of, package_versions
from odin_graph.catalog.records import creations, leases
from odin_graph.catalog.records.deletion import deletion_of
from odin_graph.catalog.records.fields import NewValues
from odin_graph.catalog.records.leases import Lease
from odin_graph.catalog.records.origins import Origin, draw, texts
from odin_graph.catalog.records.updates import update_metadata
from odin_graph.errors import ConflictError, DataError, UnknownNameError
from odin_graph.graph import Transaction, is_read_only
from odin_graph.schema.kinds import alive, undeleted
from odin_graph.schema.properties import now
from odin_graph.served import served
from odin_graph.stores import Stores

State: TypeAlias = Literal["running", "finished", "failed", "interrupted"]

_ATTEMPTS = 100
_SUMMARY = """
MATCH (e:Experiment {id: $id})
OPTIONAL MATCH (e)-[u:USED]->(d:Dataset)
WITH e, collect([u.role, d.id]) AS datasets
OPTIONAL MATCH (e)-[:USED]->(m:Model)
RETURN properties(e) AS own, datasets, m.id AS model
"""
_RECORDED = """
MATCH (e:Experiment {id: $id})
OPTIONAL MATCH (e)-[u:USED]->(d:Dataset)
WITH e, collect([u.role, d.id]) AS datasets
OPTIONAL MATCH (e)-[:USED]->(m:Model)
WITH e, datasets, collect(m.id) AS models
OPTIONAL MATCH (e)-[:INFORMED_BY]->(a:Experiment)
RETURN e.state AS state, e.parameters AS parameters, e.seed AS seed, e.group AS group, e.tags AS tags, datasets, models,
       collect(a.id) AS sources
"""


@dataclass(frozen=True)
class Setup:
    """What goes into an experiment."""

    model: str | None = None
    datasets: Mapping[str, str] = field(default_factory=dict)
    """Data set versions by role: ``train``, ``validation``, ``test``, or the user's own word."""
    parameters: Mapping[str, Any] | None = None
    seed: int | None = None
    group: str | None = None
    tags: Sequence[str] = ()
    informed_by: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def parameters_json(self) -> str | None:
        """The parameters as JSON.

        Raises:
            DataError: A value that JSON cannot represent.
        """
        if self.parameters is None:
            return None
        if not isinstance(self.parameters, Mapping):
            raise DataError(f"Parameters have names: give a dict, not {self.parameters!r:.80}.")
        for name, value in self.parameters.items():
            try:
                json.dumps({name: value}, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise DataError(
                    f"The parameter {name!r} is {value!r}, which JSON does not hold ({error}): "
                    "give numbers, strings, lists or dicts."
                ) from error
        return json.dumps(dict(self.parameters), ensure_ascii=False, sort_keys=True)


def start(stores: Stores, setup: Setup, id: str | None = None, *, resume: bool = False) -> Lease:  # noqa: A002
    """Start an experiment, or continue the unfinished one with that id. The returned lease has its id.

    Args:
        stores: The open workspace.
        setup: The inputs. For an existing id they must match the recorded ones; new roles are added.
        id: The experiment's id; None numbers it: MODEL/1, MODEL/2 ...
        resume: Continue even a finished one.

    Raises:
        ConflictError: The id exists with other inputs or is finished, or a live process runs it.
        UnknownNameError: No such model, data set or experiment to be informed by.
    """
    _check_names(stores, setup)
    if id is None:
        base = setup.model or "run"
        for _ in range(_ATTEMPTS):
            number = stores.graph.reserve_keys(1, counter=f"experiment {base}").start
            if _create(stores, setup, f"{base}/{number}"):
                id = f"{base}/{number}"  # noqa: A001
                break
        else:
            raise ConflictError(f"The ids {base}/N are taken up to {number}: give the experiment an id of its own.")
    elif not isinstance(id, str) or not id.strip():
        raise DataError(f"{id!r:.80} is not an experiment id: give a string that is not empty, or leave it out.")
    elif not _create(stores, setup, id):
        _reopen(stores, setup, id, resume=resume)
    return _run(stores, id)


def end(stores: Stores, lease: Lease, state: State) -> None:
    """Record how an experiment ended, and release its lease."""

    def record(tx: Transaction) -> None:
        lease.check(tx)
        tx.run(
            "MATCH (e:Experiment {id: $id}) SET e.state = $state, e.finished_at = $at",
            {"id": lease.id, "state": state, "at": now()},
        )

    with lease:
        stores.graph.execute(record)


def add_loader(stores: Stores, lease: Lease, loader: Mapping[str, Any]) -> None:
    """Record the description of a loader on a running experiment; a repeated one, as after a restart, only once."""

    def record(tx: Transaction) -> None:
        lease.check(tx)
        rows = tx.run("MATCH (e:Experiment {id: $id}) RETURN e.loaders AS loaders", {"id": lease.id})
        loaders = json.loads(rows[0]["loaders"] or "[]")
        if loader not in loaders:
            text = json.dumps([*loaders, loader], ensure_ascii=False, sort_keys=True)
            tx.run("MATCH (e:Experiment {id: $id}) SET e.loaders = $loaders", {"id": lease.id, "loaders": text})

    stores.graph.execute(record)


@served
def settle(stores: Stores) -> list[str]:
    """Mark the running experiments whose process has ended as interrupted; return their ids.

    Called whenever experiments are read, since a killed process cannot do it itself. If only reading is allowed, they
    stay as they are.
    """
    if is_read_only():
        return []
    rows = stores.graph.read(
        f"MATCH (n:Experiment {{state: 'running'}}) WHERE {alive('Experiment', 'n')} RETURN n.id AS id, {leases.FIELDS}"
    )
    dead = [(row["id"], holder) for row in rows if (holder := leases.of_row(row)) is not None and not holder.live]
    for id_, holder in dead:
        stores.graph.write(
            "MATCH (e:Experiment {id: $id, state: 'running'}) WHERE e.lease_owner = $owner "
            "SET e.state = 'interrupted', e.lease_owner = null, e.lease_until = null",
            {"id": id_, "owner": holder.owner},
        )
    return [id_ for id_, _ in dead]


@served
def check_experiment(stores: Stores, id: str) -> None:  # noqa: A002
    """Refuse an experiment that does not exist.

    Raises:
        UnknownNameError: There is none; lists the existing ones.
    """
    _check(stores, "Experiment", "experiment", id, 'db.run(model, id="...") makes one.')


def _check_names(stores: Stores, setup: Setup) -> None:
    seed: object = setup.seed
    if seed is not None and ((number := whole(seed)) is None or not -(2**63) <= number < 2**63):
        raise DataError(f"The seed is {seed!r:.80}: give a whole number of 64 bits.")
    if setup.model is not None:
        _check(stores, "Model", "model", setup.model, "db.models.add(...) adds one.")
    if setup.informed_by is not None:
        check_experiment(stores, setup.informed_by)
    for id_ in setup.datasets.values():
        _check(stores, "Dataset", "data set version", id_, "")


def _check(stores: Stores, label: str, kind: str, id_: str, remedy: str) -> None:
    if not stores.graph.read(f"MATCH (n:{label} {{id: $id}}) WHERE {undeleted()} RETURN n.id AS id", {"id": id_}):
        known = stores.graph.read(f"MATCH (n:{label}) WHERE {undeleted()} RETURN n.id AS id")
        raise UnknownNameError.of(kind, id_, [row["id"] for row in known], remedy=remedy)


def _create(stores: Stores, setup: Setup, id_: str) -> bool:
    """Create the node with its lineage; False if the id exists."""
    if stores.graph.read("MATCH (e:Experiment {id: $id}) RETURN e.id AS id", {"id": id_}):
        return False
    values = NewValues.of("Experiment", {name: [value] for name, value in setup.metadata.items()})
    row = {
        "id": id_,
        # Nobody has the lease yet: if this process dies here, the experiment reads as interrupted.
        "state": "interrupted",
        "parameters": setup.parameters_json(),
        "seed": None if setup.seed is None else int(setup.seed),
        "commit": commit_of(Path.cwd()),
        "packages": json.dumps(package_versions(), sort_keys=True),
        "group": setup.group,
        "tags": list(setup.tags) or None,
        "started_at": now(),
    }

    def make(tx: Transaction) -> None:
        (free,) = values.record(tx)
        tx.run(
            "CREATE (e:Experiment) SET e = $row", {"row": {k: v for k, v in {**free, **row}.items() if v is not None}}
        )
        creations.record(tx, "Experiment", id_)
        _use(tx, id_, setup.datasets)
        origins = [Origin("USED", "Model", setup.model)] if setup.model is not None else []
        if setup.informed_by is not None:
            origins.append(Origin("INFORMED_BY", "Experiment", setup.informed_by))
        draw(tx, "Experiment", id_, origins)
        _record_origins(tx, id_, origins)

    try:
        stores.graph.execute(make)
    except ConflictError:  # the same id, at the same moment
        return False
    return True


def _reopen(stores: Stores, setup: Setup, id_: str, *, resume: bool) -> None:
    if (deleted := deletion_of(stores, "Experiment", id_)) is not None:
        raise deleted
    existing = stores.graph.read(_RECORDED, {"id": id_})[0]
    used = {role: dataset for role, dataset in existing["datasets"] if role is not None}
    for what, recorded, given in _given_again(setup, existing, used):
        if given != recorded:
            raise _differs(id_, what, recorded, given)
    if existing["state"] == "finished" and not resume:
        raise ConflictError(
            f"Experiment {id_!r} is finished. To log into it again would mix two runs: give another id, or "
            f"resume=True to continue it (db.run(id={id_!r}, resume=True)). Nothing was changed."
        )
    added = {role: dataset for role, dataset in setup.datasets.items() if role not in used}
    if added:
        stores.graph.execute(lambda tx: _use(tx, id_, added))
    if setup.metadata:
        update_metadata(stores, "Experiment", [id_], {name: [value] for name, value in setup.metadata.items()})


def _given_again(setup: Setup, existing: Any, used: Mapping[str, str]) -> Iterator[tuple[str, object, object]]:
    """What is given to continue an experiment and cannot change: its name, what is recorded, and what is given."""
    if setup.model is not None:
        yield "model", ", ".join(existing["models"]) or None, setup.model
    if setup.seed is not None:
        yield "seed", existing["seed"], setup.seed
    if setup.informed_by is not None:
        yield "informed_by", ", ".join(existing["sources"]) or None, setup.informed_by
    if setup.group is not None:
        yield "group", existing["group"], setup.group
    if setup.tags:
        yield "tags", sorted(existing["tags"] or ()), sorted(setup.tags)
    for role, dataset in setup.datasets.items():
        yield f"{role} data set", used.get(role, dataset), dataset
    if setup.parameters is not None:
        recorded = json.loads(existing["parameters"]) if existing["parameters"] else {}
        given = json.loads(setup.parameters_json() or "{}")
        for name in sorted({*given, *recorded}):
            yield f"parameter {name!r}", recorded.get(name), given.get(name)


def _run(stores: Stores, id_: str) -> Lease:
    lease = leases.acquire(stores.graph, "Experiment", id_)

    def record(tx: Transaction) -> None:
        lease.check(tx)
        tx.run("MATCH (e:Experiment {id: $id}) SET e.state = 'running', e.finished_at = null", {"id": id_})

    stores.graph.execute(record)
    return lease


def _use(tx: Transaction, id_: str, datasets: Mapping[str, str]) -> None:
    origins = [Origin("USED", "Dataset", dataset, role) for role, dataset in datasets.items()]
    draw(tx, "Experiment", id_, origins)
    _record_origins(tx, id_, origins)


def _record_origins(tx: Transaction, id_: str, origins: Sequence[Origin]) -> None:
    """Record on the node which edges it has."""
    tx.run(
        "MATCH (e:Experiment {id: $id}) SET e.odin_origins = coalesce(e.odin_origins, []) + $added",
        {"id": id_, "added": texts(origins) or []},
    )


def _differs(id_: str, what: str, recorded: object, given: object) -> ConflictError:
    return ConflictError(
        f"Experiment {id_!r} exists with another {what}: {recorded!r}, not {given!r}. "
        "Give what is recorded to continue it, or start a new experiment under another id."
    )


@served
def summary_of(stores: Stores, id: str) -> dict[str, Any]:  # noqa: A002
    """An experiment's own properties, its data sets by role, and its model.

    Raises:
        UnknownNameError: There is none; lists the existing ones.
    """
    rows = stores.graph.read(_SUMMARY, {"id": id})
    if not rows:
        check_experiment(stores, id)
    own = {name: value for name, value in rows[0]["own"].items() if not name.startswith("lease_")}
    return {**rows[0], "own": own}
