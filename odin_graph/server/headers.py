"""Headers of every answer: a browser may run nothing of it, and little of the pages that describe the API."""

from __future__ import annotations

from typing import Final

Headers = list[tuple[bytes, bytes]]

_ALL: Final[Headers] = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
SECURITY: Final[Headers] = [
    *_ALL,
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"cache-control", b"no-store"),
]
_PAGES_POLICY: Final = (
    # Swagger UI and ReDoc begin with a script in the page, make styles, and draw in a worker.
    b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; "
    b"frame-ancestors 'none'; base-uri 'none'"
)
PAGES: Final[Headers] = [*_ALL, (b"content-security-policy", _PAGES_POLICY)]


def headers_for(path: str) -> Headers:
    """The headers of an answer at a path."""
    return PAGES if path.startswith(("/docs", "/redoc", "/static-offline-docs")) else SECURITY
