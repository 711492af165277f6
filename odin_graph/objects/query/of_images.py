"""Images, however they are given, as a query."""

from __future__ import annotations

from typing import Any

from odin_graph.catalog.datasets.datasets import resolve
from odin_graph.catalog.images.arrivals import stored_keys
from odin_graph.client import Session
from odin_graph.errors import UnknownNameError
from odin_graph.objects.base.has_images import HasImages
from odin_graph.objects.base.which_images import keys_of_images
from odin_graph.objects.query.query import Query
from odin_graph.query.plan.plan import Keys, Members, Plan
from odin_graph.served import served
from odin_graph.stores import Stores


def query_of_images(session: Session, images: Any) -> Query:
    """Images as a query: a query as it is, a data set's with its frozen labels, all else by key."""
    if isinstance(images, Query):
        return images
    if isinstance(images, HasImages):
        return images.images()
    if isinstance(images, str) and (id_ := session.ask(_set_of, images)) is not None:
        return Query(session.address, Plan(Members(id_)))
    return Query(session.address, Plan(Keys(tuple(keys_of_images(session, images).tolist()))))


@served
def _set_of(stores: Stores, name: str) -> str | None:
    """The data set of an id that is of no image."""
    if stored_keys(stores, [name]):
        return None
    try:
        return resolve(stores, name)
    except UnknownNameError:
        return None  # it is then read as an image
