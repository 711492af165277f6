"""Data set versions, and the collection ``db.datasets``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.analysis.judging import Verdicts, verdicts
from odin_graph.arguments import read_path
from odin_graph.catalog.datasets import datasets as catalog
from odin_graph.catalog.datasets import exchange
from odin_graph.catalog.datasets.datasets import Derivation
from odin_graph.catalog.datasets.versions import labels_array, members_of
from odin_graph.catalog.records.tombstones import deleted_members
from odin_graph.client import Session
from odin_graph.errors import DataError
from odin_graph.objects.base.readable import readable
from odin_graph.objects.base.verbs import Verbs
from odin_graph.objects.base.which_images import keys_of_images
from odin_graph.objects.query.collection import Collection
from odin_graph.objects.query.query import Query
from odin_graph.objects.things.dataset_ops import DatasetOps
from odin_graph.objects.things.draft import Draft
from odin_graph.query.plan.plan import Members, Plan
from odin_graph.schema.metadata import decode
from odin_graph.schema.reserved import reserved
from odin_graph.schema.several import in_order, refuse_unordered

if TYPE_CHECKING:
    import pandas as pd

    from odin_graph.objects.things.image import Image

_SHOWN_CLASSES = 12
_SHOWN_SETS = 40


@dataclass(frozen=True, repr=False)
class Dataset(DatasetOps, Verbs):
    """One version of a data set: images in an order, with the labels that they had. It never changes.

    It is a query of those of its images that were not deleted since: ``dataset.where(...)``, ``dataset[0]``.
    """

    KIND = "Dataset"
    _session: Session
    id: str
    """The id with the version: ``mnist@1``."""

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        gone = f", {number:,} of them deleted since" if (number := len(self.deleted_members())) else ""
        return f"Dataset({self.id!r}: {self.size:,} images{gone}{self._classes_line()}, digest {self.digest[:12]})"

    def _repr_html_(self) -> str:
        counts = self.label_counts()
        rows = "".join(
            f"<tr><td>{escape(str(label))}</td><td align='right'>{n:,}</td></tr>"
            for label, n in list(counts.items())[:_SHOWN_CLASSES]
        )
        more = (
            f"<tr><td colspan='2'>and {len(counts) - _SHOWN_CLASSES} more</td></tr>"
            if len(counts) > _SHOWN_CLASSES
            else ""
        )
        head = f"<b>{escape(self.id)}</b>: {self.size:,} images, digest <code>{self.digest[:12]}</code>"
        return f"{head}<table>{rows}{more}</table>"

    @property
    def base(self) -> str:
        """The id without the version."""
        return str(self._record["base"])

    @property
    def version(self) -> int:
        """1, 2, 3 ..."""
        return int(self._record["version"])

    @property
    def size(self) -> int:
        """The number of images that it froze. ``len`` is the number of those that were not deleted since."""
        return int(self._record["size"])

    @property
    def digest(self) -> str:
        """SHA-256 over (image digest, label) in order, hexadecimal."""
        return str(self._record["digest"])

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the version."""
        ours = set(reserved("Dataset"))
        return {name: decode(value) for name, value in self._record.items() if name not in ours}

    @property
    def labels(self) -> list[Any]:
        """The labels, in the order of the data set; None for each image if the data set has no labels."""
        labels: list[Any] = self._session.ask(members_of, self.id).column("label").to_pylist()
        return labels

    @property
    def classes(self) -> list[Any]:
        """The distinct labels, sorted; for multi-label data, the labels inside the lists."""
        return sorted(self.label_counts())

    def deleted_members(self) -> list[str]:
        """The ids of its members that were deleted since. They keep their place, but are not shown."""
        return sorted(self._session.ask(deleted_members, self.id).values())

    def label_counts(self) -> dict[Any, int]:
        """The number of images with each label."""
        flat = (
            item
            for label in self.labels
            if label is not None
            for item in (label if isinstance(label, list) else [label])
        )
        return dict(sorted(Counter(flat).items()))

    def image_keys(self, *, deleted: bool = False) -> NDArray[np.int64]:
        """The keys of its images, for calls that take images."""
        if not deleted:
            return self.keys()
        keys: NDArray[np.int64] = self._session.ask(members_of, self.id).column("key").to_numpy()
        return keys

    def images(self) -> Query:
        """Its images, as a query."""
        return Query(self._session.address, Plan(Members(self.id)))

    def test_uses(self) -> Verdicts:
        """All experiments that used the data set as ``test``, in any version, and experiments that descend from them.

        An experiment that descends from one that had seen these results was tuned on the test set. So was an
        experiment that chose its best checkpoint by the test set.
        """
        return self._session.ask(verdicts, self.base)

    def _classes_line(self) -> str:
        if (field := self._record.get("label_field")) is None:
            return ", no labels"
        number = len(self.classes)
        return (
            f", {number} classes of {field!r}"
            if number <= max(_SHOWN_CLASSES, self.size // 2)
            else f", labels {field!r}"
        )

    def _forget(self) -> None:
        self.__dict__.pop("_cached_record", None)

    @property
    def _record(self) -> Mapping[str, Any]:
        cached = self.__dict__.get("_cached_record")
        if cached is None:
            # Frozen, so it is read once.
            cached = self.__dict__["_cached_record"] = self._session.ask(catalog.record_of, self.id)
        record: Mapping[str, Any] = cached
        return record


class Datasets(Collection[Dataset]):
    """The data sets of a workspace: ``db.datasets``."""

    KIND = "Dataset"

    def add(
        self,
        id: str,  # noqa: A002 - the users' word for it
        images: Query | Dataset | Draft | Iterable[Image | str | int],
        *,
        label: str | None = "label",
        labels: Sequence[Any] | None = None,
        revise: bool = False,
        **metadata: Any,
    ) -> Dataset:
        """Freeze images and their labels under an id. The same content again returns the existing version.

        Args:
            id: The id, without a version; the first version is ``ID@1``.
            images: A query (its order is kept), a draft, or images, their ids or keys.
            label: The field that contains the true labels; None for a data set without labels.
            labels: The labels themselves, one for each image, instead of a field.
            revise: Make the next version if the id exists with other content.
            metadata: Metadata of the version.

        Raises:
            FrozenError: The id exists with other content.
            DataError: An image is given twice, does not exist, or has no label.
        """
        catalog.check_base(id)
        if label is not None and not isinstance(label, str):
            raise DataError(
                f"label={label!r:.80} is not the name of a field: give one, or None for a data set without labels."
            )
        query = images.images() if isinstance(images, Dataset) else images
        given: Any
        derived: Derivation | None = None
        if isinstance(query, Draft):
            keys, label = query.members.keys, query.label
            given = None if label is None else query.labels if labels is None else labels
            derived = Derivation(query.origin, query.origin.get("dataset"))
        elif isinstance(query, Query):
            frozen = query.plan.dataset is not None and label == "label" and labels is None
            table = query.to_arrow("label") if frozen else query.run()
            keys = table.column("key").to_numpy()
            given = table.column("label").combine_chunks() if frozen else labels
            derived = Derivation(query.to_json(), query.plan.dataset)
        else:
            if labels is not None:
                refuse_unordered("images", query)
            keys, given = keys_of_images(self._session, query), labels
        made = catalog.create_dataset(
            self._stores,
            id,
            keys,
            label=label,
            labels=None if given is None else _as_labels(given, len(keys)),
            derived=derived,
            revise=revise,
            metadata=metadata,
        )
        return Dataset(self._session, made)

    def load(
        self,
        path: str | os.PathLike[str],
        *,
        id: str | None = None,  # noqa: A002
        progress: bool = True,
    ) -> Dataset:
        """Load what `Dataset.export` wrote: its images, and a version with the same digest.

        Args:
            path: The folder.
            id: A new id; by default the id that it had.
            progress: Show a progress bar.

        Raises:
            DataError: The folder is not an exported data set.
            StoreError: The content does not match its digest. No data set is made.
        """
        return Dataset(self._session, exchange.load(self._stores, read_path("path", path), id, progress=progress))

    def to_pandas(self) -> pd.DataFrame:
        """One row for each version: id, images, label field, time of freezing (UTC), digest, tags, and metadata."""
        frame = super().to_pandas().drop(columns=["base", "version"])
        tags = [", ".join(words) if words is not None else "" for words in frame.pop("tags")]
        frame.insert(1, "tags", tags)
        return frame

    def _ids_of(self, things: Iterable[Any]) -> list[Any]:
        return [self._session.ask(catalog.resolve, str(id_)) for id_ in super()._ids_of(things)]

    def __getitem__(self, id: str) -> Dataset:  # noqa: A002
        return Dataset(self._session, self._session.ask(catalog.resolve, id))

    def __contains__(self, id: object) -> bool:  # noqa: A002
        given = getattr(id, "id", id)
        return any(given in (version, version.rpartition("@")[0]) for version in self.ids())

    def __repr__(self) -> str:
        frame = self.to_pandas()
        if frame.empty:
            return "Datasets(none yet)"
        frame["digest"] = frame["digest"].str[:12]
        return str(frame.fillna("").to_string(index=False, max_rows=_SHOWN_SETS, justify="left"))

    def _repr_html_(self) -> str:
        frame = readable(self.to_pandas(), "Dataset")
        return str(frame.to_html(index=False, border=0, na_rep="", max_rows=_SHOWN_SETS))


def _as_labels(labels: Any, number: int) -> pa.Array:
    values = labels.to_pylist() if isinstance(labels, pa.ChunkedArray) else labels
    given = values if isinstance(values, pa.Array) else in_order("labels", values)
    given = given if isinstance(given, pa.Array | np.ndarray) else list(given)
    if len(given) != number:
        raise DataError(f"There are {number} images and {len(given)} labels: give one for each image.")
    return given if isinstance(given, pa.Array) else labels_array(given)
