"""Models that are no torch modules predict and embed as their own library does, and say what they cannot do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import odin_graph as og
from odin_graph.catalog.purge.gc import collect_garbage
from odin_graph.errors import MissingExtraError, ModelError, UnknownNameError
from odin_graph.registry import PluginError
from odin_graph.runtime.models.formats import FORMATS
from tests.forking import run
from tests.kept import kept
from tests.runtime.digits import digits

pytestmark = pytest.mark.one_engine  # files of models, which no graph has

N = 120
DIGITS = tuple(range(10))


@kept
def world(db: og.Workspace) -> og.Workspace:
    pixels, labels = digits()
    db.images.add(images=pixels[:N], labels=labels[:N].tolist(), prefix="digit", progress=False)
    db.datasets.add("digits", db.images(), label=None)
    return db


def rows(count: int = N) -> NDArray[np.float32]:
    return digits()[0][:count].reshape(count, -1).astype(np.float32)


def predicted(db: og.Workspace, model: og.Model) -> pd.DataFrame:
    """What a model predicts for all images, in the order of the digits."""
    experiment = f"of {model.id}"
    with db.run(model, id=experiment, test="digits") as run:
        run.add_checkpoint()
        run.predict("digits", progress=False)
    exp = db.experiment(experiment)
    return db.images("digits").with_columns(predicted=exp.predicted, confidence=exp.confidence).to_pandas()


def brightest(bins: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """A function of images that is nobody's network: the logit of a class is the mean of a band of rows."""

    def scores(images: NDArray[np.float32]) -> NDArray[np.float32]:
        return images.mean(axis=(1, 3)).reshape(len(images), bins, -1).mean(2)

    return scores


@pytest.mark.parametrize(
    "estimator",
    [RandomForestClassifier(12, random_state=0), make_pipeline(StandardScaler(), LogisticRegression(max_iter=50))],
    ids=["forest", "pipeline"],
)
def test_a_classifier_of_scikit_learn_predicts_as_there(world: og.Workspace, estimator: Any) -> None:
    estimator.fit(rows(), digits()[1][:N])
    model = world.models.add("sk", estimator, input_shape=(1, 28, 28))
    assert model.classes == DIGITS
    table = predicted(world, model)
    assert table["predicted"].tolist() == estimator.predict(rows()).tolist()
    np.testing.assert_allclose(table["confidence"], estimator.predict_proba(rows()).max(1), atol=1e-5)


def test_estimators_without_probabilities(world: og.Workspace) -> None:
    """The decision function stands in for logits, of two classes and of many; a regressor gives numbers."""
    labels = digits()[1][:N]
    many = LinearSVC(max_iter=200).fit(rows(), labels)
    assert predicted(world, world.models.add("many", many))["predicted"].tolist() == many.predict(rows()).tolist()
    two = LinearSVC(max_iter=200).fit(rows(), labels >= 5)
    assert predicted(world, world.models.add("two", two))["predicted"].tolist() == two.predict(rows()).tolist()
    ridge = Ridge(1000.0).fit(rows(), labels)
    numbers = predicted(world, world.models.add("ridge", ridge))["predicted"]
    np.testing.assert_allclose(numbers, ridge.predict(rows()), atol=1e-4)


def test_an_estimator_of_several_labels(db: og.Workspace) -> None:
    db.images.add(images=digits()[0][:N], prefix="digit", progress=False)
    db.datasets.add("digits", db.images(), label=None)
    labels = digits()[1][:N]
    both = MultiOutputClassifier(RandomForestClassifier(8, random_state=1))
    both.fit(rows(), np.stack([labels % 2 == 1, labels > 4], axis=1))
    model = db.models.add("both", both, classes=["odd", "large"], task="multi-label")
    expected = [
        [name for name, is_so in zip(("odd", "large"), row, strict=True) if is_so] for row in both.predict(rows())
    ]
    assert [sorted(found) for found in predicted(db, model)["predicted"]] == [sorted(names) for names in expected]


def test_colors_come_in_the_order_of_the_pixels(db: og.Workspace) -> None:
    """An estimator that was fitted on `to_numpy` sees its rows again."""
    pixels = np.random.default_rng(0).integers(0, 255, (20, 4, 5, 3), np.uint8)
    db.images.add(images=pixels, prefix="noise", progress=False)
    db.datasets.add("digits", db.images(), label=None)
    target = pixels[:, 1, 2, 0].astype(float)
    ridge = Ridge().fit(pixels.reshape(20, -1).astype(np.float32), target)
    found = predicted(db, db.models.add("ridge", ridge, task="regression"))["predicted"]
    np.testing.assert_allclose(found, target, atol=1.0)


def linear(batch: int | str, bands: int = 1) -> tuple[onnx.ModelProto, torch.nn.Module]:
    """A linear classifier as ONNX, and as torch."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(bands * 784, 10))
    weight, bias = (value.detach().numpy() for value in net[1].parameters())
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["images"], ["flat"]),
            helper.make_node("Gemm", ["flat", "weight", "bias"], ["scores"], transB=1),
            helper.make_node("ArgMax", ["scores"], ["best"], axis=1),
            helper.make_node("Identity", ["scores"], ["logits"]),
        ],
        "linear",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, bands, 28, 28])],
        [
            helper.make_tensor_value_info("best", TensorProto.INT64, [batch, 1]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 10]),
        ],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), net


@pytest.mark.parametrize("batch", ["n", 1, 7])
def test_onnx_predicts_and_embeds_as_torch(world: og.Workspace, tmp_path: Path, batch: int | str) -> None:
    """Also where the file takes one number of images alone."""
    proto, net = linear(batch)
    onnx.save(proto, tmp_path / "linear.onnx")
    scale = [og.ops.ToFloat()]
    model = world.models.add("onnx", tmp_path / "linear.onnx", classes=DIGITS, preprocess=scale)
    assert world.models.add("onnx", proto, classes=DIGITS, preprocess=scale, input_shape=(1, 28, 28)) == model
    with torch.no_grad():
        logits = net(torch.from_numpy(digits()[0][:N, None] / np.float32(255)))
    assert model.input_shape == (1, 28, 28)  # as the file states it
    table = predicted(world, model)
    assert table["predicted"].tolist() == logits.argmax(1).tolist()
    np.testing.assert_allclose(table["confidence"], logits.softmax(1).max(1).values, atol=1e-5)
    layer = world.experiment("of onnx").layer("output")
    np.testing.assert_allclose(layer.embeddings(world.images("digits")), logits, atol=1e-4)
    near = world.images("digits").nearest("digit/000003", by=layer, k=4, metric="l2")
    distances = (logits - logits[3]).norm(dim=1)
    assert set(near.to_pandas()["id"]) == {f"digit/{place:06}" for place in distances.argsort()[1:5].tolist()}


def test_a_function_with_a_definition(world: og.Workspace) -> None:
    """Its source is stored, as that of a torch module would be."""
    model = world.models.add("rule", brightest, kwargs={"bins": 4}, classes=list("abcd"), input_shape=(1, 28, 28))
    scores = digits()[0][:N].astype(np.float32).mean(axis=2).reshape(N, 4, -1).mean(2)
    assert predicted(world, model)["predicted"].tolist() == [list("abcd")[n] for n in scores.argmax(1)]
    assert model.definition["target"].endswith("brightest")


def mean_of(scale: float) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    return lambda images: scale * images.mean(axis=(1, 2, 3))


def test_one_number_an_image_predicts_and_embeds(world: og.Workspace) -> None:
    model = world.models.add("mean", mean_of, kwargs={"scale": 2.0}, task="regression", input_shape=(1, 28, 28))
    expected = 2 * digits()[0][:N].astype(np.float32).mean(axis=(1, 2))
    np.testing.assert_allclose(predicted(world, model)["predicted"], expected, rtol=1e-5)
    layer = world.experiment("of mean").layer("output")
    np.testing.assert_allclose(layer.embeddings(world.images("digits"))[:, 0], expected, rtol=1e-5)
    near = world.images("digits").nearest("digit/000003", by=layer, k=1, metric="l2").to_pandas()
    apart = np.abs(expected - expected[3])
    apart[3] = np.inf
    assert near["id"].tolist() == [f"digit/{apart.argmin():06}"]


def test_estimators_that_take_doubles_and_that_transform(world: og.Workspace) -> None:
    """Fitted to what `to_numpy` gives; a transformer embeds."""
    pixels = world.images("digits").to_numpy().reshape(N, -1)
    clusters = KMeans(4, n_init=1, random_state=0).fit(pixels)
    model = world.models.add("clusters", clusters, task="regression", input_shape=(1, 28, 28))
    assert predicted(world, model)["predicted"].tolist() == clusters.predict(pixels).tolist()
    parts = PCA(5, random_state=0).fit(pixels)
    predicted_by = world.models.add("parts", parts, input_shape=(1, 28, 28))
    with world.run(predicted_by, id="parts/1") as run:
        run.add_checkpoint()
    found = world.experiment("parts/1").layer("output").embeddings(world.images("digits"))
    np.testing.assert_allclose(found, parts.transform(pixels), atol=0.05)


def test_a_package_that_names_its_class(db: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the package's entry, and not the user's model."""
    monkeypatch.setitem(FORMATS._entries, "a-wrong", type(FORMATS.get("onnx")))  # type: ignore[arg-type]
    with pytest.raises(PluginError, match=r"The model format 'a-wrong' is <class .*names the object"):
        db.models.add("forest", RandomForestClassifier(2).fit(rows(), digits()[1][:N]))


def test_what_needs_layers_or_gradients_says_so(world: og.Workspace) -> None:
    model = world.models.add("rule", brightest, kwargs={"bins": 4}, classes=list("abcd"), input_shape=(1, 28, 28))
    assert [row.name for row in model.layers()] == ["output"]
    predicted(world, model)
    with pytest.raises(UnknownNameError, match="output"):
        world.experiment("of rule").layer("conv1").embeddings(world.images("digits"))
    images = torch.zeros(2, 1, 28, 28, requires_grad=True)
    with pytest.raises(ModelError, match="no torch module, so there are no gradients"):
        model.build()(images)


ELSEWHERE = """
import sys
import odin_graph as og
with og.connect(sys.argv[1]) as db:
    for name in ("onnx", "forest"):
        try:
            print(type(db.models[name].build(trust_source=len(sys.argv) > 2)).__name__)
        except og.errors.TrustError as error:
            print(error)
"""


@pytest.mark.starts_engine
def test_only_what_runs_code_needs_trust(tmp_path: Path) -> None:
    """In another process, which did not add the model."""
    folder = tmp_path / "w.odin"
    with og.connect(folder) as db:
        db.models.add("onnx", linear("n")[0])
        db.models.add("forest", RandomForestClassifier(2).fit(rows(), digits()[1][:N]))

    def elsewhere(*more: str) -> list[str]:
        ran = run(["-c", ELSEWHERE, folder, *more])
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.splitlines()

    free, refused = elsewhere()
    assert free == "Foreign"
    assert "load a sklearn model" in refused
    assert "trust_source=True" in refused
    assert elsewhere("trust") == ["Foreign", "Foreign"]


def test_the_file_of_a_model_is_kept_and_missed(db: og.Workspace) -> None:
    model = db.models.add("forest", RandomForestClassifier(2, random_state=0).fit(rows(), digits()[1][:N]))
    collect_garbage(db._stores, grace=0)
    assert type(model.build()).__name__ == "Foreign"
    assert db.doctor(deep=True).sound
    uri = f"programs/{model.definition['target']}.model"
    db._stores.arrays.remove(uri)
    report = db.doctor()
    assert not report.sound
    assert "model 'forest'" in str(report)


class NoNumbers:
    """Made without arguments, and gives words."""

    def __call__(self, images: NDArray[np.float32]) -> list[str]:
        return ["a"] * len(images)


class WrongNumber:
    """Gives rows for other images."""

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.zeros((5, 1), np.float32)


class Failing:
    """Fails for a reason of its own."""

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        raise KeyError("width")


def takes_images(images: NDArray[np.float32]) -> NDArray[np.float32]:
    return images.mean(axis=(1, 2, 3))


@pytest.mark.parametrize(
    ("model", "how", "why"),
    [
        (RandomForestClassifier(2), {}, "RandomForestClassifier is not fitted"),
        ("missing.onnx", {}, "'missing.onnx' cannot be read: No such file"),
        (RandomForestClassifier(2), {"kwargs": {"bins": 3}}, "Arguments go with a class"),
        (NoNumbers, {"input_shape": (1, 2, 2)}, "gives list for 1 images, not numbers"),
        (WrongNumber, {"input_shape": (1, 2, 2)}, r"gives an array \(5, 1\) for 1 images"),
        (Failing, {"input_shape": (1, 2, 2)}, r"fails on 1 images \(1, 2, 2\).*KeyError: 'width'"),
        (takes_images, {}, "A function of images is not the factory"),
        (list, {}, "returns list: give a factory"),
        (NoNumbers(), {}, "is not a factory"),
    ],
    ids=["unfitted", "missing", "arguments", "words", "rows", "failing", "function", "list", "instance"],
)
def test_what_is_no_model_is_refused(db: og.Workspace, model: Any, how: dict[str, Any], why: str) -> None:
    with pytest.raises(og.errors.OdinError, match=why):
        db.models.add("m", model, **how)
    assert len(db.models) == 0


def test_a_broken_file_of_onnx(db: og.Workspace, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="ONNX Runtime refuses the model"):
        db.models.add("broken", tmp_path / "broken.onnx")
    proto = linear("n")[0]
    proto.graph.input.append(helper.make_tensor_value_info("age", TensorProto.FLOAT, ["n", 1]))
    with pytest.raises(ModelError, match="takes 2 inputs"):
        db.models.add("two", proto)


def test_a_library_that_is_not_installed_is_named(db: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"odin-graph\[onnx\]"):
        db.models.add("onnx", linear("n")[0])
