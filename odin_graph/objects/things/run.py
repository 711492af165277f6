"""A run: an experiment in progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from odin_graph.analysis import leaks
from odin_graph.analysis.choices import chosen_by_test, keep_choice
from odin_graph.analysis.leak_rules import SideOf
from odin_graph.analysis.leaks import Leaks
from odin_graph.analysis.seen import JUDGING, warn_of_seen
from odin_graph.catalog.datasets.datasets import resolve
from odin_graph.catalog.experiments import experiments as catalog
from odin_graph.catalog.experiments.experiments import Setup, State
from odin_graph.catalog.experiments.loaded import keep_loaded, newly_loaded
from odin_graph.catalog.experiments.metrics import MetricLog, read_log
from odin_graph.catalog.models.checkpoints import add_checkpoint
from odin_graph.catalog.models.models import model_of
from odin_graph.catalog.records.leases import Lease
from odin_graph.client import Session
from odin_graph.errors import DataError, LeakError, LeakWarning, ModelError, OdinError, QueryError, UnknownNameError
from odin_graph.objects.query.of_images import query_of_images
from odin_graph.objects.things.checkpoint import Checkpoint
from odin_graph.objects.things.experiment import Experiment
from odin_graph.objects.things.predicting import Predicting
from odin_graph.warned import warn

if TYPE_CHECKING:
    import torch

    from odin_graph.objects.things.checkpoint import Checkpoint
    from odin_graph.runtime.training.loader import Loader


class Run(Predicting):
    """An experiment in progress: log metrics, save checkpoints, predict, finish.

    As a context manager it finishes at the end of the block. An exception makes it ``failed``, and Ctrl-C
    ``interrupted``. If the process dies, it also becomes ``interrupted``. ``db.run(id=...)`` continues it. To continue
    a finished run, add ``resume=True``.
    """

    def __init__(self, session: Session, lease: Lease, log: MetricLog, *, strict: bool = False) -> None:
        self._session, self._lease, self._log, self._strict = session, lease, log, strict
        self._ended: State | None = None
        self._logged: dict[str, None] = {}
        """The metrics since the last checkpoint."""

    @classmethod
    def start(
        cls,
        session: Session,
        model: Any = None,
        *,
        id: str | None = None,  # noqa: A002 - the users' word for it
        datasets: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        seed: int | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        informed_by: Any = None,
        metadata: Mapping[str, Any] | None = None,
        strict: bool = False,
        resume: bool = False,
    ) -> Self:
        """Start an experiment, or continue the one with that id; for the arguments see `Workspace.run`."""
        stores = session.stores
        setup = Setup(
            model=_id(model),
            datasets={
                role: resolve(stores, dataset) for role, dataset in (datasets or {}).items() if dataset is not None
            },
            parameters=params,
            seed=seed,
            group=group,
            tags=tags,
            informed_by=_experiment_of(informed_by),
            metadata=metadata or {},
        )
        reports = leaks.on_start(stores, setup.datasets)
        if reports and strict:
            raise LeakError(_leak_message(reports, "Take these images out of one of them, or leave strict=True out."))
        lease = catalog.start(stores, setup, id, resume=resume)
        leaks.keep(stores, lease.id, reports)
        if reports:
            message = _leak_message(reports, f"It is kept on the experiment: db.experiment({lease.id!r}).known_leaks.")
            warn(message, LeakWarning)
        log = MetricLog(stores, lease)
        lease.beat = log.flush
        return cls(session, lease, log, strict=strict)

    @property
    def id(self) -> str:
        """The experiment's id."""
        return self._lease.id

    @property
    def experiment(self) -> Experiment:
        """The experiment that this run records."""
        return Experiment(self._session, self.id)

    @property
    def state(self) -> State:
        """``running`` until it has ended."""
        return self._ended or "running"

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics, such as the loss: ``run.log({"loss": 0.3}, step=1)``.

        They are stored after some seconds, and at the latest with the next checkpoint or at the end.
        """
        self._check_running()
        self._log.add(metrics, step)
        self._logged.update(dict.fromkeys(map(str, metrics)))

    def loader(self, images: Any, batch_size: int = 128, *, seed: int | None = None, **options: Any) -> Loader:
        """Batches for training, as from `Query.loader`. Everything that determines them is recorded.

        Images that are in no data set of the run count as learned from. If a test set contains some of them, you get a
        `LeakWarning`, now and at each evaluation.

        Args:
            images: A data set, its id, or a query.
            batch_size: Images in a batch.
            seed: By default the seed of the run, or else 0.
            options: See `Query.loader`; ``model=`` is the model of the run by default.

        Raises:
            LeakError: The run is strict, and would learn from images that it is evaluated on.
        """
        self._check_running()
        experiment = self.experiment
        if experiment.model is not None:
            options.setdefault("model", experiment.model)
        run_seed = experiment.seed or 0 if seed is None else seed
        source = query_of_images(self._session, images) if isinstance(images, str) else images
        made: Loader = source.loader(batch_size, seed=run_seed, **options)
        used = experiment.datasets
        judges = [used[role] for role in JUDGING if role in used]
        new = newly_loaded(self._stores, self.id, made.dataset.image_keys(), used.values())
        if self._strict:
            side = SideOf(self._stores, f"run.loader of {self.id} ({len(new):,} images)", new)
            if found := [report for judge in judges if (report := leaks.leaks(self._stores, side, judge))]:
                raise LeakError(_leak_message(found, "Load other images, or leave strict=True out."))
        catalog.add_loader(self._stores, self._lease, {"of": str(images), **made.describe()})
        if len(new):
            keep_loaded(self._stores, self._lease, new)
            for judge in judges:
                warn_of_seen(self._stores, self.id, judge)
        return made

    def metrics(self) -> pa.Table:
        """Everything that was logged: step, name, value, at."""
        if self._ended is None:
            self._log.flush()
        return read_log(self._stores, self.id)

    def add_checkpoint(
        self,
        weights: torch.nn.Module | Mapping[str, torch.Tensor] | None = None,
        *,
        best: bool | str = False,
        epoch: int | None = None,
        step: int | None = None,
        prefix: str = "",
    ) -> Checkpoint:
        """Save the weights, and store the metrics that were logged so far.

        A best checkpoint that was chosen by the test set gives a `LeakWarning`, which ``dataset.test_uses()`` keeps. It
        is noticed by the name of the metric, by metrics of only the test set that were logged since the last
        checkpoint, or by earlier predictions of the run on the test set. Weights that are NaN or infinite give a
        `DataWarning`, and ``checkpoint.not_finite`` keeps their names.

        Args:
            weights: The model, or its state dict. Leave it out for a model without weights, as of ONNX.
            best: Whether it is the best checkpoint so far, which represents the experiment. Or the name of the logged
                metric that chose it (``best="val_loss"``), which means True.
            epoch: The epoch of the training.
            step: The step of the training.
            prefix: Store only weights whose names begin with it, without the prefix: ``"model."`` for Lightning.

        Raises:
            ModelError: The weights do not fit the model of the run. The message lists missing and extra names.
            UnknownNameError: The run never logged the metric in `best`. The message lists the metrics.
        """
        from odin_graph.runtime.models.fit import check_fit, without_prefix

        self._check_running()
        self._log.flush()
        if isinstance(best, str) and best not in (logged := self.metrics().column("name").unique().to_pylist()):
            raise UnknownNameError.of(
                "logged metric", best, logged, remedy="Log it before you use it as best=, or give best=True."
            )
        model = self.experiment.model
        record = None if model is None else model_of(self._stores, model)
        if weights is None:
            if record is None or record.parameters:
                raise ModelError("None has no weights: give a module, or its state dict.")
            weights = {}
        weights = without_prefix(weights, prefix) if prefix else weights
        if record is not None:
            check_fit(self._stores, record, weights)
        made = add_checkpoint(
            self._stores,
            model,
            weights,
            experiment=self.id,
            best=bool(best),
            epoch=epoch,
            step=step,
            lease=self._lease,
        )
        if best:
            self._warn_of_choice(made, best)
        self._logged.clear()
        return Checkpoint(self._session, made)

    def _warn_of_choice(self, checkpoint: str, best: bool | str) -> None:
        named = isinstance(best, str)
        found = chosen_by_test(
            self._stores,
            self.id,
            [str(best)] if named else self._logged,
            named=named,
            again=len(self.experiment.checkpoints()) > 1,
        )
        if found:
            keep_choice(self._stores, self.id, f"best checkpoint {checkpoint}", found)
            listed = ", ".join(f"{dataset} ({by})" for dataset, by in found.items())
            warn(
                f"The best checkpoint of {self.id!r} is chosen by what is to judge it: {listed}. Results over it are "
                "better than they are on new images. Choose by a data set in the role validation. It is kept: "
                "dataset.test_uses().",
                LeakWarning,
            )

    def finish(self, state: State = "finished") -> Experiment:
        """Store the logged metrics, and record how the run ended."""
        if self._ended is None:
            self._log.flush()
            self._log.compact()
            catalog.end(self._stores, self._lease, state)
            self._ended = state
        return self.experiment

    def __enter__(self) -> Self:
        """The run itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the run. A failure to record it does not hide an error of the block."""
        if error is None:
            self.finish()
            return
        try:
            self.finish("failed" if isinstance(error, Exception) else "interrupted")
        except OdinError as second:
            error.add_note(f"odin_graph could not record that {self.id!r} ended: {second}")

    def __repr__(self) -> str:
        return f"Run({self.id!r}: {self.state})"

    def _check_running(self) -> None:
        if self._ended is not None:
            resume = ", resume=True" if self._ended == "finished" else ""
            raise QueryError(f'The run {self.id!r} is {self._ended}: continue it with db.run(id="{self.id}"{resume}).')


def _id(thing: Any) -> str | None:
    return None if thing is None else str(getattr(thing, "id", thing))


def _experiment_of(thing: Any) -> str | None:
    """The id of an experiment, or of the one that made a checkpoint."""
    made_by = getattr(thing, "experiment", thing)
    if thing is not None and made_by is None:
        raise DataError(f"The checkpoint {_id(thing)!r} was not made by a recorded experiment: leave out informed_by=.")
    return _id(made_by)


def _leak_message(reports: Sequence[Leaks], remedy: str) -> str:
    found = "\n".join(map(str, reports))
    return f"The experiment is evaluated on images that it learns from:\n{found}\n{remedy}"
