"""The four tables that researchers keep by hand: images, models, experiments, and the predictions for each image."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.analysis.judged import judged
from odin_graph.catalog.activations.activations import LayerRef
from odin_graph.catalog.experiments.metrics import last_metrics
from odin_graph.columns.fields import column
from odin_graph.errors import QueryError
from odin_graph.query.names.prediction_sets import choose
from odin_graph.schema.kinds import alive
from odin_graph.schema.metadata import FieldType
from odin_graph.served import served
from odin_graph.stores import Stores

ROLES: Final = ("train", "validation", "test")
_MODEL: Final = {
    "id": FieldType.STRING,
    "definition": FieldType.STRING,
    "classes": FieldType.STRINGS,
    "task": FieldType.STRING,
    "input": FieldType.STRING,
    "input_shape": FieldType.INTS,
    "parameters": FieldType.INT,
    "preprocess": FieldType.STRING,
    "digest": FieldType.STRING,
    "created_at": FieldType.DATETIME,
}
_EXPERIMENT: Final = {
    "id": FieldType.STRING,
    "state": FieldType.STRING,
    "seed": FieldType.INT,
    "group": FieldType.STRING,
    "tags": FieldType.STRINGS,
    "commit": FieldType.STRING,
    "started_at": FieldType.DATETIME,
    "finished_at": FieldType.DATETIME,
}
_EXPERIMENTS: Final = f"""
MATCH (e:Experiment) WHERE {alive("Experiment", "e")}
OPTIONAL MATCH (e)-[u:USED]->(d:Dataset)
WITH e, collect([u.role, d.id]) AS datasets
OPTIONAL MATCH (e)-[:USED]->(m:Model)
RETURN properties(e) AS own, datasets, m.id AS model ORDER BY e.started_at, e.id
"""
_TEST_SETS: Final = f"""
MATCH (e:Experiment)-[u:USED {{role: 'test'}}]->(d:Dataset)<-[:OF]-(s:PredictionSet)-[:GENERATED_BY]->(e)
WHERE {alive("Experiment", "e")} AND {alive("PredictionSet", "s")} RETURN DISTINCT e.id AS experiment, d.id AS dataset
"""


def images_table(stores: Stores, dataset: str | None = None, *, one_hot: str | None = None) -> pa.Table:
    """A row an image: ``id``, ``key``, ``label``, our other fields, and a column for every metadata field.

    Args:
        stores: The open workspace.
        dataset: A version's id: its images in its order, with the labels that it froze, without those that were
            deleted since. By default all, by key.
        one_hot: A field that is also given as int8 columns ``FIELD=VALUE``, 1 where the image has the value (or the
            list that it has holds it), null where it has none.
    """
    types = stores.columns.fields("Image")
    names = list(dict.fromkeys(["id", "key", "label", *types]))
    names = [name for name in names if name in types or name == "key"]
    if dataset is None:
        table = stores.columns.images(names).select(names)
    else:
        members = stores.columns.present(stores.columns.members(dataset))
        keys = members.column("key")
        stored = stores.columns.images(names, keys.to_numpy())
        table = stored.take(pc.index_in(keys, stored.column("key"))).select(names)
        table = _with(_with(table, "key", keys), "label", members.column("label"))
    if one_hot is not None:
        if one_hot not in table.column_names:
            raise QueryError(f"There is no field {one_hot!r} to make one-hot columns of: {', '.join(names)}.")
        for name, values in _one_hot(one_hot, table.column(one_hot).to_pylist()).items():
            table = table.append_column(name, values)
    return table


@served
def models_table(stores: Stores) -> pa.Table:
    """A row a model: its definition as JSON, classes, task, input shape (bands, height, width), and its metadata."""
    rows = stores.graph.read(
        f"MATCH (m:Model) WHERE {alive('Model', 'm')} RETURN properties(m) AS own ORDER BY m.created_at, m.id"
    )
    own = [row["own"] for row in rows]
    for node in own:
        if "classes" in node:
            node["classes"] = [str(name) for name in node["classes"]]
    return _table(own, {**_MODEL, **_free(stores, "Model")})


@served
def experiments_table(stores: Stores) -> pa.Table:
    """A row an experiment.

    Model, the data set of each role, ``params.NAME`` of its hyper-parameters, ``metrics.NAME`` as logged last,
    ``accuracy`` over its test set (the share that is not wrong; null where it has no predictions), ``coverage`` (the
    share of the labeled images that it has predicted), and its metadata.
    """
    rows = stores.graph.read(_EXPERIMENTS)
    own = [row["own"] for row in rows]
    ids = [node["id"] for node in own]
    table = _table(own, {**_EXPERIMENT, **_free(stores, "Experiment")})
    used = [dict(pair for pair in row["datasets"] if pair[0] is not None) for row in rows]
    roles = dict.fromkeys([*ROLES, *(role for roles in used for role in roles)])
    extra = {
        "model": [row["model"] for row in rows],
        **{role: [datasets.get(role) for datasets in used] for role in roles},
    }
    for place, (name, values) in enumerate(extra.items(), start=1):
        table = table.add_column(place, name, pa.array(values, pa.string()))
    params = [json.loads(node.get("parameters") or "{}") for node in own]
    for name in sorted({name for parameters in params for name in parameters}):
        table = table.append_column(f"params.{name}", _mixed([parameters.get(name) for parameters in params]))
    metrics = last_metrics(stores, ids)
    for name in sorted({name for logged in metrics.values() for name in logged}):
        values = [metrics.get(id_, {}).get(name) for id_ in ids]
        table = table.append_column(
            f"metrics.{name}", pa.array(values, pa.float64(), from_pandas=True)
        )  # NaN is missing
    accuracies = _accuracies(stores)
    for place, name in enumerate(("accuracy", "coverage")):
        values = [accuracies.get(id_, (None, None))[place] for id_ in ids]
        table = table.append_column(name, pa.array(values, pa.float64()))
    return table


def per_image_table(stores: Stores, experiment: str, dataset: str, *, activations: LayerRef | None = None) -> pa.Table:
    """A row an image of a data set version that an experiment has predictions over, in the version's order.

    Images without a prediction have none here either (null); those that were deleted since are left out.

    Args:
        stores: The open workspace.
        experiment: Its id.
        dataset: The version's id.
        activations: A layer whose pooled vector, float32, is the column ``activation``; what is missing is computed.

    Returns:
        ``experiment``, ``image`` (the id), ``key``, ``label``, ``predicted``, ``confidence``, ``wrong``, and where
        asked for ``activation``.

    Raises:
        QueryError: There are no predictions over it.
    """
    predictions = stores.columns.predictions(choose(stores.graph, experiment, dataset).id)
    members = stores.columns.present(stores.columns.members(dataset))
    keys = members.column("key")
    predictions = predictions.take(pc.index_in(keys, predictions.column("key")))
    images = stores.columns.images(["id"], keys.to_numpy())
    table = pa.table(
        {
            "experiment": pa.repeat(experiment, len(keys)),
            "image": images.column("id").take(pc.index_in(keys, images.column("key"))),
            "key": keys,
            "label": members.column("label"),
            **{name: predictions.column(name) for name in ("predicted", "confidence", "wrong")},
        }
    )
    if activations is None:
        return table
    from odin_graph.runtime.passes.embed import embeddings

    vectors = np.ascontiguousarray(embeddings(stores, activations, keys.to_numpy()), np.float32)
    flat = pa.array(vectors.reshape(-1))
    return table.append_column("activation", pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]))


def predictions_table(stores: Stores) -> pa.Table:
    """A row an image of every ready set: ``prediction_set``, ``experiment``, ``dataset``, and its columns.

    Where a prediction is of several images, each has a row. Of images that were deleted since there is none.
    """
    rows = stores.graph.read(
        "MATCH (e:Experiment)<-[:GENERATED_BY]-(s:PredictionSet)-[:OF]->(d:Dataset) "
        f"WHERE {alive('PredictionSet', 's')} RETURN s.id AS id, e.id AS experiment, d.id AS dataset ORDER BY s.id"
    )
    parts = []
    for row in rows:
        predictions = stores.columns.present(stores.columns.predictions(row["id"]))
        constants = {"prediction_set": row["id"], "experiment": row["experiment"], "dataset": row["dataset"]}
        part = pa.table({name: pa.repeat(value, predictions.num_rows) for name, value in constants.items()})
        for name in ("key", "predicted", "confidence", "wrong"):
            part = part.append_column(name, predictions.column(name))
        parts.append(part)
    return _concatenated(parts, "prediction_set", "experiment", "dataset")


def members_table(stores: Stores) -> pa.Table:
    """A row a member of every data set version: ``dataset``, ``position`` from 0, ``key``, and its frozen ``label``.

    Members that were deleted since have no row; the others keep their position.
    """
    rows = stores.graph.read(
        f"MATCH (d:Dataset) WHERE {alive('Dataset', 'd')} RETURN d.id AS id ORDER BY d.base, d.version"
    )
    parts = []
    for row in rows:
        members = stores.columns.members(row["id"])
        first = {"dataset": pa.repeat(row["id"], members.num_rows), "position": pa.array(np.arange(members.num_rows))}
        whole = pa.table({**first, "key": members.column("key"), "label": members.column("label")})
        parts.append(stores.columns.present(whole))
    return _concatenated(parts, "dataset")


def _concatenated(parts: Sequence[pa.Table], *names: str) -> pa.Table:
    """One table of all; a column that is text in one of them is text in all."""
    if not parts:
        return pa.table({name: pa.array([], pa.string()) for name in [*names, "key"]})
    for name in ("predicted", "label"):
        kinds = {part.schema.field(name).type for part in parts if name in part.column_names} - {pa.null()}
        if any(not pa.types.is_integer(kind) and not pa.types.is_floating(kind) for kind in kinds) and len(kinds) > 1:
            parts = [_with(part, name, _as_text(part.column(name).to_pylist())) for part in parts]
    return pa.concat_tables(parts, promote_options="permissive")


def _as_text(values: Sequence[Any]) -> pa.Array:
    texts = [value if isinstance(value, str | None) else json.dumps(value, default=str) for value in values]
    return pa.array(texts, pa.string())


def _free(stores: Stores, kind: str) -> dict[str, FieldType]:
    return {name: type_ for name, type_ in stores.columns.fields(kind).items() if name != "id"}


def _table(nodes: Sequence[Mapping[str, Any]], types: Mapping[str, FieldType]) -> pa.Table:
    return pa.table({name: column([node.get(name) for node in nodes], field) for name, field in types.items()})


def _with(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    if name not in table.column_names:
        return table.append_column(name, values)
    return table.set_column(table.column_names.index(name), name, values)


def _one_hot(field: str, values: Sequence[Any]) -> dict[str, pa.Array]:
    lists = [value if isinstance(value, list) or value is None else [value] for value in values]
    known = sorted(
        {item for items in lists if items is not None for item in items}, key=lambda item: (str(type(item)), item)
    )
    return {
        f"{field}={item}": pa.array([None if items is None else int(item in items) for items in lists], pa.int8())
        for item in known
    }


def _mixed(values: Sequence[Any]) -> pa.Array:
    """Hyper-parameters of one name: of one type where they are, else as JSON text."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return _as_text(values)


def _accuracies(stores: Stores) -> dict[str, tuple[float, float]]:
    """The share that is not wrong, and the coverage, by experiment."""
    found: dict[str, tuple[float, float]] = {}
    for row in stores.graph.read(_TEST_SETS):
        try:
            predictions = judged(stores, row["experiment"], row["dataset"], stale=False)
        except QueryError:  # its sets are of other checkpoints than the chosen one
            continue
        wrong = pc.mean(predictions.table.column("wrong").cast(pa.float64())).as_py()
        if wrong is not None:
            found[row["experiment"]] = (1.0 - wrong, predictions.coverage.share)
    return found
