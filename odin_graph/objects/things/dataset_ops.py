"""Methods of a data set version: next versions, comparisons, splits, samples, export. None of them changes it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.arguments import read_path, whole
from odin_graph.catalog.datasets import datasets as catalog
from odin_graph.catalog.datasets import exchange, versions
from odin_graph.catalog.datasets import verify as checks
from odin_graph.catalog.datasets.datasets import Derivation
from odin_graph.catalog.datasets.verify import Verified
from odin_graph.catalog.datasets.versions import Diff, Members, labels_array
from odin_graph.client import Session
from odin_graph.errors import DataError, QueryError
from odin_graph.ingest.sampling import sample_positions
from odin_graph.ingest.split import check_fractions
from odin_graph.objects.base.class_table import class_of
from odin_graph.objects.base.which_images import keys_of_images
from odin_graph.objects.query.query import Query
from odin_graph.objects.things import splitting
from odin_graph.objects.things.draft import Draft, LabeledSet
from odin_graph.query.plan import wire
from odin_graph.served import served
from odin_graph.stores import Stores

if TYPE_CHECKING:
    from odin_graph.objects.things.dataset import Dataset


class DatasetOps(LabeledSet):
    """Mixed into `Dataset`."""

    id: str

    if TYPE_CHECKING:

        @property
        def base(self) -> str:
            """The id without the version."""

        @property
        def _record(self) -> Mapping[str, Any]: ...

        def images(self) -> Query:
            """Its images, as a query."""

    def revise(
        self,
        *,
        add: Any = (),
        remove: Any = (),
        relabel: Mapping[Any, Any] | None = None,
        labels: Sequence[Any] | None = None,
        **metadata: Any,
    ) -> Dataset:
        """Make the next version, a REVISION_OF this one. It leaves out images deleted since. This one does not change.

        Args:
            add: Images to append: a query, images, their ids or keys.
            remove: Members to leave out.
            relabel: New labels by image, id or key: ``{"scan-7": "DME"}``.
            labels: The labels of the added images; by default the values of the label field today.
            metadata: Metadata of the new version.

        Raises:
            DataError: An image to remove or relabel is not a member, or an image to add is one already.
        """
        added = _keys(self._session, add).tolist()
        if labels is not None and len(labels) != len(added):
            raise DataError(f"{len(added)} images are added, but {len(labels)} labels given: give one for each.")
        field = self._record.get("label_field")
        known = labels if labels is not None else _today(self._stores, added, field)
        new_labels = relabel or {}
        changed = versions.revised(
            Members.alive(self._stores, self.id),
            add=dict(zip(added, known, strict=True)),
            remove=_keys(self._session, remove).tolist(),
            relabel=dict(zip(_keys(self._session, new_labels).tolist(), new_labels.values(), strict=True)),
        )
        made = catalog.create_dataset(
            self._stores,
            self.base,
            changed.keys,
            label=field,
            labels=None if field is None else labels_array(changed.labels),
            revise=True,
            revises=self.id,
            metadata=metadata,
        )
        return self._at(made)

    def diff(self, other: Dataset | str) -> Diff:
        """The changes from this version to another: added, removed and relabeled images."""
        target = self._other(other)
        return self._session.ask(versions.diff_of, self.id, target.id)

    def today(self) -> Diff:
        """The changes if its query ran today, with the labels of today: added, removed and relabeled images.

        Raises:
            QueryError: The data set was not made by a query.
        """
        return self._session.ask(_diff_of_today, self.id)

    def split(
        self,
        fractions: Mapping[str, float],
        *,
        stratify: str | None = None,
        group_by: str | None = None,
        time: str | None = None,
        seed: int = 0,
        revise: bool = False,
        redraw: bool = False,
    ) -> dict[str, Dataset]:
        """Split into data sets ``ID/PART``, each DERIVED_FROM this one, with its frozen labels.

        If shares or classes differ from what you asked for, you get a `SplitWarning`, which ``dataset.warnings`` keeps.

        Args:
            fractions: The parts and their shares, which sum to 1: ``{"train": 0.8, "test": 0.2}``.
            stratify: A field whose values keep their proportions in each part, usually ``"label"``.
            group_by: A field such as the patient: all images with the same value go into one part.
            time: A field that orders the images: the first part gets the oldest images, the last part the newest.
                Images of the same time stay together. Nothing is random then.
            seed: The same seed gives the same split.
            revise: Make next versions if the parts exist with other images. Images and groups stay in their part. Only
                new images are distributed, and images that are gone are dropped.
            redraw: Make next versions, and draw everything again, so images change parts. A model that was trained on
                an earlier version may then have seen images of the new test part.

        Raises:
            UnknownNameError: The field does not exist.
            DataError: The groups or the times cannot be split in this way.
        """
        check_fractions(fractions)
        options = {"fractions": dict(fractions), "stratify": stratify, "group_by": group_by, "time": time, "seed": seed}
        bases = {part: f"{self.base}/{part}" for part in fractions}
        keep = bases if revise and not redraw else None
        other = splitting.changed(self._stores, next(iter(bases.values()), ""), options) if keep else []
        parts, missed = splitting.deal(
            self, fractions, keep, stratify=stratify, group_by=group_by, time=time, seed=seed
        )
        made = {
            part: self._part(bases[part], positions, {**options, "part": part}, revise=revise or redraw)
            for part, positions in parts.items()
        }
        splitting.warn_of_split(self._stores, [self.id, *(part.id for part in made.values())], [*other, *missed])
        return made

    def kfold(
        self,
        k: int,
        *,
        stratify: str | None = None,
        group_by: str | None = None,
        seed: int = 0,
        revise: bool = False,
        redraw: bool = False,
    ) -> list[dict[str, Dataset]]:
        """Split into k folds: data sets ``ID/fold-N/train`` and ``ID/fold-N/test``; each image is tested once.

        Args:
            k: The number of folds, 2 or more.
            stratify: A field whose values keep their proportions.
            group_by: A field: all images with the same value stay together.
            seed: The same seed gives the same folds.
            revise: Make next versions if they exist with other images. As in `split`, each image stays in its fold.
            redraw: Make next versions, and draw everything again.

        Raises:
            DataError: Fewer than 2 folds, a number that differs from the existing one without ``redraw``, or too few
                groups.
        """
        if (number := whole(k)) is None or number < 2:
            raise DataError(f"{k!r:.80} is not a number of folds: give 2 or more.")
        if k > (number := len(Members.alive(self._stores, self.id))):
            raise DataError(f"{number:,} images cannot be split into {k:,} folds: give {number:,} or less.")
        equal = {str(fold): 1 / k for fold in range(1, k + 1)}
        options = {"folds": k, "stratify": stratify, "group_by": group_by, "seed": seed}
        keep = {fold: f"{self.base}/fold-{fold}/test" for fold in equal} if revise and not redraw else None
        other = splitting.changed(self._stores, keep["1"], options) if keep else []
        parts, missed = splitting.deal(self, equal, keep, stratify=stratify, group_by=group_by, seed=seed, folds=True)
        every = np.arange(len(Members.alive(self._stores, self.id)))
        folds = []
        for fold, tested in parts.items():
            fold_options = {**options, "fold": int(fold)}
            chosen = {"train": np.setdiff1d(every, tested), "test": tested}
            folds.append(
                {
                    role: self._part(
                        f"{self.base}/fold-{fold}/{role}", at, {**fold_options, "part": role}, revise=revise or redraw
                    )
                    for role, at in chosen.items()
                }
            )
        splitting.warn_of_split(
            self._stores, [self.id, *(part.id for fold in folds for part in fold.values())], [*other, *missed]
        )
        return folds

    def sample(
        self,
        k: int,
        *,
        balanced: str | None = None,
        weights: str | Mapping[Any, float] | None = None,
        group_by: str = "label",
        seed: int = 0,
    ) -> Draft:
        """Draw random images, each at most once, in the order of the data set. `Datasets.add` freezes them.

        Args:
            k: The number of images.
            balanced: A field: the same number of images is drawn for each of its values.
            weights: How likely an image is drawn: a field of positive numbers, or a number for each value of
                ``group_by``.
            group_by: The field whose values are the keys of ``weights``.
            seed: The same seed draws the same images.

        Raises:
            DataError: There are too few images, or a weight is missing or not positive.
        """
        members = self._session.ask(versions.alive_members, self.id)
        chances: list[Any] | None = None
        if isinstance(weights, str):
            chances = self._field(weights)
        elif weights is not None:
            chances = [weights.get(value) for value in self._field(group_by)]
        positions = sample_positions(
            len(members),
            k,
            balanced=None if balanced is None else self._field(balanced),
            weights=chances,
            ids=self._field("id"),
            seed=seed,
        )
        details = {"k": k, "balanced": balanced, "weights": weights, "seed": seed}
        return self._draft(members.take(positions), "sample", **details)

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags, to find it with ``db.datasets.where(F("tags").has("gold"))``."""
        return tuple(self._record.get("tags") or ())

    def tag(self, *words: str) -> tuple[str, ...]:
        """Add tags to find it by, and return all its tags. Tags are not frozen."""
        return self._set_tags([*self.tags, *words])

    def untag(self, *words: str) -> tuple[str, ...]:
        """Remove tags."""
        return self._set_tags([word for word in self.tags if word not in words])

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings of splits of this data set, or of the split that made it."""
        return tuple(self._session.ask(catalog.warnings_of, self.id))

    def verify(self, other: Dataset | None = None, *, deep: bool = False, progress: bool = True) -> Verified:
        """Compute its digest again, or compare it with another version, of this or another workspace.

        Args:
            other: The other version; the answer is ``equal``, or the first difference.
            deep: Read every pixel again.
            progress: Show a progress bar while pixels are read.
        """
        if other is not None and not deep:
            theirs = other._session.ask(checks.rows_of, other.id)  # noqa: SLF001 - of this class
            return checks.compare((self.id, self._session.ask(checks.rows_of, self.id)), (other.id, theirs))
        verified = self._session.ask(checks.verify, self.id, deep=deep, progress=progress)
        return verified if other is None or not verified else self.verify(other)

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        format: exchange.Format = "parquet",  # noqa: A002 - the users' word for it
        progress: bool = True,
    ) -> Path:
        """Write it into a new folder, with everything that its digest covers. ``db.datasets.load(path)`` reads it.

        Args:
            path: The folder.
            format: ``parquet`` (one file), ``folder`` (class folders of PNG or .npy), or ``webdataset`` (tar files).
            progress: Show a progress bar.

        Raises:
            ConflictError: The folder is not empty.
        """
        folder = read_path("path", path)
        exchange.check_target(folder, format)
        rows = self._session.ask(exchange.manifest_of, self.id)
        exchange.export(rows, self._session.pixels, self.id, folder, format, progress=progress)
        return folder

    def _part(self, base: str, positions: NDArray[np.int64], options: dict[str, Any], *, revise: bool) -> Dataset:
        members = Members.alive(self._stores, self.id).take(positions)
        field = self._record.get("label_field")
        made = catalog.create_dataset(
            self._stores,
            base,
            members.keys,
            label=field,
            labels=None if field is None else labels_array(members.labels),
            derived=Derivation({"odin_split": 1, "dataset": self.id, **options}, self.id),
            revise=revise,
        )
        return self._at(made)

    def _draft(self, members: Members, op: str, **details: Any) -> Draft:
        given = {name: value for name, value in details.items() if value is not None}
        return Draft(
            self._session,
            members,
            self._record.get("label_field"),
            {"odin_draft": 1, "op": op, "dataset": self.id, **given},
        )

    @property
    def _content(self) -> tuple[str, str | None, str]:
        return self.id, self._record.get("label_field"), self.id

    def _at(self, id_: str) -> Dataset:
        dataset: Dataset = class_of("Dataset")(self._session, id_)
        return dataset

    def _other(self, other: Dataset | str) -> Dataset:
        if isinstance(other, str):
            return self._at(self._session.ask(catalog.resolve, other))
        if not isinstance(other, DatasetOps):
            raise QueryError(f"{other!r:.60} is not a data set: give db.datasets[id].")
        if self._session.address != other._session.address:  # noqa: SLF001 - of this class
            versions.check_same_workspace(self._stores, other._stores)  # noqa: SLF001 - of this class
        return other

    def _set_tags(self, words: Iterable[str]) -> tuple[str, ...]:
        kept = list(dict.fromkeys(words))
        if bad := [word for word in kept if not isinstance(word, str) or not word.strip()]:
            raise DataError(f"{bad[0]!r} is not a tag: give words that are not empty.")
        catalog.set_tags(self._stores, self.id, kept)
        self.__dict__.pop("_cached_record", None)
        return tuple(kept)

    def _field(self, name: str) -> list[Any]:
        """A field of each image, in the order of the data set."""
        values: list[Any] = self.images().to_arrow(name).column(name).to_pylist()
        return values


def _keys(session: Session, images: Any) -> NDArray[np.int64]:
    if isinstance(images, DatasetOps):  # deleted ones are members, too
        return keys_of_images(session, images, deleted=True)
    return keys_of_images(session, list(images) if isinstance(images, Mapping) else images)


@served
def _diff_of_today(stores: Stores, id: str) -> Diff:  # noqa: A002 - the users' word for it
    record = catalog.record_of(stores, id)
    stored = json.loads(record.get("query") or "null")
    if not stored or "odin_query" not in stored:
        raise QueryError(f"{id} was made from listed images or by a split, not by a query: no query can run again.")
    keys = Query(stores.address, wire.from_json(stored)).keys()
    now = Members(keys, tuple(_today(stores, keys.tolist(), record.get("label_field"))))
    return versions.diff(stores, (id, Members.of(stores, id)), ("today", now))


def _today(stores: Stores, keys: list[int], field: str | None) -> list[Any]:
    """The values that a field has today, of images."""
    if field is None or not keys:
        return [None] * len(keys)
    columns = stores.columns.images([field], np.array(keys, np.int64)).to_pydict()
    known = dict(zip(columns["key"], columns[field], strict=True))
    return [known.get(key) for key in keys]
