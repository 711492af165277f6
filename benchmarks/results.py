"""Results of many classes: seconds, memory, and how much faster than scikit-learn, which makes dense matrices.

python -m benchmarks.results [--quick] [--json FILE]
"""

from __future__ import annotations

import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn import metrics

import odin_graph as og
from benchmarks.report import Row, WrongAnswer, at_most, paired, run
from odin_graph.analysis import measure as measuring
from odin_graph.schema.tasks.ranking import rank_classes

SIDE = 4


def measure(quick: bool) -> list[Row]:
    """Every figure."""
    classes, images = (2_000, 4_000) if quick else (12_000, 24_000)
    with tempfile.TemporaryDirectory() as folder, og.connect(Path(folder) / "many.odin") as db:
        experiment = store(db, classes, images)
        rows = whole(db, experiment, classes, images)
    return rows + ranking(quick)


def store(db: og.Workspace, classes: int, images: int) -> og.Experiment:
    """Images of many classes, seven in ten predicted right, by an experiment without probabilities."""
    draw = np.random.default_rng(0)
    truth = np.concatenate([np.arange(classes), draw.integers(0, classes, images - classes)])
    said = np.where(draw.random(images) < 0.7, truth, draw.integers(0, classes, images))
    pixels = np.arange(images, dtype=np.uint32).view(np.uint8).reshape(images, SIDE, 1)
    names = [f"species {c:05}" for c in range(classes)]
    db.images.add(images=pixels, labels=[names[c] for c in truth], progress=False)
    dataset = db.datasets.add("many", db.images(), label="label")
    with db.run(id="imported", test=dataset) as recorded:
        recorded.log_predictions(dataset, [names[c] for c in said], classes=names, nodes=False)
    return recorded.experiment


def whole(db: og.Workspace, experiment: og.Experiment, classes: int, images: int) -> list[Row]:
    """What a user waits for: results at first, again, printed and drawn; and scikit-learn over the same columns."""
    dataset = db.dataset("many")
    held = experiment.results(dataset)
    index = {name: place for place, name in enumerate(held.classes)}
    table = db.tables.per_image(experiment, dataset)
    truth, said = (np.array([index[v] for v in table.column(c).to_pylist()]) for c in ("label", "predicted"))

    def ours() -> float:
        measuring._CACHE.clear()  # noqa: SLF001 - as the first time
        return seconds(lambda: experiment.results(dataset))

    expected: dict[str, float] = {}

    def theirs() -> float:
        return seconds(lambda: expected.update(by_scikit_learn(truth, said)))

    first, dense, ratio = paired(ours, theirs, 1 if classes > 5_000 else 3, warm=0)
    for name, value in expected.items():
        if abs(held[name] - value) > 1e-9:
            raise WrongAnswer(f"{name} is {held[name]}, and scikit-learn says {value}")
    again = seconds(lambda: experiment.results(dataset))
    measuring._CACHE.clear()  # noqa: SLF001 - as the first time
    tracemalloc.start()
    looked_at = experiment.results(dataset)
    str(looked_at), looked_at.confusion, looked_at.to_json()
    drawn = seconds(lambda: looked_at.picture()._repr_png_())
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    of = f"{images:,} images of {classes:,} classes"
    return [
        at_most(f"results of {of}, first", first, "s", 2.0),
        at_most(f"results of {of}, again", again, "s", 2.0),
        Row(f"scikit-learn over the same columns, {of}", dense, "s"),
        at_most("ours, first, over scikit-learn's", ratio, "x", 0.5),
        at_most("memory of results, text, matrix, JSON and picture", peak, "MiB", 300.0),
        Row("the picture, while memory is traced", drawn, "s"),
    ]


def by_scikit_learn(truth: np.ndarray, said: np.ndarray) -> dict[str, float]:
    """The same measures, and the matrix of all pairs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = ("precision", "recall", "f1")
        macro = metrics.precision_recall_fscore_support(truth, said, average="macro", zero_division=0)
        metrics.confusion_matrix(truth, said)
        return {
            **dict(zip(names, map(float, macro[:3]), strict=True)),
            "accuracy": float(metrics.accuracy_score(truth, said)),
            "kappa": float(metrics.cohen_kappa_score(truth, said)),
        }


def ranking(quick: bool) -> list[Row]:
    """AUROC and average precision of every class, by scikit-learn one class after the other."""
    n, classes = (2_000, 200) if quick else (12_000, 500)
    draw = np.random.default_rng(1)
    truth = draw.integers(0, classes, n)
    rows = draw.random((n, classes), np.float32)
    found: list[np.ndarray] = []
    expected: list[float] = []

    def ours() -> float:
        return seconds(lambda: found.append(rank_classes(np.arange(n), truth, rows, classes)[0]))

    def theirs() -> float:
        def each() -> None:
            expected[:] = [metrics.roc_auc_score(truth == c, rows[:, c]) for c in range(classes)]
            for c in range(classes):
                metrics.average_precision_score(truth == c, rows[:, c])

        return seconds(each)

    mine, peer, ratio = paired(ours, theirs, 1, warm=0)
    if not np.allclose(found[-1], expected):
        raise WrongAnswer("AUROC is not scikit-learn's")
    return [
        Row(f"ranking {n:,} images of {classes:,} classes", mine, "s"),
        Row("scikit-learn, class by class", peer, "s"),
        at_most("ranking over scikit-learn's", ratio, "x", 0.5),
    ]


def seconds(work: Callable[[], object]) -> float:
    """Of the processor's time: other processes' do not count."""
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    raise SystemExit(run("Results of many classes", measure))
