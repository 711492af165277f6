"""scikit-learn: fitted classifiers and regressors, kept by skops, which does not pickle."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import MissingExtraError, ModelError
from odin_graph.runtime.models.formats.format import Facts, Inputs, ModelFormat, Outputs

_LEAST = float(np.finfo(np.float32).tiny)
"""The least probability that has a logarithm in single precision."""


class Sklearn(ModelFormat):
    """An estimator sees each image as one row, ``pixels.reshape(-1)`` of (height, width, bands), as `to_numpy` has it.

    The outputs of a classifier are the logarithms of its probabilities, or else its decision function. Those of a
    regressor are its predictions, and those of a transformer what it makes of an image.
    """

    packages: ClassVar[tuple[str, ...]] = ("scikit-learn", "skops")

    def accepts(self, model: object) -> bool:
        """Whether it is an estimator."""
        library = sys.modules.get("sklearn.base")
        return library is not None and isinstance(model, library.BaseEstimator)

    def facts(self, model: Any) -> Facts:
        """The classes of a classifier, or that it is a regressor."""
        from sklearn.base import is_regressor

        found = getattr(model, "classes_", None)
        classes = found.tolist() if isinstance(found, np.ndarray) else None
        return Facts(classes=classes, task="regression" if is_regressor(model) else None)

    def dump(self, model: Any) -> bytes:
        """The fitted estimator, as skops writes it.

        Raises:
            ModelError: It is not fitted, or of a type that skops does not store.
        """
        from sklearn.exceptions import NotFittedError
        from sklearn.utils.validation import check_is_fitted

        try:
            check_is_fitted(model)
        except (NotFittedError, TypeError) as error:
            raise ModelError(f"This {type(model).__name__} is not fitted: call its fit() first.") from error
        try:
            return bytes(_skops().dumps(model))
        except Exception as error:
            raise ModelError(f"This {type(model).__name__} cannot be stored by skops: {error}") from error

    def load(self, data: bytes) -> Callable[[Inputs], Outputs]:
        """The estimator as a function of images.

        Raises:
            ModelError: The installed scikit-learn does not load it.
        """
        skops = _skops()
        try:
            model = skops.loads(data, trusted=skops.get_untrusted_types(data=data))
        except Exception as error:
            raise ModelError(f"The stored estimator does not load: {type(error).__name__}: {error}") from error

        def run(images: Inputs) -> Outputs:
            # Of double precision, as whole numbers are fitted: some estimators take nothing else then.
            return _outputs(model, np.moveaxis(images, 1, -1).reshape(len(images), -1).astype(np.float64))

        return run


def _outputs(model: Any, rows: NDArray[np.float64]) -> Outputs:
    if hasattr(model, "predict_proba"):
        probabilities = model.predict_proba(rows)
        if isinstance(probabilities, list):  # several labels: of each the odds of its second class
            each = np.stack([of_one[:, 1] for of_one in probabilities], axis=1)
            return np.asarray(np.log(np.maximum(each, _LEAST)) - np.log(np.maximum(1 - each, _LEAST)))
        return np.asarray(np.log(np.maximum(probabilities, _LEAST)))
    if hasattr(model, "decision_function"):
        scores = np.asarray(model.decision_function(rows))
        return scores if scores.ndim > 1 else np.stack([-scores, scores], axis=1) / 2
    if hasattr(model, "predict"):
        return np.asarray(model.predict(rows))
    made = model.transform(rows)
    return np.asarray(made.toarray() if hasattr(made, "toarray") else made)


def _skops() -> Any:
    try:
        import skops.io
    except ImportError as error:
        raise MissingExtraError("Models of scikit-learn need skops: pip install 'odin-graph[sklearn]'.") from error
    return skops.io


SKLEARN = Sklearn()
