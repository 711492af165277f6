"""Whatever is given where something else is asked: an answer, or an error of ours that says what to give instead."""

from __future__ import annotations

import datetime
import decimal
import fractions
import os
import random
import signal
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import odin_graph as og
from odin_graph import F, example
from odin_graph.errors import OdinError
from tests.kept import kept
from tests.stored import filled

SHARE, SECONDS = 1, 60


def odd_values(db: og.Workspace) -> dict[str, Any]:
    """What users give by mistake, or when they try what happens."""
    experiment = db.experiment("small-cnn/1")
    values: dict[str, Any] = {
        "None": None,
        "True": True,
        "0": 0,
        "-1": -1,
        "2**70": 2**70,
        "1.5": 1.5,
        "NaN": float("nan"),
        "infinity": float("inf"),
        "complex": 1j,
        "Decimal": decimal.Decimal("1.5"),
        "Fraction": fractions.Fraction(1, 3),
        "empty text": "",
        "text": "abc",
        "NUL": "a\0b",
        "half a character": "\ud800",
        "emoji": "😀",
        "long": "x" * 100_000,
        "bytes": b"abc",
        "empty list": [],
        "numbers": [1, 2],
        "[None]": [None],
        "mixed": [1, "a", None, 2.5],
        "nested": [[1], [2]],
        "tuple": (1, 2),
        "set": {1, 2},
        "empty dict": {},
        "dict": {"a": 1},
        "dict of numbers": {1: 2},
        "0-d": np.array(3),
        "1-d": np.arange(3),
        "2-d": np.zeros((2, 2)),
        "5-d": np.zeros((2, 3, 4, 5, 6)),
        "objects": np.array([None, {}], object),
        "array of texts": np.array(["a", "b"]),
        "NaT": pd.NaT,
        "pd.NA": pd.NA,
        "masked": np.ma.masked_array([1, 2], [0, 1]),
        "date": datetime.date(2020, 1, 1),
        "datetime": datetime.datetime(2020, 1, 1),  # noqa: DTZ001 - of no zone
        "timedelta": datetime.timedelta(1),
        "UUID": uuid.UUID(int=3),
        "path": Path("/nowhere/at/all"),
        "DataFrame": pd.DataFrame({"a": [1]}),
        "empty DataFrame": pd.DataFrame(),
        "Series": pd.Series([1, 2]),
        "Arrow array": pa.array([1, None]),
        "Arrow table": pa.table({"id": ["a"]}),
        "tensor": torch.zeros(3),
        "field": F("age"),
        "condition": F("age") > 3,
        "query": db.images("retina-test"),
        "data set": db.datasets["retina-test"],
        "experiment": experiment,
        "image": db.images("retina-test")[0],
        "layer": experiment.layer("features"),
        "type": int,
        "function": len,
        "exception": ValueError("x"),
        "slice": slice(0, 2),
        "range": range(3),
        "ellipsis": ...,
        "workspace": db,
    }
    return values


Calls = dict[str, tuple[Callable[..., Any], dict[str, Any]]]


def calls(db: og.Workspace, folder: Path) -> Calls:
    """Each public call with arguments that fit: one of them at a time is exchanged."""
    fresh, rng = f"x{uuid.uuid4().hex[:12]}", np.random.default_rng(0)
    exp, test, images = db.experiment("small-cnn/1"), db.datasets["retina-test"], db.images("retina-test")
    ids = images.to_pandas("id")["id"].tolist()
    image, features = db.image(ids[0]), exp.layer("features")

    def pixels(n: int) -> Any:
        return rng.integers(0, 255, (n, 8, 8), dtype=np.uint8)

    def of(call: Callable[..., Any], *first: str) -> Callable[..., Any]:
        """With the arguments of these names in front."""
        return lambda **how: call(*[how.pop(name) for name in first], **how)

    def keys(call: Callable[..., Any]) -> Callable[..., Any]:
        return lambda **how: call(**how).keys()

    return {
        "images.add": (
            db.images.add,
            {
                "images": pixels(2),
                "ids": [f"{fresh}a", f"{fresh}b"],
                "labels": ["DME", "drusen"],
                "metadata": {"age": [1, 2]},
                "types": {"age": int},
                "prefix": "",
                "on_conflict": "error",
                "on_error": "raise",
            },
        ),
        "images.add of a source": (of(db.images.add, "source"), {"source": str(folder / "nowhere"), "root": None}),
        "images.update": (
            of(db.images.update, "source"),
            {"source": {"id": ids[:2], "age": [50, 60]}, "missing": "keep"},
        ),
        "images.revise": (db.images.revise, {"ids": [ids[0]], "images": pixels(1), "metadata": {"age": [3]}}),
        "images.undelete": (of(db.images.undelete, "images"), {"images": ids[0]}),
        "images.delete": (of(db.images.delete, "images"), {"images": fresh, "why": "x", "who": "y", "force": False}),
        "images.purge": (of(db.images.purge, "images"), {"images": fresh, "why": "x", "who": "y", "dry_run": True}),
        "images": (lambda **how: db.images(how["of"]).keys(), {"of": "retina-test"}),
        "image": (db.image, {"id": ids[0]}),
        "labels.update": (of(db.labels.update, "source"), {"source": {ids[0]: "DME"}, "who": "me", "why": "so"}),
        "labels.update to": (of(db.labels.update, "source"), {"source": ids[:2], "label": "DME"}),
        "labels.history": (db.labels.history, {"images": ids[0]}),
        "datasets.add": (
            of(db.datasets.add, "id"),
            {"id": fresh, "images": ids[:5], "labels": ["DME"] * 5, "label": None, "revise": False},
        ),
        "datasets.load": (db.datasets.load, {"path": folder / "nowhere", "id": None}),
        "views": (db.views.add, {"id": fresh, "query": images}),
        "view": (lambda name: db.views[name], {"name": fresh}),
        "vectors.add": (
            db.vectors.add,
            {"id": fresh, "images": ids[:3], "vectors": rng.random((3, 4)).astype("f4"), "replace": False},
        ),
        "sql": (of(db.sql, "statement"), {"statement": "SELECT $x", "x": 1, "timeout": 9}),
        "cypher": (of(db.cypher, "query"), {"query": "RETURN $x AS x", "x": 1, "timeout": 9, "write": False}),
        "run": (
            lambda **how: db.run(**how).finish(),
            {
                "id": fresh,
                "train": "retina-train",
                "seed": 1,
                "params": {"lr": 0.1},
                "tags": ["a"],
                "group": "g",
                "note": "n",
            },
        ),
        "run.log": (lambda values, step: _logged(db, values, step), {"values": {"loss": 0.5}, "step": 1}),
        "impact": (db.impact, {"images": ids[0]}),
        "leaks": (db.leaks, {"train": "retina-train", "test": "retina-test", "rules": ["lineage"], "within": None}),
        "compare": (of(db.compare, "a", "b"), {"a": "small-cnn/1", "b": "small-cnn/2", "on": "retina-test"}),
        "fields.retype": (db.fields.retype, {"name": "age", "type": int, "kind": "Image"}),
        "backup": (db.backup, {"path": folder / fresh}),
        "budget": (lambda budget: setattr(db.storage, "budget", budget), {"budget": "1 GB"}),
        "pin": (lambda held: db.storage.pin(held), {"held": features}),
        "dataset": (db.dataset, {"id": "retina-test"}),
        "split": (test.split, {"fractions": {"a": 0.5, "b": 0.5}, "stratify": None, "group_by": None, "seed": 0}),
        "kfold": (test.kfold, {"k": 2, "stratify": "label", "group_by": None, "seed": 0}),
        "sample of a data set": (
            test.sample,
            {"k": 3, "balanced": None, "weights": None, "group_by": "label", "seed": 0},
        ),
        "revise of a data set": (test.revise, {"add": ids[:1], "remove": (), "relabel": None, "note": "x"}),
        "tag": (of(test.tag, "word"), {"word": "x"}),
        "diff": (test.diff, {"other": test}),
        "export": (test.export, {"path": folder / f"e{fresh}", "format": "parquet"}),
        "update of a data set": (of(test.update, "values"), {"values": {"note": "x"}, "more": 1}),
        "results": (exp.results, {"on": "retina-test", "group_by": "age"}),
        "on": (exp.on, {"dataset": "retina-test"}),
        "probability": (lambda of: images.where(exp.probability(of) > 0.5).keys(), {"of": "DME"}),
        "layer": (exp.layer, {"name": "features", "checkpoint": None, "pooling": "mean"}),
        "predict": (exp.predict, {"on": "retina-test", "checkpoint": None}),
        "log_predictions": (
            exp.log_predictions,
            {
                "on": "retina-test",
                "predicted": ["DME"] * len(ids),
                "confidence": [0.5] * len(ids),
                "images": ids,
                "classes": ["DME", "drusen", "normal"],
                "task": "multi-class",
            },
        ),
        "update of an experiment": (of(exp.update, "values"), {"values": {"note": "x"}, "more": 1}),
        "where": (lambda of: images.where(of).keys(), {"of": F("age") > 3}),
        "where ==": (lambda of: images.where(F("age") == of).keys(), {"of": 3}),
        "isin": (lambda of: images.where(F("site").isin(of)).keys(), {"of": ["a"]}),
        "order_by": (lambda of: images.order_by(of).keys(), {"of": F("age")}),
        "limit": (keys(images.limit), {"k": 3}),
        "[]": (lambda at: images[at], {"at": 0}),
        "sample": (keys(images.sample), {"k": 3, "seed": 1}),
        "distinct": (lambda by: images.distinct(by).keys(), {"by": "label"}),
        "select": (lambda name: images.select(name).to_arrow(), {"name": "age"}),
        "with_columns": (lambda of: images.with_columns(x=of).to_arrow("x"), {"of": F("age") + 1}),
        "group_by": (lambda by, n: images.group_by(by).agg(n=n).to_arrow(), {"by": "label", "n": og.count()}),
        "union": (keys(images.union), {"other": images}),
        "nearest": (
            keys(images.nearest),
            {"to": ids[0], "by": features, "k": 3, "unlike": (), "metric": "l2", "recall": None, "weights": None},
        ),
        "representative": (
            keys(images.representative),
            {"k": 3, "by": features, "seed": 0, "method": "facility-location"},
        ),
        "cluster": (
            lambda **how: images.cluster(**how).to_arrow(),
            {"k": 3, "by": features, "seed": 0, "metric": "cosine", "name": "cluster"},
        ),
        "near_duplicates": (
            lambda **how: images.near_duplicates(**how).to_arrow(),
            {"by": features, "within": 0.1, "metric": "cosine", "name": "duplicates"},
        ),
        "outliers": (
            lambda **how: images.outliers(**how).to_arrow(),
            {"by": features, "k": 3, "metric": "cosine", "name": "outlier"},
        ),
        "uniqueness": (
            lambda **how: images.uniqueness(**how).to_arrow(),
            {"by": features, "metric": "cosine", "name": "uniqueness"},
        ),
        "to_arrow": (of(images.to_arrow, "name"), {"name": "age", "timeout": 9, "x": F("age")}),
        "to_batches": (lambda **how: list(images.to_batches(**how)), {"batch_size": 100, "timeout": 9}),
        "count": (images.count, {"timeout": 9}),
        "batches": (lambda **how: list(images.batches(**how)), {"batch_size": 4, "seed": 0}),
        "loader": (
            lambda **how: list(images.loader(**how)),
            {
                "batch_size": 4,
                "seed": 0,
                "weights": None,
                "augment": (),
                "model": "small-cnn",
                "classes": ["DME", "drusen", "normal"],
                "shuffle": True,
                "stream": False,
                "drop_last": False,
            },
        ),
        "resize": (lambda **how: images.resize(**how)[0].pixels, {"size": (8, 8), "method": "bilinear"}),
        "crop": (lambda **how: images.crop(**how)[0].pixels, {"box": (0, 0, 4, 4)}),
        "pad": (lambda **how: images.pad(**how)[0].pixels, {"top": 1, "mode": "constant", "fill": 0}),
        "rotate": (lambda **how: images.rotate(**how)[0].pixels, {"degrees": 5.0, "method": "nearest", "fill": 0}),
        "apply": (lambda op: images.apply(op)[0].pixels, {"op": "flip"}),
        "patches": (lambda **how: images.patches(**how)[0], {"size": 4, "stride": 4, "edge": "drop", "fill": 0}),
        "map": (
            lambda **how: images.limit(2).map(**how),
            {"function": lambda one: float(one.pixels.mean()), "group_by": None},
        ),
        "map by a name": (
            lambda **how: images.limit(2).map(lambda one: float(one.pixels.mean()), **how),
            {"name": fresh, "workers": 0},
        ),
        "sheet": (lambda **how: images.limit(2).sheet(**how), {"title": "x", "predictions": exp, "scale": "sheet"}),
        "save": (lambda path: images.limit(2).save(path), {"path": folder / f"{fresh}.png"}),
        "from_json": (db.query, {"data": images.to_json()}),
        "crop of an image": (image.crop, {"box": (0, 0, 4, 4)}),
        "update of an image": (of(image.update, "values"), {"values": {"age": 3}, "eye": "left"}),
        "used_by": (image.used_by, {"kind": og.Experiment}),
        "units": (lambda which: images.order_by(features.units[which].mean()).keys(), {"which": [1, 2]}),
        "materialize": (features.materialize, {"images": ids[:3], "codec": "u8", "view": "units"}),
        "embeddings": (features.embeddings, {"images": ids[:3]}),
        "selectivity": (features.selectivity, {"images": ids, "group_by": "label", "view": "channels-max", "bins": 4}),
        "similar_units": (features.similar_units, {"images": ids, "threshold": 0.9, "view": "channels-max"}),
        "affinity": (features.affinity, {"hypotheses": {"age": F("age")}, "images": ids, "view": "channels-max"}),
        "top_units": (image.top_units, {"layer": features, "k": 3, "view": "channels-max"}),
        "models.add": (
            db.models.add,
            {
                "id": fresh,
                "factory": "torch.nn:Identity",
                "classes": ["a", "b"],
                "task": "multi-class",
                "args": (),
                "kwargs": {},
                "preprocess": ["to-float"],
                "input_shape": None,
            },
        ),
        "volumes.add": (
            db.volumes.add,
            {"id": f"{fresh}v", "voxels": pixels(2), "axis": 0, "every": 1, "labels": None},
        ),
        "videos.add": (
            db.videos.add,
            {"id": f"{fresh}w", "frames": pixels(2), "fps": 5.0, "every": 1, "metadata": None},
        ),
        "connect": (og.connect, {"path": folder / "new" / f"{fresh}.odin", "create": False}),
        "restore": (og.restore, {"backup": folder / "nowhere", "path": folder / f"r{fresh}.odin"}),
    }


def _logged(db: og.Workspace, values: Any, step: Any) -> None:
    with db.run() as run:
        run.log(values, step=step)


@contextmanager
def soon() -> Iterator[None]:
    """A call that hangs is a fault."""

    def late(*_: object) -> None:
        raise AssertionError(f"it hangs: no answer in {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@kept
def retina(db: og.Workspace) -> og.Workspace:
    """The workspace of the guides."""
    filled(db, example.build, experiments=2)
    return db


@pytest.mark.filterwarnings("ignore")
def test_a_call_answers_or_says_what_to_give(
    retina: og.Workspace, tmp_path: Path, soak: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share of the values for each argument; all of them, of all arguments, in the soak."""
    monkeypatch.chdir(tmp_path)  # some of them are names of files
    seed = int(os.environ.get("ODIN_SEED") or random.SystemRandom().randrange(2**32))
    print(f"ODIN_SEED={seed} repeats these cases")
    chance, raw, tried = random.Random(seed), [], 0
    values = odd_values(retina)
    for name, (_, fitting) in calls(retina, tmp_path).items():
        for argument in fitting:
            for what in values if soak else chance.sample(list(values), SHARE):
                call, given = calls(retina, tmp_path)[name]
                tried += 1
                try:
                    with soon(), warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        call(**{**given, argument: values[what]})
                except OdinError:
                    pass
                except Exception as error:  # noqa: BLE001 - what is looked for
                    at = traceback.extract_tb(error.__traceback__)[-1]
                    raw.append(
                        f"{name}({argument}={what}): {type(error).__name__}: {error!s:.100} ({at.filename}:{at.lineno})"
                    )
    assert tried > 200
    assert not raw, "\n".join(raw)
