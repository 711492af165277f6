"""Experiments: what was trained on which data, its metrics, and its predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from odin_graph.analysis.measure import results
from odin_graph.analysis.seen import warn_of_seen
from odin_graph.catalog.experiments import experiments as catalog
from odin_graph.catalog.experiments.metrics import read_log
from odin_graph.catalog.models.checkpoints import of_experiment
from odin_graph.client import Session
from odin_graph.objects.base.class_table import class_of
from odin_graph.objects.base.verbs import Verbs
from odin_graph.objects.layers.layer import Layer
from odin_graph.objects.query.collection import Collection
from odin_graph.objects.query.things import ThingQuery
from odin_graph.objects.things.checkpoint import Checkpoint
from odin_graph.objects.things.predicting import Predicting
from odin_graph.query.expressions.predictions import PredictionExpressions
from odin_graph.query.names.prediction_sets import chosen_checkpoint, sets_of
from odin_graph.schema.metadata import decode
from odin_graph.schema.reserved import reserved
from odin_graph.served import served
from odin_graph.stores import Stores

if TYPE_CHECKING:
    from odin_graph.analysis.results import Results
    from odin_graph.objects.collections.predictions import PredictionSet
    from odin_graph.objects.things.dataset import Dataset


@dataclass(frozen=True, repr=False)
class Experiment(Verbs, Predicting, PredictionExpressions):
    """One training, or one source of predictions. Use its ``wrong``, ``confidence`` and so on in ``where``."""

    KIND = "Experiment"
    _session: Session
    id: str

    @property
    def state(self) -> str:
        """``running``, ``finished``, ``failed``, or ``interrupted`` if the process has died."""
        self._session.ask(catalog.settle)
        return str(self._summary()["own"]["state"])

    @property
    def model(self) -> str | None:
        """The id of the model that it trains."""
        model: str | None = self._summary()["model"]
        return model

    @property
    def datasets(self) -> dict[str, str]:
        """The data set versions that it used, by role."""
        return {role: id_ for role, id_ in self._summary()["datasets"] if role is not None}

    @property
    def parameters(self) -> dict[str, Any]:
        """The hyperparameters."""
        text = self._summary()["own"].get("parameters")
        return dict(json.loads(text)) if text else {}

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata."""
        ours = set(reserved("Experiment"))
        return {name: decode(value) for name, value in self._summary()["own"].items() if name not in ours}

    @property
    def packages(self) -> dict[str, str]:
        """The packages that it ran with, and their versions."""
        return dict(json.loads(self._summary()["own"].get("packages") or "{}"))

    @property
    def known_leaks(self) -> list[dict[str, Any]]:
        """Images that both its training and its evaluation used: ``train``, ``test``, counts by ``rules``; or [].

        They are checked between its own data sets when it starts. If it is evaluated on another data set, they are
        checked between that data set and everything that it, or an experiment that it continues, learned from.
        """
        return list(json.loads(self._summary()["own"].get("leaks") or "{}").get("leaks", []))

    @property
    def loaders(self) -> list[dict[str, Any]]:
        """What `Run.loader` gave: images by digest, order, weights, operations and augmentations."""
        return list(json.loads(self._summary()["own"].get("loaders") or "[]"))

    @property
    def commit(self) -> str | None:
        """The git commit of the folder that it ran in, with ``-dirty`` if files differed."""
        commit: str | None = self._summary()["own"].get("commit")
        return commit

    @property
    def seed(self) -> int | None:
        """The random seed that was given."""
        seed: int | None = self._summary()["own"].get("seed")
        return seed

    @property
    def group(self) -> str | None:
        """The name that several experiments share."""
        group: str | None = self._summary()["own"].get("group")
        return group

    @property
    def tags(self) -> tuple[str, ...]:
        """The words to find it by."""
        return tuple(self._summary()["own"].get("tags") or ())

    def checkpoints(self) -> list[Checkpoint]:
        """Its checkpoints, oldest first."""
        return [Checkpoint(self._session, id_) for id_ in self._session.ask(of_experiment, self.id)]

    def best_checkpoint(self) -> Checkpoint | None:
        """The best checkpoint: the one saved with ``best=True``, or else the last; None if there is none."""
        chosen = self._session.ask(_chosen_of, self.id)
        return None if chosen is None else Checkpoint(self._session, chosen)

    def predictions(self) -> list[PredictionSet]:
        """Its ready prediction sets, oldest first."""
        of = class_of("PredictionSet")
        return [of(self._session, id_) for id_ in self._session.ask(_sets_of, self.id)]

    def metrics(self) -> pa.Table:
        """Everything that was logged: step, name, value, at."""
        return self._session.ask(read_log, self.id)

    def results(self, on: Dataset | str, *, group_by: str | None = None) -> Results:
        """Measure it on a data set: accuracy, confusion, and the other measures of its task.

        An image is measured if it is a member, is not deleted, and has a label and a prediction. The result reports
        what is left out. If some labeled images have no prediction, you get a `CoverageWarning`.

        Args:
            on: A data set that it has predictions for.
            group_by: A field, such as the patient.
        """
        dataset_id = self._dataset(on)
        measured = self._session.ask(results, self.id, dataset_id, group_by=group_by, warns=True)
        return replace(measured, seen=self._session.ask(warn_of_seen, self.id, dataset_id))

    def layer(self, name: str, *, checkpoint: Checkpoint | str | None = None, pooling: str = "mean") -> Layer:
        """A layer of its best checkpoint, or of the given one.

        Args:
            name: The name of the module, as `Model.layers` lists it.
            checkpoint: The checkpoint; by default the best, or else the last.
            pooling: How to reduce the positions to one vector: ``mean``, ``max``, ``flatten``, or a registered pooling.
        """
        chosen = checkpoint if checkpoint is None else str(checkpoint)
        return Layer(self._session, self.id, name, checkpoint=chosen, pooling=pooling)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        summary = self._summary()
        used = ", ".join(f"{role} {id_}" for role, id_ in summary["datasets"] if role is not None)
        parts = [self.state, f"model {summary['model']}" if summary["model"] else "", used]
        return f"Experiment({self.id!r}: {', '.join(part for part in parts if part)})"

    def _repr_html_(self) -> str:
        facts = {
            "state": self.state,
            "model": self.model,
            **self.datasets,
            **self.parameters,
            "checkpoints": len(self.checkpoints()),
            "prediction sets": len(self.predictions()),
        }
        rows = "".join(
            f"<tr><td>{escape(str(k))}</td><td>{escape(str(v))}</td></tr>" for k, v in facts.items() if v is not None
        )
        return f"<b>{escape(self.id)}</b><table>{rows}</table>"

    def _summary(self) -> dict[str, Any]:
        return self._session.ask(catalog.summary_of, self.id)


class Experiments(Collection[Experiment]):
    """The experiments of a workspace: ``db.experiments``. ``db.run(...)`` records one while it runs."""

    KIND = "Experiment"

    def __call__(self) -> ThingQuery[Experiment]:
        """All of them as a query: ``db.experiments().order_by(F("results.f1").desc())``."""
        self._session.ask(catalog.settle)
        return super().__call__()

    def add(
        self,
        id: str | None = None,  # noqa: A002
        model: Any = None,
        *,
        metrics: Mapping[str, float] | None = None,
        **how: Any,
    ) -> Experiment:
        """Store a finished experiment that ran elsewhere. ``db.run(...)`` records one while it runs.

        Args:
            id: The id; by default MODEL/N.
            model: The model that it trained.
            metrics: The final metrics.
            how: ``train``, ``validation``, ``test``, ``uses``, ``params``, ``seed``, ``group``, ``tags``,
                ``informed_by``, and metadata, as in `Workspace.run`.
        """
        ours = ("params", "seed", "group", "tags", "informed_by")
        options = {name: how.pop(name) for name in ours if name in how}
        uses = how.pop("uses", None) or {}
        roles: dict[str, Any] = {role: how.pop(role) for role in ("train", "validation", "test") if role in how}
        run = class_of("Run").start(self._session, model, id=id, datasets={**roles, **uses}, metadata=how, **options)
        with run:
            if metrics:
                run.log(metrics)
        return Experiment(self._session, run.id)

    def __getitem__(self, id: str) -> Experiment:  # noqa: A002 - the users' word for it
        self._session.ask(catalog.check_experiment, id)
        self._session.ask(catalog.settle)
        return Experiment(self._session, id)


@served
def _chosen_of(stores: Stores, id: str) -> str | None:  # noqa: A002
    """The checkpoint that speaks for it."""
    return chosen_checkpoint(stores.graph, id)


@served
def _sets_of(stores: Stores, id: str) -> list[str]:  # noqa: A002
    """Its ready prediction sets, oldest first."""
    return [record.id for record in sorted(sets_of(stores.graph, id), key=lambda record: record.number)]
