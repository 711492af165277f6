"""Checkpoints: weights as safetensors files named by their digest, and the records that name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from odin_graph.catalog.experiments.metrics import step_of
from odin_graph.catalog.inputs.input import Input
from odin_graph.catalog.records import creations, files
from odin_graph.catalog.records.deletion import deletion_of
from odin_graph.catalog.records.leases import Lease
from odin_graph.catalog.records.origins import Origin, draw, texts
from odin_graph.errors import ConflictError, DataWarning, ModelError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.schema.kinds import alive
from odin_graph.schema.properties import now
from odin_graph.served import served, travels
from odin_graph.stores import Stores
from odin_graph.warned import warn

if TYPE_CHECKING:
    import torch

_SHOWN = 5
_READ = f"""
MATCH (c:Checkpoint {{id: $id}}) WHERE {alive("Checkpoint", "c")}
OPTIONAL MATCH (c)-[:SPECIALIZATION_OF]->(m:Model)
OPTIONAL MATCH (c)-[:GENERATED_BY]->(e:Experiment)
RETURN c.id AS id, c.weights AS weights, c.epoch AS epoch, c.step AS step, c.best AS best, c.not_finite AS not_finite,
       m.id AS model, e.id AS experiment
"""


@travels
@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """The node of a checkpoint, with its model and experiment."""

    id: str
    weights: str
    """SHA-256 of the file, hexadecimal."""
    model: str | None
    """None if the experiment has no model: then the weights can be read, but not run."""
    experiment: str | None
    """None for imported weights."""
    epoch: int | None = None
    step: int | None = None
    best: bool = False
    not_finite: tuple[str, ...] = ()
    """The names of the weights that contain NaN or infinity."""

    @property
    def model_to_run(self) -> str:
        """The id of its model.

        Raises:
            ModelError: It has none.
        """
        if self.model is None:
            raise ModelError(
                f"The checkpoint {self.id!r} belongs to no model, so its weights cannot run: "
                "start the run with a model, db.run(model, ...)."
            )
        return self.model


def add_checkpoint(
    stores: Stores,
    model: str | None,
    weights: torch.nn.Module | Mapping[str, torch.Tensor],
    *,
    experiment: str | None = None,
    id: str | None = None,  # noqa: A002 - the users' word for it
    best: bool = False,
    epoch: int | None = None,
    step: int | None = None,
    lease: Lease | None = None,
) -> str:
    """Store weights: the file first, then one transaction that names it.

    Args:
        stores: The open workspace.
        model: The model that they are weights of.
        weights: A module, or its state dict.
        experiment: The experiment that made them.
        id: Its id; by default ``<experiment>/<n>``, for imported weights ``<model>/<n>``.
        best: Whether they are the best so far.
        epoch: The epoch of the training.
        step: The step of the training.
        lease: The lease of the experiment, checked in the transaction.

    Returns:
        The id of the checkpoint. The same id with the same weights is the existing checkpoint.

    If weights contain NaN or infinity, a `DataWarning` lists them, and the checkpoint stores their names.

    Raises:
        ConflictError: The id exists with other weights.
        ModelError: Something in them is not a tensor.
    """
    from odin_graph.catalog.models.weights import not_finite, to_safetensors  # torch

    digest = files.put(stores, files.WEIGHTS, to_safetensors(weights))
    owner = experiment or model or "weights"
    id_ = id or f"{owner}/{stores.graph.reserve_keys(1, counter=f'checkpoints of {owner}').start}"
    row: dict[str, Any] = {
        "id": id_,
        "weights": digest,
        "best": best,
        "epoch": None if epoch is None else step_of(epoch),
        "step": None if step is None else step_of(step),
        "not_finite": (broken := not_finite(weights)) or None,
        "created_at": now(),
    }
    ends = [("SPECIALIZATION_OF", "Model", model), ("GENERATED_BY", "Experiment", experiment)]
    origins = [Origin(edge, label, end) for edge, label, end in ends if end is not None]
    row["odin_origins"] = texts(origins)

    def make(tx: Transaction) -> None:
        if lease is not None:
            lease.check(tx)
        tx.run("CREATE (c:Checkpoint) SET c = $row", {"row": {k: v for k, v in row.items() if v is not None}})
        creations.record(tx, "Checkpoint", id_)
        draw(tx, "Checkpoint", id_, origins)

    if id is not None and (deleted := deletion_of(stores, "Checkpoint", id_)) is not None:
        raise deleted
    existing = _read(stores, id_)
    if existing is None:
        stores.graph.execute(make)
    elif (existing.weights, existing.model, existing.experiment) != (digest, model, experiment):
        raise ConflictError(f"There is a checkpoint {id_!r} already, with other weights: give this one another id.")
    if broken:
        more = f" and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
        warn(
            f"The checkpoint {id_!r} contains NaN or infinity in {', '.join(broken[:_SHOWN])}{more}: its predictions "
            "may be NaN. It was stored, and checkpoint.not_finite lists them.",
            DataWarning,
        )
    return id_


@served
def checkpoint_of(stores: Stores, id: str) -> CheckpointRecord:  # noqa: A002
    """The checkpoint of that id.

    Raises:
        UnknownNameError: There is none; lists those there are.
    """
    record = _read(stores, id)
    if record is None:
        known = [
            row["id"]
            for row in stores.graph.read(f"MATCH (c:Checkpoint) WHERE {alive('Checkpoint', 'c')} RETURN c.id AS id")
        ]
        raise UnknownNameError.of("checkpoint", id, known)
    return record


def input_of(stores: Stores, id: str) -> Input:  # noqa: A002
    """What the model of a checkpoint takes as one input; one image if it has no model."""
    rows = stores.graph.read(
        "MATCH (:Checkpoint {id: $id})-[:SPECIALIZATION_OF]->(m:Model) RETURN m.input AS input", {"id": id}
    )
    return Input.from_text(rows[0]["input"] if rows else None)


def load_weights(source: files.FileReader, record: CheckpointRecord) -> dict[str, torch.Tensor]:
    """The weights on the CPU; their digest is checked.

    Raises:
        StoreError: The file is missing or was changed.
    """
    from odin_graph.catalog.models.weights import from_safetensors  # torch

    return from_safetensors(source.read(files.WEIGHTS, record.weights, record.id))


@served
def of_model(stores: Stores, model: str) -> list[str]:
    """The checkpoints of a model, oldest first."""
    return _ids(stores, "(:Model {id: $id})<-[:SPECIALIZATION_OF]-", model)


@served
def of_experiment(stores: Stores, experiment: str) -> list[str]:
    """The checkpoints of an experiment, oldest first."""
    return _ids(stores, "(:Experiment {id: $id})<-[:GENERATED_BY]-", experiment)


def _ids(stores: Stores, of: str, id_: str) -> list[str]:
    rows = stores.graph.read(
        f"MATCH {of}(c:Checkpoint) WHERE {alive('Checkpoint', 'c')} RETURN c.id AS id ORDER BY c.created_at, c.id",
        {"id": id_},
    )
    return [str(row["id"]) for row in rows]


def _read(stores: Stores, id_: str) -> CheckpointRecord | None:
    rows = stores.graph.read(_READ, {"id": id_})
    if not rows:
        return None
    return CheckpointRecord(
        **{**rows[0], "best": bool(rows[0]["best"]), "not_finite": tuple(rows[0]["not_finite"] or ())}
    )
