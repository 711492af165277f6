"""Files of a remote workspace that things name: weights, and models that are files."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Final

from odin_graph.catalog.records.files import WEIGHTS, Kind
from odin_graph.client.link import Link, quoted
from odin_graph.errors import UnreachableError
from odin_graph.progress import progress_bar

_MEGABYTE: Final = 1 << 20


@dataclass(frozen=True)
class RemoteFiles:
    """Reads files from a server."""

    link: Link

    @property
    def origin(self) -> str:
        """The address: whose workspace it is, only the server says."""
        return str(self.link.address)

    def read(self, kind: Kind, digest: str, of: str) -> bytes:
        """The file that a checkpoint or model names, with a progress bar.

        Raises:
            UnreachableError: It was cut short, or is not the file with that digest.
        """
        path = f"/v1/checkpoints/{quoted(of)}/weights" if kind == WEIGHTS else f"/v1/models/{quoted(of)}/file"
        content, found, done = io.BytesIO(), hashlib.sha256(), 0
        with (
            self.link.pieces(path) as (size, pieces),
            progress_bar(f"{of}, MB", size // _MEGABYTE, show=True) as advance,
        ):
            for piece in pieces:
                content.write(piece)
                found.update(piece)
                advance(content.tell() // _MEGABYTE - done)
                done = content.tell() // _MEGABYTE
        if found.hexdigest() != digest:
            raise UnreachableError(
                f"What {self.link.address} sent is not the file that {of!r} names: ask again, or have `odin doctor "
                "--deep` run there."
            )
        return content.getvalue()
