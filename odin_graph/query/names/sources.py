"""Sources of images that packages add: ``db.images(og.source("cone", ra=83.6, dec=-5.4, within=0.2))``."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from odin_graph.catalog.images.images import keys_of
from odin_graph.errors import QueryError
from odin_graph.graph.moment import Moment
from odin_graph.query.names import cypher_source
from odin_graph.query.plan.plan import Cypher, Registered
from odin_graph.registry import Registry

if TYPE_CHECKING:
    from odin_graph.stores import Stores


class ImageSource(Protocol):
    """Finds images in its own way. An entry of `SOURCES` is a function."""

    def __call__(self, at: Moment, /, **parameters: Any) -> Cypher | pa.Table:
        """What the images are, at a moment of the graph: see `Found`.

        Args:
            at: Reads the graph: ``at.read("MATCH ... RETURN ...", {...})``.
            parameters: As the query says them: numbers, texts, truth values, dates, None, and tuples of such.

        Returns:
            A statement, ``cypher_source(text, parameters)``, that returns images or their keys; or a table with a
            column ``key`` (int64) or ``id`` (text). In the order in which they are to come; of an image that is there
            twice the first counts.
        """
        ...


SOURCES: Final = Registry[ImageSource](kind="image source", group="odin_graph.sources")


def source(name: str, /, **parameters: Any) -> Registered:
    """The images of a registered source, for ``db.images(...)``.

    Args:
        name: A name of `SOURCES`.
        parameters: Its parameters, which are part of the query.

    Raises:
        QueryError: The type of a parameter is not allowed in a query.
    """
    return Registered(name, cypher_source.read_parameters(parameters))


def check_source(spec: Registered) -> None:
    """Check that there is such a source, and that it takes these parameters.

    Raises:
        UnknownNameError: There is none of that name.
        QueryError: It takes other parameters.
    """
    found = SOURCES.get(spec.name)
    try:
        inspect.signature(found).bind(None, **cypher_source.parameters(spec))
    except TypeError as error:
        takes = ", ".join(list(inspect.signature(found).parameters)[1:])
        raise QueryError(
            f"The image source {spec.name!r} does not take these parameters ({error}): it takes {takes or 'none'}."
        ) from error


def compiled(spec: Registered, at: Moment) -> Cypher | pa.Table:
    """The result of a source for its parameters."""
    return SOURCES.get(spec.name)(at, **cypher_source.parameters(spec))


def find(stores: Stores, spec: Registered, at: Moment) -> NDArray[np.int64]:
    """The keys of the images that a source finds, each once, in its order.

    Raises:
        QueryError: It gives neither a statement nor a table of images.
        DataError: An id of its table is no image's.
    """
    found = compiled(spec, at)
    if isinstance(found, Cypher):
        return cypher_source.keys(stores.graph, found)
    names = found.column_names if isinstance(found, pa.Table) else []
    if "key" in names and pa.types.is_integer(found.schema.field("key").type):
        keys = pc.unique(found.column("key").drop_null()).cast(pa.int64()).to_numpy(zero_copy_only=False)
        return np.asarray(keys, np.int64)
    if "id" in names:
        ids = pc.unique(found.column("id").drop_null()).to_pylist()
        return np.asarray(keys_of(stores, ids), np.int64)
    columns = f" with the columns {', '.join(names)}" if names else ""
    raise QueryError(
        f"The image source {spec.name!r} gave {type(found).__name__}{columns}: a source gives cypher_source(...), or a "
        "table with 'key' or 'id'."
    )
