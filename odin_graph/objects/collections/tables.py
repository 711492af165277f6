"""``db.tables``: everything as four tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from odin_graph.analysis import tables
from odin_graph.catalog.datasets.datasets import resolve
from odin_graph.client import Session
from odin_graph.deadline import deadline
from odin_graph.errors import QueryError
from odin_graph.objects.base.in_session import InSession
from odin_graph.objects.layers.layer import Layer
from odin_graph.objects.things.experiment import Experiment, Experiments
from odin_graph.query.names.spaces import layer_ref
from odin_graph.query.plan.spaces import LayerOf
from odin_graph.served import served, served_as
from odin_graph.stores import Stores

if TYPE_CHECKING:
    from odin_graph.objects.things.dataset import Dataset


class Tables(InSession):
    """Images, models, experiments and predictions as Arrow tables. ``.to_pandas()`` makes a DataFrame."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def images(
        self, dataset: Dataset | str | None = None, *, one_hot: str | None = None, pixels: bool = False
    ) -> pa.Table:
        """One row for each image: id, key, label, the other built-in fields, and a column for every metadata field.

        Args:
            dataset: Only its images, in its order, with the labels that it froze; by default all images, by key.
            one_hot: A field, such as ``"label"``, to add as int8 columns ``FIELD=VALUE``.
            pixels: Add the column ``image``: the pixels as bytes. Other columns give their shape and dtype.
        """
        chosen = None if dataset is None else self._session.ask(resolve, dataset)
        table = self._session.ask(_images_of, chosen, one_hot)
        if not pixels:
            return table
        images = self._session.pixels.read_list(table.column("key").to_numpy())
        return table.append_column("image", pa.array([image.tobytes() for image in images], pa.large_binary()))

    def models(self) -> pa.Table:
        """One row for each model: definition as JSON, classes, task, (bands, height, width) of its input, and so on."""
        return self._session.ask(tables.models_table)

    def experiments(self) -> pa.Table:
        """One row for each experiment: model, data sets by role, ``params.*``, last ``metrics.*``, test accuracy."""
        return self._session.ask(tables.experiments_table)

    def per_image(
        self,
        experiment: Experiment | str,
        on: Dataset | str | None = None,
        *,
        activations: Layer | str | None = None,
    ) -> pa.Table:
        """One row for each image: truth, prediction of the experiment, and pooled activations of a layer.

        Args:
            experiment: The experiment, or its id.
            on: A data set with predictions; by default the test set.
            activations: A layer or its name. It adds the column ``activation``. Missing ones are computed.

        Raises:
            QueryError: There are no predictions for the data set.
        """
        stored = Experiments(self._session)[str(getattr(experiment, "id", experiment))]
        if on is None and (on := stored.datasets.get("test")) is None:
            raise QueryError(f"The experiment {stored.id!r} has no test set: give on=.")
        layer = stored.layer(activations) if isinstance(activations, str) else activations
        by = layer.node if isinstance(layer, Layer) else None
        return self._session.ask(_per_image_of, stored.id, self._session.ask(resolve, on), by)

    def __repr__(self) -> str:
        return "Tables: images(dataset), models(), experiments(), per_image(experiment, on)"


def sql(session: Session, statement: str, params: dict[str, Any], timeout: float | None) -> pa.Table:
    """Run a SELECT over the tables of a workspace; see `Workspace.sql`."""
    return session.ask(_select, statement, params, timeout)


def _select_isolated(stores: Stores, statement: str, params: dict[str, Any], timeout: float | None) -> pa.Table:
    from odin_graph.query.sql.isolated import run_isolated

    with deadline(timeout):
        return run_isolated(statement, params, _tables_of(stores), stores.budget)


@served_as(_select_isolated)
def _select(stores: Stores, statement: str, params: dict[str, Any], timeout: float | None) -> pa.Table:
    from odin_graph.query.sql.select import run_sql

    return run_sql(statement, params, _tables_of(stores), stores.budget, timeout=timeout)


def _tables_of(stores: Stores) -> dict[str, Callable[[], pa.Table]]:
    return {
        "images": lambda: tables.images_table(stores),
        "models": lambda: tables.models_table(stores),
        "experiments": lambda: tables.experiments_table(stores),
        "members": lambda: tables.members_table(stores),
        "predictions": lambda: tables.predictions_table(stores),
    }


@served
def _images_of(stores: Stores, dataset: str | None, one_hot: str | None) -> pa.Table:
    return tables.images_table(stores, dataset, one_hot=one_hot)


@served
def _per_image_of(stores: Stores, experiment: str, dataset: str, layer: LayerOf | None) -> pa.Table:
    return tables.per_image_table(stores, experiment, dataset, activations=None if layer is None else layer_ref(layer))
