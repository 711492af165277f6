"""The steps of a query of any rows, and the steps of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import pyarrow as pa

from odin_graph.deadline import deadline
from odin_graph.errors import QueryError
from odin_graph.frames import frame_of
from odin_graph.objects.base.has_images import HasImages
from odin_graph.objects.query.groups import Grouping, Groups
from odin_graph.objects.query.steps import Steps, wanted_columns
from odin_graph.query.expressions.expressions import Expr
from odin_graph.query.names.cypher_source import read_parameters
from odin_graph.query.names.examples import read_examples
from odin_graph.query.names.spaces import space_of
from odin_graph.query.plan.registered_step import RegisteredStep, named
from odin_graph.query.plan.steps.combine import Combine
from odin_graph.query.plan.steps.from_vectors import FromVectors
from odin_graph.query.plan.steps.nearest import Nearest
from odin_graph.query.plan.steps.representative import Representative
from odin_graph.query.plan.steps.sample import Sample
from odin_graph.query.units.units import as_weights

if TYPE_CHECKING:
    import pandas as pd


class RowSteps(Steps):
    """The steps that work on things with an id, but not on groups."""

    def ids(self) -> list[str]:
        """The ids, in order."""
        ids: list[str] = self.to_arrow("id").column("id").to_pylist()
        return ids

    def to_arrow(self, /, *names: str, timeout: float | None = None, **columns: Expr) -> pa.Table:
        """The rows as an Arrow table: key (of images), id, the other fields, and the columns that steps added.

        Args:
            names: The fields to return; by default all stored fields. Computed fields (``results.f1``) must be named.
            timeout: Seconds after which the query is stopped, also in the engine.
            columns: More columns: ``to_arrow("id", predicted=exp.predicted)``.

        Raises:
            TimeLimitError: It took longer than ``timeout``.
        """
        with deadline(timeout):
            return pa.Table.from_batches(self._executor.columns(self.plan, wanted_columns(names, columns)))

    def to_pandas(self, /, *names: str, timeout: float | None = None, **columns: Expr) -> pd.DataFrame:
        """The same as `to_arrow`, as a DataFrame."""
        return frame_of(self.to_arrow(*names, timeout=timeout, **columns))

    def __contains__(self, id: object) -> bool:  # noqa: A002 - the users' word for it
        id = getattr(id, "id", id)  # noqa: A001
        return isinstance(id, str) and self.where(id=id).count() > 0

    def sample(self, k: int, seed: int = 0) -> Self:
        """Draw k images at random. They keep their order.

        The sample depends on the images and the seed, not on the order of the images. If images are added, the sample
        with the same seed keeps its images, except those that a new image replaces.
        """
        return self._then(Sample(k, seed))

    def union(self, other: Steps | HasImages) -> Self:
        """These images, then those of another query, each once. Of two data sets, ``F("label")`` is today's label."""
        return self._combined("union", other)

    def intersection(self, other: Steps | HasImages) -> Self:
        """The images that are also in another query, each once."""
        return self._combined("intersection", other)

    def difference(self, other: Steps | HasImages) -> Self:
        """The images that are not in another query, each once."""
        return self._combined("difference", other)

    def __or__(self, other: Steps | HasImages) -> Self:
        """The same as `union`."""
        return self.union(other)

    def __and__(self, other: Steps | HasImages) -> Self:
        """The same as `intersection`."""
        return self.intersection(other)

    def __sub__(self, other: Steps | HasImages) -> Self:
        """The same as `difference`."""
        return self.difference(other)

    def __xor__(self, other: Steps | HasImages) -> Self:
        """What is in exactly one of the two."""
        union = self.union(other)
        return union.difference(self.intersection(other))

    def _combined(self, how: Literal["union", "intersection", "difference"], other: Steps | HasImages) -> Self:
        other = other.images() if isinstance(other, HasImages) else other
        if not isinstance(other, type(self)):
            rows = "images" if self.plan.kind == "Image" else f"{self.plan.kind}s"
            raise QueryError(f"{how}() takes another query of {rows}, not {other!r:.80}.")
        if not self.address.leads_to_same(other.address):
            raise QueryError(f"{how}() takes a query of the same workspace: {other.address} is another one.")
        return self._then(Combine(how, other.plan))

    def group_by(self, /, *keys: str | Expr, **named: Expr) -> Grouping:
        """Group the rows: ``group_by("label", decade=fn.floor(F("age") / 10)).agg(n=og.count())``.

        Args:
            keys: Names of fields, or expressions of one field.
            named: Other expressions, with the names of their columns. Without any argument there is one group.
        """
        return Grouping(self, keys, named)

    def agg(self, /, **aggregates: Expr) -> Groups:
        """One row of aggregates over all rows; see `Grouping.agg`."""
        return self.group_by().agg(**aggregates)


class ImageSteps(RowSteps):
    """The steps of images."""

    def apply_step(self, name: str, /, *values: Any, **parameters: Any) -> Self:
        """A step that a package adds, by its name: ``apply_step("keep-every", n=2)`` is ``keep_every(n=2)``.

        Args:
            name: Of a registered `odin_graph.query.plan.registered_step.QueryStep`.
            values: Its parameters in their order.
            parameters: Its parameters by name.
        """
        given = named(name, values, parameters) if values else parameters
        return self._then(RegisteredStep(name, read_parameters(given)))

    def nearest(
        self,
        to: Any,
        *,
        by: Any,
        k: int,
        unlike: Any = (),
        metric: str = "cosine",
        recall: float | None = None,
        weights: Sequence[float] | None = None,
    ) -> Self:
        """Find exactly the k nearest of the images that passed the earlier steps, the nearest first.

        Args:
            to: An image or its id; a vector; or an image that is not stored: a `pathlib.Path`, the bytes of a file, a
                PIL image, or pixels (h, w) or (h, w, bands). The model of the layer runs on such an image. With a list
                of these, the search uses their mean. A stored image is never its own neighbor.
            by: A layer of an experiment (missing vectors are computed); or your own vectors, ``db.vectors["clip"]``
                (only images that have one are searched); or units of a layer, ``layer.units[[3, 17]]``.
            k: The number of neighbors; fewer only if there are fewer images.
            unlike: Examples that the results should not resemble (Rocchio's rule).
            metric: ``cosine``, ``l2`` or ``inner-product``. For units ``cosine``, ``l2``, ``l1`` or ``linf``. The
                column ``distance`` contains the distance.
            recall: The share of the k nearest that is enough on average, for example ``0.95``. Then an index may be
                used. It is built once there were enough such searches to pay for it. `explain` shows what was done.
            weights: For units: the weight of each unit, at least 0.
        """
        space, executor = space_of(by), self._executor
        like, other = (executor.examples(read_examples(examples), space) for examples in (to, unlike))
        unit_weights = None if weights is None else as_weights(weights)
        return self._then(Nearest(space, k, like, other, metric, recall, unit_weights))

    def cluster(self, *, by: Any, k: int, seed: int = 0, metric: str = "cosine", name: str = "cluster") -> Self:
        """Group these images into k clusters of similar vectors. A column contains the cluster, 0 for the largest.

        Args:
            by: A layer or your own vectors; see `nearest`.
            k: The number of clusters; fewer only if there are fewer different vectors.
            seed: The seed of the first centers.
            metric: ``cosine`` or ``l2``.
            name: The name of the column: ``query.cluster(by=layer, k=8).where(F("cluster") == 3)``.
        """
        return self._then(FromVectors("clusters", space_of(by), name, k=k, seed=seed, metric=metric))

    def near_duplicates(
        self, *, by: Any, within: float = 0.02, metric: str = "cosine", name: str = "duplicates"
    ) -> Self:
        """Number the groups of nearly equal images, 0 for the largest. The number is missing for all other images.

        Two images are in one group if a chain of images connects them, in which each distance is at most ``within``.
        ``query.near_duplicates(by=layer).where(F("duplicates").is_null())`` keeps the images without duplicates.

        Args:
            by: A layer or your own vectors; see `nearest`.
            within: The largest distance of two neighbors in a chain.
            metric: ``cosine`` or ``l2``.
            name: The name of the column.
        """
        return self._then(FromVectors("near-duplicates", space_of(by), name, within=within, metric=metric))

    def outliers(self, *, by: Any, k: int = 20, metric: str = "cosine", name: str = "outlier") -> Self:
        """Score how isolated each image is, compared with its k nearest: 1 is normal, 2 is an outlier.

        This is the local outlier factor of Breunig, Kriegel, Ng and Sander (2000).

        Args:
            by: A layer or your own vectors; see `nearest`.
            k: The number of neighbors that each image is compared with.
            metric: ``cosine`` or ``l2``.
            name: The name of the column.
        """
        return self._then(FromVectors("outliers", space_of(by), name, k=k, metric=metric))

    def uniqueness(self, *, by: Any, metric: str = "cosine", name: str = "uniqueness") -> Self:
        """Add the distance of each image to its nearest other image: 0 for a copy.

        Args:
            by: A layer or your own vectors; see `nearest`.
            metric: ``cosine`` or ``l2``.
            name: The name of the column.
        """
        return self._then(FromVectors("uniqueness", space_of(by), name, metric=metric))

    def representative(self, k: int, *, by: Any, seed: int = 0, method: str = "facility-location") -> Self:
        """Select at most k images that represent these. The column ``stands_for`` says how many each one represents.

        If the layer's experiment has predictions for the data set, the images are selected within each confused pair
        (truth, predicted), in proportion to the size of the pair. The result is deterministic.

        Args:
            k: The number of images.
            by: A layer of an experiment, or your own vectors, which define what is similar; see `nearest`.
            seed: The seed of everything random in the method. For more than 4,096 images, facility location estimates
                from a sample what each image would add.
            method: A registered selection method.
        """
        return self._then(Representative(space_of(by), k, seed, method))
