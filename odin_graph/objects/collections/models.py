"""The models of a workspace: ``db.models``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from odin_graph.catalog.inputs.input import Input
from odin_graph.catalog.models.models import add_model, model_of, revise_model
from odin_graph.objects.query.collection import Collection
from odin_graph.objects.things.model import Model
from odin_graph.schema.tasks import reading

if TYPE_CHECKING:
    import torch

    from odin_graph.ops import ImageOp, Pipeline


class Models(Collection[Model]):
    """The models of a workspace: ``db.models``."""

    KIND = "Model"

    def add(
        self,
        id: str,  # noqa: A002 - the users' word for it
        factory: str | Callable[..., Any] | torch.nn.Module | Any,
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        preprocess: Pipeline | Iterable[ImageOp | str | Mapping[str, Any]] = (),
        classes: Sequence[str | int | bool] | None = None,
        task: str | None = None,
        input: Input | None = None,  # noqa: A002 - the users' word for it
        input_shape: Sequence[int] | None = None,
        revise: bool = False,
        **metadata: Any,
    ) -> Model:
        """Store everything to build and run a model again. The same model again returns the existing one.

        A model that is no torch module predicts and embeds by its one layer, ``output``. It has no gradients and no
        other layers, and its checkpoints have no weights: ``run.add_checkpoint()``.

        Args:
            id: The id of the model.
            factory: A class or function that returns a module, or its name, ``"package.module:name"``. If it is defined
                in this notebook or script, its source is stored, with what it uses. A module itself is stored as an
                exported program, which can be run but not trained: better give its class and arguments. Instead of a
                module it may return a function of float32 arrays (n, bands, height, width), which gives (n, ...): the
                logits of classes, or numbers. Or a model of a format that is installed: an ``.onnx`` file, or a fitted
                estimator of scikit-learn, which sees each image as a row, in the order (height, width, bands).
            args: The arguments of the factory; they must be JSON values.
            kwargs: The keyword arguments of the factory.
            preprocess: The image operations that turn pixels into its input, in order.
            classes: The names or numbers of the classes, in the order of its outputs; by default those that an
                estimator was fitted to.
            task: The meaning of the outputs; by default ``multi-class`` if classes are given.
            input: What one input is: by default one image. ``og.Input.stack(size=32)`` is a volume or a video,
                ``og.Input.group("PatientID", order="eye")`` several images of a patient.
            input_shape: The shape of one input after preprocessing: (bands, height, width), or as the layout of `input`
                says. With it, the shapes of all layers are found, and the outputs are checked against the classes. An
                ``.onnx`` file mostly states it itself.
            revise: If another model has the id, store this one as its next version, ``ID@2``, a REVISION_OF the one
                before. A version that exists is returned. The id without a version stays the first version.
            metadata: Your own metadata. You can use it in queries.

        Raises:
            ModelError: The model cannot be stored or built. The message says what to do instead.
            ShapeError: The model does not accept the input, or its outputs do not match the classes.
            ConflictError: Another model has the id, and ``revise`` is false.
        """
        from odin_graph.runtime.models.describe import describe

        record = describe(
            self._stores,
            id,
            factory,
            args=args,
            kwargs=kwargs,
            preprocess=preprocess,
            classes=reading.classes_in_order(classes),
            task=task,
            input=input,
            input_shape=input_shape,
        )
        if revise:
            return Model(self._session, revise_model(self._stores, record, metadata))
        add_model(self._stores, record, metadata)
        return Model(self._session, id)

    def __getitem__(self, id: str) -> Model:  # noqa: A002
        self._session.ask(model_of, id)
        return Model(self._session, id)
