"""The steps that rows take, and those of images alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

from odin_graph.errors import QueryError
from odin_graph.objects.query.groups import Grouping, Groups
from odin_graph.objects.query.steps import Steps
from odin_graph.query.expressions.expressions import Expr
from odin_graph.query.names.examples import read_examples
from odin_graph.query.names.spaces import space_of
from odin_graph.query.plan.plan import (
    Combine,
    FromVectors,
    Nearest,
    Representative,
    Sample,
)
from odin_graph.query.units.units import as_weights


class RowSteps(Steps):
    """The steps that take things with an identity, and not groups of them."""

    def sample(self, n: int, seed: int = 0) -> Self:
        """So many of the images by chance, in the order they come in.

        Which they are depends on the images and the seed, not on their order; of more images the sample of the same
        seed keeps those that it had, except where a new one takes a place.
        """
        return self._then(Sample(n, seed))

    def union(self, other: Steps) -> Self:
        """These images and then those of another query, each once. Of two data sets ``F("label")`` is today's label."""
        return self._combined("union", other)

    def intersection(self, other: Steps) -> Self:
        """The images that another query has as well, each once."""
        return self._combined("intersection", other)

    def difference(self, other: Steps) -> Self:
        """The images that another query has not, each once."""
        return self._combined("difference", other)

    def _combined(self, how: Literal["union", "intersection", "difference"], other: Steps) -> Self:
        if not isinstance(other, type(self)):
            rows = "images" if self.plan.kind == "Image" else f"{self.plan.kind}s"
            raise QueryError(f"{how}() takes another query of {rows}, not {other!r:.80}.")
        if other.address != self.address:
            raise QueryError(f"{how}() takes a query of the same workspace: {other.address} is another one.")
        return self._then(Combine(how, other.plan))

    def group_by(self, *by: str | Expr, **named: Expr) -> Grouping:
        """Group the rows: ``group_by("label", decade=fn.floor(F("age") / 10)).agg(n=og.count())``.

        Args:
            by: Names of fields, or expressions of one field.
            named: Other expressions, with the names of their columns. With nothing at all there is one group.
        """
        return Grouping(self, by, named)

    def agg(self, **aggregates: Expr) -> Groups:
        """One row of aggregates over all; see `Grouping.agg`."""
        return self.group_by().agg(**aggregates)


class ImageSteps(RowSteps):
    """The steps that take images."""

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
        """The k nearest of these images, nearest first: exactly the k nearest that passed the steps so far.

        Args:
            to: An image or its id; a vector; an image that is not stored, as a `pathlib.Path`, the bytes of a file, a
                PIL image or pixels (h, w) or (h, w, bands), on which the layer's model is run; or a list of such, whose
                mean is searched with. A stored image is not among its neighbors.
            by: A layer of an experiment, whose vectors are computed where they are missing; or vectors of your own,
                ``db.vectors["clip"]``, of which those images are searched that have one; or units of a layer,
                ``layer.units[[3, 17]]``, by what was captured of them.
            k: How many; fewer only if fewer are there.
            unlike: Examples of what is not meant, which the search moves away from (Rocchio's rule).
            metric: ``cosine``, ``l2`` or ``inner-product``; by units ``cosine``, ``l2``, ``l1`` or ``linf``. The column
                ``distance`` holds it.
            recall: The share of the k nearest that is enough on average, ``0.95``: an index may be used then, which is
                built once there were so many such searches that it pays. `explain` says what was done.
            weights: By units: how much each counts, none below 0.
        """
        space, executor = space_of(by), self._executor
        like, other = (executor.examples(read_examples(given), space) for given in (to, unlike))
        held = None if weights is None else as_weights(weights)
        return self._then(Nearest(space, k, like, other, metric, recall, held))

    def cluster(self, *, by: Any, k: int, seed: int = 0, metric: str = "cosine", name: str = "cluster") -> Self:
        """Group these images into k clusters of alike vectors; the column says which, 0 for the largest.

        Args:
            by: A layer or vectors of your own; see `nearest`.
            k: How many; fewer only where fewer vectors differ.
            seed: For the first centers.
            metric: ``cosine`` or ``l2``.
            name: Of the column: ``query.cluster(by=layer, k=8).where(F("cluster") == 3)``.
        """
        return self._then(FromVectors("clusters", space_of(by), name, k=k, seed=seed, metric=metric))

    def near_duplicates(
        self, *, by: Any, within: float = 0.02, metric: str = "cosine", name: str = "duplicates"
    ) -> Self:
        """Number the groups of images that are nearly the same, 0 for the largest; missing for an image that is alone.

        Two images are of a group if a chain of images leads from one to the other, each ``within`` reach of the next.
        ``query.near_duplicates(by=layer).where(F("duplicates").is_null())`` leaves one's own only.
        """
        return self._then(FromVectors("near-duplicates", space_of(by), name, within=within, metric=metric))

    def outliers(self, *, by: Any, k: int = 20, metric: str = "cosine", name: str = "outlier") -> Self:
        """Score how much less dense it is around each image than around its k nearest: about 1 is usual, 2 is alone.

        The local outlier factor of Breunig, Kriegel, Ng and Sander (2000).
        """
        return self._then(FromVectors("outliers", space_of(by), name, k=k, metric=metric))

    def uniqueness(self, *, by: Any, metric: str = "cosine", name: str = "uniqueness") -> Self:
        """Add the distance of each image to the nearest other one of these: 0 for a copy."""
        return self._then(FromVectors("uniqueness", space_of(by), name, metric=metric))

    def representative(self, k: int, *, by: Any, seed: int = 0, method: str = "facility-location") -> Self:
        """At most k images that stand for these; the column ``stands_for`` says for how many each.

        Over a data set that the layer's experiment has predictions for, the images are chosen within each confused
        pair (truth, predicted), whose places are in proportion to its size. Deterministic.

        Args:
            k: How many.
            by: A layer of an experiment, whose vectors say what is alike, or vectors of your own; see `nearest`.
            seed: Draws the sample by which facility location estimates, of more than 4,096 images, what each would add;
                and whatever else a method draws by chance.
            method: A registered selection method.
        """
        return self._then(Representative(space_of(by), k, seed, method))
