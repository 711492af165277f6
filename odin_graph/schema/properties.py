"""Property types that neomodel has not: instants, JSON as written, and values of several types."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from neomodel import JSONProperty
from neomodel.properties import Property, validator


def now() -> datetime:
    """The present instant as the graph keeps it: UTC, without a zone.

    ArcadeDB drops the zone of a stored datetime and Neo4j keeps it, where comparing it with one that has none is null.
    Without zones both answer the same Cypher alike.
    """
    return datetime.now(UTC).replace(tzinfo=None)


class InstantProperty(Property[datetime]):
    """An instant, native in Cypher (``localdatetime``), in UTC. Python sees it with its zone."""

    @validator
    def inflate(self, value: Any) -> datetime:
        """From the driver's class, in UTC and with its zone."""
        native: datetime = value.to_native() if hasattr(value, "to_native") else value
        return native.replace(tzinfo=UTC) if native.tzinfo is None else native.astimezone(UTC)

    @validator
    def deflate(self, value: Any) -> datetime:
        """To UTC, without its zone."""
        if not isinstance(value, datetime):
            raise TypeError(f"a datetime is needed, not {value!r}")
        return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)


class JsonProperty(JSONProperty):
    """A structure as JSON text: unicode kept, keys sorted, so that equal structures are equal text in Cypher."""

    @validator
    def deflate(self, value: Any) -> str:
        """To JSON text."""
        return json.dumps(value, ensure_ascii=False, sort_keys=True)


class ValueProperty(Property[Any]):
    """A value whose type the user chooses (a label is a string, a number or a list of labels), kept as it is."""

    @validator
    def inflate(self, value: Any) -> Any:
        """As it is."""
        return value

    @validator
    def deflate(self, value: Any) -> Any:
        """As it is."""
        return value
