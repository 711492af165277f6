"""The collections of a workspace behind a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from odin_graph.client import Link, RemoteExecutor
from odin_graph.client.link import quoted
from odin_graph.errors import QueryError, RemoteError
from odin_graph.objects.collections.images import Images
from odin_graph.objects.collections.models import Models
from odin_graph.objects.collections.predictions import PredictionSet
from odin_graph.objects.collections.stacks import StackObject
from odin_graph.objects.collections.vectors import Vectors
from odin_graph.objects.collections.views import Views
from odin_graph.objects.layers.layer import Layer
from odin_graph.objects.query.groups import Groups
from odin_graph.objects.remote.elsewhere import Elsewhere, beside_alone
from odin_graph.objects.remote.remote_query import RemoteImage, RemoteQuery, RemoteThings
from odin_graph.objects.remote.remote_units import RemoteChannels, RemoteUnits
from odin_graph.objects.things.checkpoint import Checkpoint
from odin_graph.objects.things.dataset import Dataset, Datasets
from odin_graph.objects.things.experiment import Experiment, Experiments
from odin_graph.objects.things.model import Model
from odin_graph.query.expressions.expressions import Expr
from odin_graph.query.expressions.predictions import PredictionExpressions
from odin_graph.query.names.cypher_source import cypher_source
from odin_graph.query.names.examples import read_examples
from odin_graph.query.plan import wire
from odin_graph.query.plan.plan import (
    AllImages,
    Keys,
    LayerOf,
    Members,
    NamedVectors,
    Plan,
    Registered,
    Source,
    ThingKind,
    Things,
)
from odin_graph.schema.several import is_several

RemoteAnswer: TypeAlias = RemoteQuery | RemoteThings | Groups


@dataclass(frozen=True, repr=False)
class RemoteThing(Elsewhere):
    """A data set, a model and so on: its fields at the time when it was loaded."""

    _beside = frozenset(
        name for thing in (Dataset, Model, Checkpoint, PredictionSet, StackObject) for name in dir(thing)
    )

    id: str
    fields: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"RemoteThing({self.id!r}: {', '.join(self.fields)})"


@dataclass(frozen=True)
class RemoteLayer(Elsewhere):
    """A layer of an experiment's checkpoint: ``nearest(..., by=exp.layer("features"))``. The server knows its names."""

    _beside = frozenset(dir(Layer))

    node: LayerOf

    @property
    def units(self) -> RemoteUnits:
        """Its units, by number: ``layer.units[[3, 17, 88]].mean()``, ``layer.units[3] > 2.5``."""
        return RemoteUnits(self.node, "units")

    @property
    def channels(self) -> RemoteChannels:
        """Its channels, each summarized over its positions: ``layer.channels.max[5]``."""
        return RemoteChannels(self.node)


@dataclass(frozen=True, repr=False)
class RemoteExperiment(RemoteThing, PredictionExpressions):
    """An experiment. Use its ``wrong``, ``confidence`` and so on in ``where``."""

    _beside = frozenset(dir(Experiment))

    def layer(self, name: str, *, checkpoint: Any = None, pooling: str = "mean") -> RemoteLayer:
        """A layer of its best checkpoint, or of the given one."""
        return RemoteLayer(LayerOf(self.id, name, None if checkpoint is None else str(checkpoint), pooling))

    def __repr__(self) -> str:
        return f"RemoteExperiment({self.id!r}: {self.fields.get('state')}, model {self.fields.get('model')})"


class RemoteImages(Elsewhere):
    """The images of the workspace: ``db.images("retina-test")`` is a query, ``db.images["a.png"]`` is one image."""

    _beside = frozenset(dir(Images))

    def __init__(self, link: Link) -> None:
        self._link = link

    def __call__(self, source: Any = None, /, *, cypher: str | None = None, **params: Any) -> RemoteQuery:
        """Images as a query; for the arguments see `Images`. Cypher works if the server allows it."""
        if cypher is not None:
            if source is not None:
                raise QueryError("images() takes a data set or cypher=, not both: put the data set into the Cypher.")
            return self._query(cypher_source(cypher, params))
        if params:
            raise QueryError(
                f"images() knows no {', '.join(params)}: parameters are for cypher=, conditions for where()."
            )
        return self._query(self._source(source))

    def __getitem__(self, id: str) -> RemoteImage:  # noqa: A002 - the users' word for it
        """One image by its id."""
        fields = self._link.get(f"/v1/images/{quoted(id)}")
        return RemoteImage(self._link, int(fields.pop("key")), fields)

    def __len__(self) -> int:
        return self._query(AllImages()).count()

    def __iter__(self) -> Iterator[RemoteImage]:
        """Every image, by key."""
        return iter(self._query(AllImages()))

    def _source(self, source: Any) -> Source:
        if source is None:
            return AllImages()
        if isinstance(source, Registered):
            return source
        if isinstance(source, str | RemoteThing):
            return Members(str(source))
        if is_several(source):
            found = RemoteExecutor(self._link).examples(read_examples(list(source)))
            return Keys(tuple(one.image for one in found if one.image is not None))
        raise QueryError(f"images() takes a data set, its id, or a list of images, not {source!r:.80}.")

    def _query(self, source: Source) -> RemoteQuery:
        plan = Plan(source)
        checked = RemoteExecutor(self._link).check(plan) if isinstance(source, Members | Registered) else plan
        return RemoteQuery(self._link.address, checked)


class RemoteCollection(Elsewhere):
    """The things of a kind: call it to get a query, or get one by id."""

    _beside = frozenset(name for held in (Datasets, Models, Experiments) for name in dir(held))

    def __init__(self, link: Link, kind: ThingKind, path: str | None = None) -> None:
        self._link = link
        self._kind = kind
        self._path = path

    def __call__(self) -> RemoteThings:
        """All of them as a query."""
        return RemoteThings(self._link.address, Plan(Things(self._kind)))

    def where(self, *predicates: Expr) -> RemoteThings:
        """Those for which every condition is true, as a query."""
        return self().where(*predicates)

    def __getitem__(self, id: str) -> RemoteThing:  # noqa: A002
        fields = self._link.get(f"/v1/{self._path}/{quoted(id)}") if self._path else self().one(id)
        return (RemoteExperiment if self._kind == "Experiment" else RemoteThing)(str(fields["id"]), fields)

    def __contains__(self, id: object) -> bool:  # noqa: A002
        return id in self().ids

    def __iter__(self) -> Iterator[str]:
        """The ids, in the order of the kind."""
        return iter(self().ids)

    def __len__(self) -> int:
        return self().count()

    def __repr__(self) -> str:
        return f"{self._kind}s({', '.join(self) or 'none yet'})"


class RemoteVectors(Elsewhere):
    """Sets of your own vectors, by name."""

    _beside = frozenset(dir(Vectors))

    def __init__(self, link: Link) -> None:
        self._link = link

    def __getitem__(self, name: str) -> NamedVectors:
        """A set of vectors for ``by=``. The step refuses a name that does not exist."""
        return NamedVectors(name)

    def __repr__(self) -> str:
        return f"RemoteVectors({', '.join(self) or 'none yet'})"

    def __iter__(self) -> Iterator[str]:
        return (row["name"] for row in self._link.get("/v1/vectors")["rows"])


class RemoteViews(Elsewhere):
    """Saved queries: ``db.views["hard DME"]`` is a query, ``"hard DME@1"`` is its first version."""

    _beside = frozenset(dir(Views))

    def __init__(self, link: Link) -> None:
        self._link = link

    def __getitem__(self, name: str) -> RemoteAnswer:
        said = self._link.get(f"/v1/views/{quoted(name)}")
        return answer_of(self._link, said["query"])

    def __setitem__(self, name: str, query: Any) -> None:
        """Raises `RemoteError`: a view is stored."""
        raise beside_alone("saving a view")

    def __delitem__(self, name: str) -> None:
        """Raises `RemoteError`."""
        raise beside_alone("deleting a view")

    def __repr__(self) -> str:
        return f"RemoteViews({', '.join(self) or 'none yet'})"

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({row["view"] for row in self._link.get("/v1/views")["rows"]}))


def answer_of(link: Link, data: dict[str, Any]) -> RemoteAnswer:
    """Build a query of a server from its JSON form."""
    if "operations" in data:
        raise RemoteError("The query has operations, which do not work over HTTP: use the query of its images.")
    plan = RemoteExecutor(link).check(wire.from_json(data))
    if plan.grouped:
        return Groups(link.address, plan)
    return RemoteQuery(link.address, plan) if plan.kind == "Image" else RemoteThings(link.address, plan)
