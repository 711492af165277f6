"""Files that nodes name and that are not segments exist."""

from __future__ import annotations

from collections.abc import Iterator

from odin_graph.catalog.doctor.checks.fault import Fault
from odin_graph.catalog.records.named_files import named_files
from odin_graph.stores import Stores


def check_files(stores: Stores) -> Iterator[Fault]:
    """Check that each of them exists."""
    stored = {file.uri for file in stores.arrays.files()}
    for named in named_files(stores):
        if named.uri not in stored:
            yield Fault(named.thing, f"Its file {named.uri} is missing.", named.remedy, named.mend)
