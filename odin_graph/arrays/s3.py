"""How TileDB and Arrow reach an S3 service: by the environment variables of AWS's own tools.

AWS's library finds credentials itself; no setting of ours contains them.
"""

from __future__ import annotations

import os
import re
from typing import Any, Final
from urllib.parse import urlsplit

from odin_graph.errors import WorkspaceError

SCHEME: Final = "s3://"
_CONNECT_SECONDS: Final = 3
_ANSWER_SECONDS: Final = 10
_TRIES: Final = 3
_OLDER: Final = ("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION")
"""Checksums that AWS's library adds to every request by default, and that many other services refuse."""
_CREDENTIALS: Final = (
    "the service refuses the credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, of somebody "
    "who may list the bucket, and read, write and delete in it"
)
_NOBODY: Final = (
    "nothing answers: check that the service runs, and that AWS_ENDPOINT_URL is its address, if it is not AWS"
)
_WHY: Final = {
    "NO_SUCH_BUCKET|NoSuchBucket": "there is no such bucket: make it, or correct arrays=",
    "INVALID_ACCESS_KEY_ID|InvalidAccessKeyId|SIGNATURE_DOES_NOT_MATCH|SignatureDoesNotMatch": _CREDENTIALS,
    "ACCESS_DENIED|AccessDenied|Response Code: 403|HTTP status 403": _CREDENTIALS,
    "NETWORK_CONNECTION|curlCode|Response Code: -1": _NOBODY,
    "PermanentRedirect|AuthorizationHeaderMalformed|HTTP status 301|Response Code: 301": (
        "the bucket is in another region: set AWS_REGION"
    ),
}
"""Words in AWS's errors, as TileDB and Arrow pass them on, and what they mean."""


def endpoint() -> str | None:
    """The address of a service that is not AWS's own.

    Raises:
        WorkspaceError: It is no address of a service.
    """
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if url := os.environ.get(name):
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
                raise WorkspaceError(
                    f"{name} is not an address of a service: write https://host:9000, and no password."
                )
            return url.rstrip("/")
    return None


def of_tiledb() -> dict[str, str]:
    """TileDB's settings."""
    settings = {
        "vfs.s3.connect_timeout_ms": str(1000 * _CONNECT_SECONDS),
        "vfs.s3.request_timeout_ms": str(1000 * _ANSWER_SECONDS),
        "vfs.s3.connect_max_tries": str(_TRIES),
        # TileDB would return what it once read ahead, even if the object has changed, or if a byte was wrong only once.
        "vfs.read_ahead_cache_size": "0",
    }
    if region := _region():
        settings["vfs.s3.region"] = region
    if url := endpoint():
        scheme, _, place = url.partition("://")
        settings |= {
            "vfs.s3.scheme": scheme,
            "vfs.s3.endpoint_override": place,
            "vfs.s3.use_virtual_addressing": "false",  # host/bucket: name servers may not know bucket.host
        }
        _ask_for_no_more_checksums()
    return settings


def of_arrow() -> dict[str, Any]:
    """The arguments of Arrow's S3 file system."""
    if url := endpoint():
        _ask_for_no_more_checksums()
    return {
        "region": _region(),
        "endpoint_override": url,
        "connect_timeout": _CONNECT_SECONDS,
        "request_timeout": _ANSWER_SECONDS,
        "allow_delayed_open": True,  # a small object is one request, which leaves nothing behind when it fails
    }


def tries() -> int:
    """How often a request is made before it has failed."""
    return _TRIES


def environment() -> int:
    """Changes when any variable changes that AWS's library reads, so that a correction needs no new Python process."""
    return hash(frozenset((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


def explained(error: BaseException) -> str | None:
    """Why a service refused, and the remedy, if its error is known; never the whole error, which is long."""
    return next((why for words, why in _WHY.items() if re.search(words, str(error))), None)


def _region() -> str | None:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")


def _ask_for_no_more_checksums() -> None:
    """Segments have digests of their own. AWS's library reads this from the environment alone."""
    for name in _OLDER:
        os.environ.setdefault(name, "when_required")
