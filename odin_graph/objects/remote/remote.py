"""`RemoteWorkspace`: a workspace behind a server. The same queries, and only what works over HTTP."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from odin_graph.address import Remote
from odin_graph.client import Link
from odin_graph.deadline import deadline
from odin_graph.errors import QueryError, ReadOnlyError
from odin_graph.objects.remote.elsewhere import Elsewhere
from odin_graph.objects.remote.remote_collections import (
    RemoteAnswer,
    RemoteCollection,
    RemoteExperiment,
    RemoteImages,
    RemoteThing,
    RemoteVectors,
    RemoteViews,
    answer_of,
)
from odin_graph.objects.remote.remote_query import RemoteImage
from odin_graph.query.plan.json_values import from_json, to_json


class RemoteWorkspace(Elsewhere):
    """A workspace behind `odin serve`. Use it as a context manager, or `close` it."""

    _beside = frozenset(
        (
            "backup",
            "bolt",
            "compare",
            "deletions",
            "doctor",
            "fields",
            "gc",
            "impact",
            "labels",
            "leaks",
            "orm",
            "run",
            "sql",
            "storage",
            "tables",
        )
    )

    def __init__(self, link: Link) -> None:
        self._link = link

    @classmethod
    def open(cls, address: Remote) -> Self:
        """Connect, and check that the server answers and accepts the token.

        Raises:
            UnreachableError: Nothing answers, or it is not an odin_graph server.
            LoginError: The server refuses the token.
        """
        link = Link.at(address)
        link.get("/v1/datasets", limit=1)
        return cls(link)

    @property
    def images(self) -> RemoteImages:
        """All images: ``db.images()`` and ``db.images("dataset")`` are queries."""
        return RemoteImages(self._link)

    def image(self, id: str) -> RemoteImage:  # noqa: A002 - the users' word for it
        """One image by its id."""
        return self.images[id]

    @property
    def datasets(self) -> RemoteCollection:
        """The data sets."""
        return RemoteCollection(self._link, "Dataset", "datasets")

    def dataset(self, id: str) -> RemoteThing:  # noqa: A002
        """One data set version by its id; an id without a version is the latest version."""
        return self.datasets[id]

    @property
    def models(self) -> RemoteCollection:
        """The models."""
        return RemoteCollection(self._link, "Model", "models")

    def model(self, id: str) -> RemoteThing:  # noqa: A002
        """One model by its id."""
        return self.models[id]

    @property
    def experiments(self) -> RemoteCollection:
        """The experiments."""
        return RemoteCollection(self._link, "Experiment", "experiments")

    def experiment(self, id: str) -> RemoteExperiment:  # noqa: A002
        """One experiment by its id."""
        found = self.experiments[id]
        assert isinstance(found, RemoteExperiment)
        return found

    @property
    def checkpoints(self) -> RemoteCollection:
        """The checkpoints."""
        return RemoteCollection(self._link, "Checkpoint")

    @property
    def predictions(self) -> RemoteCollection:
        """The prediction sets."""
        return RemoteCollection(self._link, "PredictionSet")

    @property
    def activations(self) -> RemoteCollection:
        """The activation sets."""
        return RemoteCollection(self._link, "ActivationSet")

    @property
    def volumes(self) -> RemoteCollection:
        """The volumes."""
        return RemoteCollection(self._link, "Volume")

    @property
    def videos(self) -> RemoteCollection:
        """The videos."""
        return RemoteCollection(self._link, "Video")

    @property
    def vectors(self) -> RemoteVectors:
        """Your own vectors: ``nearest(..., by=db.vectors["clip"])``."""
        return RemoteVectors(self._link)

    @property
    def views(self) -> RemoteViews:
        """Saved queries."""
        return RemoteViews(self._link)

    def query(self, data: dict[str, Any]) -> RemoteAnswer:
        """Build a query from its JSON form, for any kind of rows. The server checks it."""
        return answer_of(self._link, data)

    def cypher(self, query: str, /, *, timeout: float | None = None, **params: Any) -> list[dict[str, Any]]:
        """Run Cypher that only reads, if the server allows it, and return its rows."""
        with deadline(timeout):
            try:
                said = self._link.post("/v1/cypher", {"statement": query, "parameters": to_json(params)})
            except QueryError as error:
                if str(error) != "Not Found":
                    raise
                raise ReadOnlyError(
                    "This server does not answer Cypher: start it with `odin serve --cypher`."
                ) from error
        rows: list[dict[str, Any]] = from_json(said["rows"])
        return rows

    def close(self) -> None:
        """Close the connections."""
        self._link.close()

    def __enter__(self) -> Self:
        """The workspace itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        return f"RemoteWorkspace({self._link.address}: {len(self.images):,} images)"
