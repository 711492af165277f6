"""Store predictions: of a stored checkpoint, or of another program. For experiments and runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from odin_graph.analysis.seen import warn_of_seen
from odin_graph.catalog.datasets.datasets import resolve
from odin_graph.catalog.experiments.imports import import_predictions
from odin_graph.catalog.experiments.predictions import PredictionBuild, latest_ready
from odin_graph.catalog.experiments.projection import to_graph
from odin_graph.catalog.inputs.input import Input
from odin_graph.catalog.models.checkpoints import input_of
from odin_graph.errors import QueryError
from odin_graph.objects.base.class_table import class_of
from odin_graph.objects.base.in_session import InSession
from odin_graph.objects.base.which_images import keys_of_images
from odin_graph.query.names.prediction_sets import chosen_checkpoint
from odin_graph.schema.several import refuse_unordered
from odin_graph.stores import Stores

if TYPE_CHECKING:
    from odin_graph.objects.collections.predictions import PredictionSet
    from odin_graph.objects.things.checkpoint import Checkpoint
    from odin_graph.objects.things.dataset import Dataset
    from odin_graph.objects.things.image import Image


class Predicting(InSession):
    """Gives experiments and runs `predict` and `log_predictions`."""

    id: Any
    """The experiment's id, a str."""

    def predict(
        self,
        on: Dataset | str,
        *,
        checkpoint: Checkpoint | str | None = None,
        nodes: bool = True,
        progress: bool = True,
    ) -> PredictionSet:
        """Run a checkpoint on a data set and store its predictions. Stored ones are not computed again.

        If an input of the model is several images, each input has one prediction, which holds for all of its images.

        Args:
            on: The data set version; an id without a version is the latest version.
            checkpoint: The checkpoint to run; by default the best, or else the last.
            nodes: Also write a (:Prediction) node for each image, for lineage in Cypher.
            progress: Show a progress bar.

        If the model, or a model that it continues, learned from images of the data set, you get a `LeakWarning`. If
        groups were skipped, padded or cut, as the input of the model says, you get a `DataWarning`, which
        `PredictionSet.warnings` keeps.

        Raises:
            DataError: The images do not make inputs of the model, or those of an input have several labels.
        """
        from odin_graph.runtime.passes.predict import predict_batches

        stores: Stores = self._stores
        dataset_id = self._dataset(on)
        given = None if checkpoint is None else str(getattr(checkpoint, "id", checkpoint))
        chosen = given or chosen_checkpoint(stores.graph, self.id)
        if chosen is None:
            raise QueryError(
                f"Experiment {self.id!r} has no checkpoint to predict with: save one with run.add_checkpoint(module), "
                "or store predictions with log_predictions()."
            )
        if (existing := latest_ready(stores, self.id, dataset_id, chosen)) is not None:
            if nodes:
                to_graph(stores, existing)
            warn_of_seen(stores, self.id, dataset_id)
            return self._set(existing)
        taken = input_of(stores, chosen)
        several = taken if taken.several else None
        with PredictionBuild.begin(stores, self.id, dataset_id, checkpoint=chosen, input=several) as build:
            inputs = build.inputs
            if inputs is not None:
                inputs.warn(f"{chosen} over {dataset_id}")
            for keys, batch in predict_batches(stores, chosen, build.missing(), inputs=inputs, progress=progress):
                build.append(keys, batch.predicted, batch.confidence, batch.probabilities)
            made = build.finish(nodes=nodes, remarks=() if inputs is None else inputs.notes)
        warn_of_seen(stores, self.id, dataset_id)
        return self._set(made)

    def log_predictions(
        self,
        on: Dataset | str,
        predicted: Sequence[Any] | NDArray[Any] | None = None,
        *,
        images: Iterable[Image | str | int] | None = None,
        confidence: Sequence[float] | NDArray[Any] | None = None,
        probabilities: NDArray[Any] | None = None,
        classes: Sequence[Any] | None = None,
        task: str | None = None,
        input: Input | None = None,  # noqa: A002 - the users' word for it
        nodes: bool = True,
    ) -> PredictionSet:
        """Store predictions of another program. The same predictions again return the existing set.

        Args:
            on: The data set version that was predicted.
            predicted: The class (name, or index in ``classes``), list of classes, or number for each image; by default
                the most probable class.
            images: The images, their ids or keys; by default the whole data set, in its order (with or without deleted
                images, which get no prediction). Of inputs of several images: one image of each; by default all inputs,
                in the order in which the first image of each comes.
            confidence: A number between 0 and 1 for each image; by default the probability of the predicted class.
            probabilities: (images, classes), floats between 0 and 1. If an image has one true class, each row sums to
                1, with a tolerance of 0.01.
            classes: The order of the probabilities, and of the grades of an ordinal task; by default that of the model.
            task: A registered task; by default that of the model, or else it is inferred from the labels.
            input: What a prediction is of, such as ``og.Input.stack()``; by default what the model takes, or else one
                image.
            nodes: Also write a (:Prediction) node for each image, for lineage in Cypher.

        Raises:
            DataError: A confidence or a probability is NaN or not between 0 and 1, an image is not a member, or a
                prediction is missing.
            ShapeError: Columns have different lengths.

        If another class is more probable than the predicted one, or a confidence is not its probability, you get a
        `DataWarning`, which `PredictionSet.warnings` keeps.
        """
        refuse_unordered("images", images)
        return self._set(
            import_predictions(
                self._stores,
                self.id,
                self._dataset(on),
                None if images is None else keys_of_images(self._session, images),
                predicted,
                confidence=confidence,
                probabilities=probabilities,
                classes=classes,
                task=task,
                input=input,
                nodes=nodes,
            )
        )

    def _set(self, id_: str) -> PredictionSet:
        stored: PredictionSet = class_of("PredictionSet")(self._session, id_)
        return stored

    def _dataset(self, dataset: Any) -> str:
        return self._session.ask(resolve, dataset)
