"""The `Workspace` that `og.connect` returns, which users call `db`. It delegates everything."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from itertools import chain
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from odin_graph.address import Remote
from odin_graph.analysis.compare import Comparison, compare
from odin_graph.analysis.impact import Impact, impact
from odin_graph.analysis.leaks import Leaks, leaks_by, named_rule
from odin_graph.analysis.seen import warn_of_seen
from odin_graph.arguments import read_path
from odin_graph.catalog.backup import BackupReport, back_up
from odin_graph.catalog.datasets.datasets import resolve
from odin_graph.catalog.doctor.deep import check_part, parts_of, read_again
from odin_graph.catalog.doctor.doctor import Report, examine, examined
from odin_graph.catalog.purge.gc import Collected, collect_garbage
from odin_graph.catalog.records.tombstones import deletions
from odin_graph.client import Link, RemoteSession, Session
from odin_graph.graph import Endpoint, Records, lend_to_neomodel
from odin_graph.graph.kinds import added_kinds
from odin_graph.objects.base.in_session import InSession
from odin_graph.objects.base.side import Side
from odin_graph.objects.collections.activations import ActivationSets
from odin_graph.objects.collections.checkpoints import Checkpoints
from odin_graph.objects.collections.fields import Fields
from odin_graph.objects.collections.images import Images
from odin_graph.objects.collections.labels import Labels
from odin_graph.objects.collections.models import Models
from odin_graph.objects.collections.predictions import PredictionSets
from odin_graph.objects.collections.stacks import Videos, Volumes
from odin_graph.objects.collections.storage import Storage
from odin_graph.objects.collections.tables import Tables, sql
from odin_graph.objects.collections.things import Things
from odin_graph.objects.collections.vectors import Vectors
from odin_graph.objects.collections.views import AnyQuery, Views, query_of
from odin_graph.objects.layers.layer import Layer
from odin_graph.objects.query.of_images import query_of_images
from odin_graph.objects.query.query import Query
from odin_graph.objects.things.dataset import Dataset, Datasets
from odin_graph.objects.things.experiment import Experiment, Experiments
from odin_graph.objects.things.image import Image
from odin_graph.objects.things.model import Model
from odin_graph.objects.things.run import Run
from odin_graph.query.expressions.expressions import Expr
from odin_graph.query.expressions.nodes import ImageField
from odin_graph.query.plan.plan import Plan
from odin_graph.query.plan.spaces import LayerOf
from odin_graph.schema.kinds import undeleted
from odin_graph.schema.several import is_several
from odin_graph.served import served
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from odin_graph.objects.things.checkpoint import Checkpoint


class Workspace(InSession):
    """One open workspace. Use it as a context manager, or `close` it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @classmethod
    def far(cls, address: Remote) -> Self:
        """The workspace that a server has open, once it has answered and let us in.

        Raises:
            UnreachableError: Nobody answers, or not a server of ours.
            LoginError: The server refuses the token.
        """
        link = Link.at(address)
        link.get("/v1/datasets", limit=1)
        return cls(RemoteSession(link))

    @property
    def images(self) -> Images:
        """All images: ``db.images()`` and ``db.images("dataset")`` are queries, ``db.images.add(...)`` stores."""
        return Images(self._session)

    def image(self, id: str) -> Image:  # noqa: A002 - the word that users know
        """One image by its id."""
        return self.images[id]

    @property
    def volumes(self) -> Volumes:
        """The volumes, whose slices are images: ``add(id, voxels)``, ``["scan-7"].slices()``."""
        return Volumes(self._session)

    @property
    def videos(self) -> Videos:
        """The videos, whose frames are images: ``add(id, frames)``, ``["surgery-3"].frames()``."""
        return Videos(self._session)

    @property
    def datasets(self) -> Datasets:
        """The data sets: ``add(id, images)``, ``["retina-test"]``, ``["retina-test@1"]``."""
        return Datasets(self._session)

    def dataset(self, id: str) -> Dataset:  # noqa: A002
        """One data set version by its id; an id without a version is the latest version."""
        return self.datasets[id]

    @property
    def models(self) -> Models:
        """The models: ``add(id, factory, ...)``, ``["vgg16-bn"]``."""
        return Models(self._session)

    def model(self, id: str) -> Model:  # noqa: A002
        """One model by its id."""
        return self.models[id]

    @property
    def experiments(self) -> Experiments:
        """The experiments, by id."""
        return Experiments(self._session)

    def experiment(self, id: str) -> Experiment:  # noqa: A002
        """One experiment by its id."""
        return self.experiments[id]

    @property
    def vectors(self) -> Vectors:
        """Vectors of your own: ``db.vectors.add("clip", images, vectors)``, then ``by=db.vectors["clip"]``."""
        return Vectors(self._session)

    @property
    def views(self) -> Views:
        """Saved queries: ``db.views.add("hard DME", query)`` saves one, ``db.views["hard DME"]`` returns it."""
        return Views(self._session)

    @property
    def checkpoints(self) -> Checkpoints:
        """The checkpoints, by id and by query."""
        return Checkpoints(self._session)

    @property
    def predictions(self) -> PredictionSets:
        """The prediction sets, by id."""
        return PredictionSets(self._session)

    @property
    def activations(self) -> ActivationSets:
        """The activation sets, by id."""
        return ActivationSets(self._session)

    @property
    def storage(self) -> Storage:
        """The disk space of activations: ``budget = "20 GB"``, ``pin(set)``, ``unpin(set)``, ``report()``."""
        return Storage(self._session)

    @property
    def labels(self) -> Labels:
        """Corrections of labels: ``update(images, label)``, ``history(image)``, ``stale()``."""
        return Labels(self._session)

    @property
    def fields(self) -> Fields:
        """The fields of free metadata with their types; ``retype("patientID", str)`` changes one."""
        return Fields(self._session)

    def things(self, kind: str) -> Things:
        """The things of a kind that a package adds: ``db.things("patient").add("ann", born=1960)``.

        Args:
            kind: The name of its entry point.

        Raises:
            UnknownNameError: Neither an installed package nor the workspace has such a kind.
        """
        return Things(self._session, kind)

    def run(
        self,
        model: Model | str | None = None,
        *,
        id: str | None = None,  # noqa: A002
        train: Dataset | str | None = None,
        validation: Dataset | str | None = None,
        test: Dataset | str | None = None,
        uses: Mapping[str, Dataset | str] | None = None,
        params: Mapping[str, Any] | None = None,
        seed: int | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        informed_by: Experiment | Checkpoint | str | None = None,
        strict: bool = False,
        resume: bool = False,
        **metadata: Any,
    ) -> Run:
        """Start an experiment, or continue the interrupted or failed one with that id. Also a context manager.

        Args:
            model: The model to train; None if the predictions come from another program.
            id: The id of the experiment; by default MODEL/N.
            train: The data set version to train on.
            validation: The data set version to tune on.
            test: The data set version to evaluate on.
            uses: Further data sets by role. You choose the names of the roles.
            params: Hyperparameters, stored as JSON.
            seed: The random seed, to be recorded.
            group: A name that several experiments share.
            tags: Words to find the experiment by.
            informed_by: The experiment that this one continues, for example by fine-tuning.
            strict: Refuse to start if data sets of two roles have images in common, by lineage or digest, and refuse
                loaders of images that the run is evaluated on. By default this gives a `LeakWarning`, which
                ``exp.known_leaks`` keeps.
            resume: Continue a finished experiment: new metrics are appended to the old ones.
            metadata: Your own metadata. You can use it in queries.

        Raises:
            LeakError: With ``strict``, data sets of two roles have images in common.
            ConflictError: The experiment with this id is finished and ``resume`` is false, or it has other content.
        """
        return Run.start(
            self._session,
            model,
            id=id,
            datasets={"train": train, "validation": validation, "test": test, **(uses or {})},
            params=params,
            seed=seed,
            group=group,
            tags=tags,
            informed_by=informed_by,
            metadata=metadata,
            strict=strict,
            resume=resume,
        )

    def leaks(
        self,
        train: Dataset | str,
        test: Dataset | str,
        *,
        rules: Sequence[Any] = ("lineage", "digest"),
        within: float | None = None,
    ) -> Leaks:
        """Find images that a test set and a training set have in common: a report, a table of pairs, and a picture.

        Args:
            train: The data set version to learn from; an id without a version is the latest version.
            test: The data set version to evaluate on.
            rules: Names of leak rules (``"lineage"``, ``"digest"``, ``"near"``, or a plug-in's), fields
                (``F("patientID")``), layers (``exp.layer("features")``: near by embedding), or functions of two sides,
                which run here: a side has ``keys``, ``fields("ra", "dec")``, ``ids(keys)`` and ``pixels``.
            within: The largest distance of near duplicates. For ``"near"`` it is the distance of the correlation of two
                small gray pictures from 1, in thousandths (3 by default). For a layer it is the cosine distance.

        Raises:
            UnknownNameError: The data set, rule or field does not exist.
        """
        first, second = (self._session.ask(resolve, dataset) for dataset in (train, test))
        rules = list(rules) if is_several(rules) else [rules]
        nodes: list[Any] = [rule.node if isinstance(rule, Layer | Expr) else rule for rule in rules]
        known = [node for node in nodes if isinstance(node, str | LayerOf | ImageField)]
        own: dict[str, Any] = dict(
            named_rule(node, within) for node in nodes if not isinstance(node, str | LayerOf | ImageField)
        )
        sides = Side(self._session, first), Side(self._session, second)
        found = self._session.ask(leaks_by, first, second, known, within) if known or not own else {}
        return Leaks(*sides, {**found, **{name: rule(*sides) for name, rule in own.items()}})

    def impact(self, images: Any) -> Impact:
        """Find everything to redo if these images, or their labels, are wrong: as a table and as a picture.

        These are derived images, data sets that contain any of them, experiments by role, checkpoints that learned from
        them, prediction sets and results.

        Args:
            images: A query, an image, or images, their ids or keys.
        """
        return self._session.ask(impact_of, query_of_images(self._session, images).plan)

    def compare(self, a: Experiment | str, b: Experiment | str, *, on: Dataset | str) -> Comparison:
        """Compare two experiments on a data set: both right, only one right, both wrong.

        Only images that both experiments predicted are compared. If these are not all labeled images, the comparison
        reports it, and you get a `CoverageWarning`.

        Args:
            a: An experiment, or its id.
            b: The other one.
            on: A data set that both have predictions for.
        """
        on_id = self._session.ask(resolve, on)
        first, second = (self.experiments[str(getattr(which, "id", which))].id for which in (a, b))
        found = self._session.ask(compare, first, second, on_id, warns=True)
        seen = [self._session.ask(warn_of_seen, id_, on_id) for id_ in dict.fromkeys((first, second))]
        return replace(found, seen=tuple(chain.from_iterable(seen)))

    def cypher(self, query: str, /, *, write: bool = False, timeout: float | None = None, **params: Any) -> Records:
        """Run a Cypher statement and return its records, which have ``.to_arrow()`` and ``.to_pandas()``.

        The engine allows only reading: a statement that writes is refused unless ``write`` is true.

        Args:
            query: The statement. Pass values as parameters, ``$age``. Never put them into the text.
            write: Run it in a write transaction.
            timeout: Seconds after which the engine stops the statement.
            params: The parameters.
        """
        if write:
            return self._stores.graph.user_write(query, params, timeout=timeout)
        return self._session.cypher(query, params, timeout)

    def query(self, data: dict[str, Any]) -> AnyQuery:
        """The query of a JSON object, of whatever its rows are, checked as if it were written here."""
        return query_of(self._session, data)

    @property
    def tables(self) -> Tables:
        """The four tables, as Arrow: ``images(dataset)``, ``models()``, ``experiments()``, ``per_image(exp)``."""
        return Tables(self._session)

    def sql(self, statement: str, /, *, timeout: float | None = None, **params: Any) -> pa.Table:
        """Run one SELECT on the tables ``images``, ``models``, ``experiments``, ``members`` and ``predictions``.

        DuckDB runs it on the columns, with scans and joins over millions of rows. It cannot read files, and changes
        nothing. ``predictions`` and ``members`` have the ``key`` of the image. ``members`` has the label that a version
        froze.

        Args:
            statement: One SELECT. Pass values as parameters, ``$age``. Never put them into the text.
            timeout: Seconds after which the statement is stopped.
            params: The parameters.

        Raises:
            ReadOnlyError: The statement is not a SELECT, or reads files.
            QueryError: The statement is refused; the message gives the reason.
        """
        return sql(self._session, statement, params, timeout)

    @property
    def bolt(self) -> Endpoint:
        """How other Bolt clients connect to the graph: address, database, and logins with their passwords."""
        return self._stores.graph.endpoint

    def orm(self) -> None:
        """Let neomodel use the connection of this workspace. neomodel has one connection for each process."""
        lend_to_neomodel(self._stores.graph)

    def deletions(self) -> pd.DataFrame:
        """All tombstones, the oldest first: kind, id, at (UTC), by, why, and whether the thing was purged."""
        import pandas as pd

        return pd.DataFrame(self._session.ask(deletions), columns=["kind", "id", "at", "who", "why", "purged"])

    def doctor(self, *, deep: bool = False, repair: bool = False, progress: bool = True) -> Report:
        """Check graph, arrays and indexes against each other. What it cannot check is a fault: it never raises.

        Args:
            deep: Also read every pixel and every file again, and compare digests.
            repair: First repair what can be made again from data stored elsewhere, such as prediction nodes from their
                columns, and report what was done.
            progress: Show a progress bar while it reads.
        """
        if repair:
            return examine(self._stores, deep=deep, repair=True, progress=progress)
        ask = self._session.ask
        report = ask(examined)
        faults = read_again(lambda: ask(parts_of), lambda part: ask(check_part, part), progress=progress)
        found = tuple(dict.fromkeys([*report.faults, *(faults if deep else ())]))
        return replace(report, workspace=str(self._session.address), faults=found)

    def gc(self, *, dry_run: bool = False) -> Collected:
        """Remove files that no live node names. Files under a live lease are kept."""
        return collect_garbage(self._stores, dry_run=dry_run)

    def backup(self, path: str | os.PathLike[str], *, progress: bool = True) -> BackupReport:
        """Copy the workspace into a new folder that is a workspace itself. Others may use the workspace meanwhile.

        The copy shows the workspace at one moment. If the call is interrupted, call it again: it continues.
        `og.restore` makes a workspace from the copy.

        Args:
            path: A folder that does not exist.
            progress: Show a progress bar.

        Raises:
            WorkspaceError: The folder exists, or the graph is a server, which has its own tools for backups.
            SpaceError: No space is left. The next call continues from what was copied.
        """
        return back_up(self._stores, read_path("path", path), progress=progress)

    def close(self) -> None:
        """Close the connections. The embedded engine stops a few seconds after its last user has closed."""
        self._session.close()

    def __enter__(self) -> Self:
        """The workspace itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        """The address and the counts: ``Workspace('retina.odin': 5,000 images, 3 datasets ...)``."""
        counts = ", ".join(f"{number:,} {name}" for name, number in self._counts().items())
        return f"Workspace('{self._session.address}': {counts})"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{name}</td><td align='right'>{n:,}</td></tr>" for name, n in self._counts().items())
        return f"<b>{escape(str(self._session.address))}</b><table>{rows}</table>"

    def _counts(self) -> dict[str, int]:
        return self._session.ask(_counts_of)


@served
def impact_of(stores: Stores, images: Plan) -> Impact:
    """What has to be redone if the images of a query are wrong."""
    return impact(stores, Query(stores.address, images).keys().tolist())


@served
def _counts_of(stores: Stores) -> dict[str, int]:
    kinds = {"images": "Image", "datasets": "Dataset", "models": "Model", "experiments": "Experiment"}
    kinds |= {kind.plural: label for label, kind in added_kinds(stores.graph).items()}
    return {
        name: stores.graph.read(f"MATCH (n:{label}) WHERE {undeleted()} RETURN count(n) AS n")[0]["n"]
        for name, label in kinds.items()
    }
