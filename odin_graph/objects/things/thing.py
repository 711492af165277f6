"""Things of kinds that packages add: their fields, metadata and single links are attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

from odin_graph.address import Address, Remote
from odin_graph.catalog.records import leases
from odin_graph.catalog.records.things import facts_of, linked_to, links_of
from odin_graph.catalog.records.updates import update_metadata
from odin_graph.client import Session, session_at
from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.graph.kinds import kind_of
from odin_graph.objects.base.has_images import HasImages
from odin_graph.objects.base.listed import listed
from odin_graph.objects.base.verbs import Deletable
from odin_graph.objects.base.which_images import keys_of_images
from odin_graph.objects.query.query import Query
from odin_graph.objects.query.things import ThingQuery
from odin_graph.query.expressions.expressions import F
from odin_graph.query.plan.plan import Keys, Plan, Things


@dataclass(frozen=True, repr=False)
class Thing(HasImages, Deletable):
    """One thing of a kind that a package adds: ``ann.born``. Each kind has a class of its own, named by its label."""

    _session: Session
    id: str

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        facts = self.facts
        if name not in facts:
            raise AttributeError(str(UnknownNameError.of(f"field of {self.KIND} {self.id!r}:", name, facts)))
        return facts[name]

    @property
    def facts(self) -> dict[str, Any]:
        """All that is stored of it: fields, single links by id, and metadata."""
        return self._session.ask(facts_of, self.KIND, self.id)

    def linked(self, name: str) -> Query | ThingQuery[Any]:
        """What a link leads to, as a query: images in the order of their ids, or things of another kind.

        Args:
            name: The link.

        Raises:
            UnknownNameError: There is no such link.
        """
        links = self._session.ask(links_of, self.KIND)
        if name not in links:
            raise UnknownNameError.of(f"link of {self.KIND}", name, links)
        ids = self._session.ask(linked_to, self.KIND, self.id, name)
        if links[name][0] == "Image":
            return self._query(ids)
        things: ThingQuery[Any] = ThingQuery(self._session.address, Plan(Things(links[name][0])))
        return things.where(F("id").isin(ids))

    def images(self) -> Query:
        """The images that it has links to, as a query.

        Raises:
            QueryError: Its kind has no link to images.
        """
        links = self._session.ask(links_of, self.KIND)
        names = [name for name, (to, _) in links.items() if to == "Image"]
        if not names:
            raise QueryError(
                f"{self.KIND} {self.id!r} has no link to images. Its links are: {', '.join(links) or 'none'}."
            )
        ids = (self._session.ask(linked_to, self.KIND, self.id, name) for name in names)
        return self._query(list(dict.fromkeys(id_ for part in ids for id_ in part)))

    def update(self, values: Mapping[str, Any] | None = None, /, **changes: Any) -> Self:
        """Set fields, metadata and links: ``ann.update(born=1961, images=db.images()[:4])``. None removes a value.

        Args:
            values: The same as a dict, for names that are not valid Python names.
            changes: Values by name; of a link all that it leads to from now on.

        Raises:
            MetadataError: A value is not of its field's type, or the link is what it was made from. Nothing is changed.
        """
        columns, links = ends_of(self._session, self.KIND, {k: [v] for k, v in {**(values or {}), **changes}.items()})
        update_metadata(self._stores, self.KIND, [self.id], columns, missing="remove", links=links)
        return self

    def lease(self) -> leases.Lease:
        """Claim it for this process while it is at work on it: ``with scan.lease(): ...``. Nobody deletes it meanwhile.

        Raises:
            ConflictError: Another live process has it.
            QueryError: Things of its kind have no leases.
        """
        kind = kind_of(self._stores.graph, self.KIND)
        if not kind.leased:
            raise QueryError(f"A {kind.word} has no lease: its kind is not leased.")
        _ = self.facts  # raises if there is none
        return leases.acquire(self._stores.graph, self.KIND, self.id)

    def _query(self, ids: list[str]) -> Query:
        keys = keys_of_images(self._session, ids).tolist() if ids else []
        return Query(self._session.address, Plan(Keys(tuple(keys))))

    def __reduce__(self) -> tuple[Callable[..., Thing], tuple[Address | Remote, str, str]]:
        """In another process: of the session there."""
        return _thing_at, (self._session.address, self.KIND, self.id)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"{self.KIND}({self.id!r})"


@cache
def thing_class(label: str) -> type[Thing]:
    """The class of the things of an added kind."""
    return type(label, (Thing,), {"KIND": label, "__doc__": f"A thing of the kind {label}.", "__module__": __name__})


def _thing_at(address: Address | Remote, label: str, id_: str) -> Thing:
    return thing_class(label)(session_at(address), id_)


def ends_of(
    session: Session, label: str, columns: Mapping[str, list[Any]]
) -> tuple[dict[str, list[Any]], dict[str, list[tuple[str, ...]]]]:
    """The columns of a call that are values, and those that are links, each as the ids of what they lead to."""
    links = session.ask(links_of, label)
    ends: dict[str, list[tuple[str, ...]]] = {}
    for name in columns.keys() & links.keys():
        to_images = links[name][0] == "Image"
        ends[name] = [_ids_of_images(session, given) if to_images else _ids(given) for given in columns[name]]
    return {name: values for name, values in columns.items() if name not in links}, ends


def _ids(given: Any) -> tuple[str, ...]:
    return () if given is None else tuple(str(getattr(thing, "id", thing)) for thing in listed(given))


def _ids_of_images(session: Session, given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    keys = keys_of_images(session, given).tolist()
    return tuple(Query(session.address, Plan(Keys(tuple(keys)))).ids()) if keys else ()
