"""Files that nodes name and that are not segments exist, as they were written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import PurePosixPath

from odin_graph.catalog.doctor.checks.fault import Fault
from odin_graph.catalog.records.named_files import named_files
from odin_graph.errors import StoreError
from odin_graph.stores import Stores


def check_files(stores: Stores, *, deep: bool = False) -> Iterator[Fault]:
    """Check that each of them exists; ``deep`` also compares its content with the digest in its name."""
    stored = {file.uri for file in stores.arrays.files()}
    read: set[str] = set()
    for named in named_files(stores):
        if named.uri not in stored:
            yield Fault(named.thing, f"Its file {named.uri} is missing.", named.remedy, named.mend)
        elif deep and named.uri not in read:
            read.add(named.uri)
            try:
                data = stores.arrays.raw.read(named.uri)
            except StoreError as error:
                yield Fault(named.thing, f"Its file cannot be read: {error}", named.remedy, named.mend)
                continue
            if hashlib.sha256(data).hexdigest() != PurePosixPath(named.uri).stem:
                yield Fault(named.thing, f"Its file {named.uri} is not what was written.", named.remedy, named.mend)
