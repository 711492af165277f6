"""The verbs where models have run: what goes on after a deletion or a purge, and what is refused before it."""

from __future__ import annotations

import numpy as np
import pytest

import odin_graph as og
from odin_graph import F, example
from odin_graph.errors import ConflictError, FrozenError, UnknownNameError
from tests.kept import kept
from tests.stored import filled


@kept
def clinic(db: og.Workspace) -> og.Workspace:
    filled(db, example.build, experiments=1)
    return db


def test_prediction_and_neighbors_go_on_without_what_is_gone(clinic: og.Workspace) -> None:
    exp = clinic.experiment("small-cnn/1")
    layer = exp.layer("features")
    query = clinic.images("retina-test")
    first = clinic.images("retina-test").nearest("scan000.png", by=layer, k=5).to_pandas("id")["id"].tolist()
    clinic.image(first[0]).delete(force=True)
    clinic.image(first[1]).purge(force=True)
    again = query.nearest("scan000.png", by=layer, k=3).to_pandas("id")["id"].tolist()
    assert again == first[2:5]
    clinic.predictions.delete(exp.predictions())
    assert exp.predictions() == []
    made = exp.predict("retina-test")
    assert len(made) == example.IMAGES - 2
    assert len(query.where(exp.wrong | ~exp.wrong)) == example.IMAGES - 2
    assert len(query.to_torch(model="small-cnn")) == example.IMAGES - 2
    assert clinic.doctor(deep=True).sound


def test_activations_that_were_deleted_are_computed_again(clinic: og.Workspace) -> None:
    layer = clinic.experiment("small-cnn/1").layer("features")
    made = clinic.activations.add(layer, clinic.images("retina-test"))
    before = made.embeddings()
    assert clinic.activations.where(layer="features", checkpoint=layer.checkpoint).ids() == [made.id]
    made.update(checked=True)
    made.delete(why="room")
    assert clinic.activations.ids() == []
    with pytest.raises(UnknownNameError, match="no activation set"):
        clinic.activations[made.id]
    assert clinic.gc(dry_run=True).files == (), "young files are spared"
    again = clinic.activations.add(layer, clinic.images("retina-test"))
    np.testing.assert_allclose(again.embeddings(), before, rtol=1e-5)
    assert again.metadata == {"checked": True}
    assert clinic.doctor(deep=True).sound


def test_models_and_checkpoints(clinic: og.Workspace) -> None:
    exp = clinic.experiment("small-cnn/1")
    with pytest.raises(FrozenError, match="Model 'small-cnn' is trained by the experiment small-cnn/1; is run by the"):
        clinic.models["small-cnn"].delete()
    checkpoint = exp.checkpoints()[0]
    with pytest.raises(FrozenError, match="is what was run for the prediction set"):
        checkpoint.delete()
    checkpoint.delete(force=True)
    assert exp.checkpoints() == []
    assert exp.best_checkpoint() is None
    assert clinic.models["small-cnn"].checkpoints() == []
    with pytest.raises(UnknownNameError):
        exp.layer("features", checkpoint=checkpoint)
    exp.delete(why="again from the beginning")
    clinic.models["small-cnn"].update(note="retired").delete()
    assert clinic.models.ids() == []
    with pytest.raises(ConflictError, match="Model 'small-cnn' was deleted by"):
        clinic.models.add("small-cnn", example.SmallCNN, classes=list(example.NAMES), input_shape=(1, 8, 8))
    frame = clinic.deletions()
    assert frame["kind"].tolist() == ["Checkpoint", "Experiment", "PredictionSet", "Model"]
    assert frame["why"].tolist()[1:3] == ["again from the beginning"] * 2
    assert not frame["purged"].any()
    assert clinic.doctor(deep=True).sound


def test_selections_of_models(clinic: og.Workspace) -> None:
    assert clinic.models.where(F("parameters") < 200, task="multi-class").ids() == ["small-cnn"]
    assert [model.id for model in clinic.models] == ["small-cnn"]
    assert clinic.models.where(task="regression").to_pandas().empty
    assert len(clinic.experiments.where(state="finished")[:1]) == 1
