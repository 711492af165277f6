"""Talks to `odin serve`: requests, Arrow streams, and the server's errors as our own."""

from __future__ import annotations

import io
import json
import os
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph import errors
from odin_graph.address import Remote
from odin_graph.deadline import nearly_over, remaining
from odin_graph.errors import EngineError, LoginError, OdinError, QueryError, TimeLimitError, UnreachableError
from odin_graph.query.plan.json_values import from_json
from odin_graph.warned import warn

if TYPE_CHECKING:
    import httpx

ARROW: Final = "application/vnd.apache.arrow.stream"
WARNINGS: Final = "Odin-Warnings"
"""The header that has the warnings of an answer."""
_CONNECT_SECONDS: Final = 10.0
_READ_SECONDS: Final = 300.0
"""Limit for the next piece of an answer; the whole answer is limited by the server and by ``timeout=``."""
_BUSY_SECONDS: Final = 30.0
"""How long a request to a busy server is repeated."""


class Link:
    """The connections of this process to one server; safe to share between threads."""

    def __init__(self, address: Remote) -> None:
        import httpx  # a fifth of a second that opening a workspace near here need not wait for

        self.address = address
        headers = {} if address.token is None else {"Authorization": f"Bearer {address.token}"}
        verify = ssl.create_default_context(cafile=address.certificate) if address.certificate else True
        self._new_client = partial(httpx.Client, base_url=address.url, headers=headers, verify=verify)
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()

    @classmethod
    def at(cls, address: Remote) -> Link:
        """The link of this process to a server, made if there is none."""
        key = (os.getpid(), address, address.token, address.certificate)
        with _lock:
            if key not in _links:
                _links[key] = cls(address)
            return _links[key]

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def get(self, path: str, **query: Any) -> Any:
        """The values of a GET; raises as `post` does."""
        return from_json(self._json(self._request("GET", path, params=query)))

    def get_bytes(self, path: str, **query: Any) -> bytes:
        """The bytes of a GET; raises as `post` does."""
        return self._request("GET", path, params=query).content

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON of a POST.

        Raises:
            OdinError: What the server says, of the class that it has there.
            LoginError: The server refuses the token.
            UnreachableError: Nobody answers.
        """
        return self._json(self._request("POST", path, json=_with_timeout(body)))

    def batches(self, path: str, body: dict[str, Any]) -> Iterator[pa.RecordBatch]:
        """The Arrow stream of a POST, a batch at a time; raises as `post` does.

        Raises:
            UnreachableError: The server goes away before the end: what came until then is a part of the answer.
        """
        with (
            self._stream("POST", path, json=_with_timeout(body), headers={"Accept": ARROW}) as answer,
            self._errors_translated(),
            pa.ipc.open_stream(_Incoming(answer.iter_bytes())) as reader,
        ):
            yield from reader

    def arrays(self, path: str, body: dict[str, Any], number: int) -> list[NDArray[Any]]:
        """So many arrays of a POST, one NumPy file after another; raises as `batches` does."""
        with self._stream("POST", path, json=body) as answer, self._errors_translated():
            pieces = _Incoming(answer.iter_bytes())
            try:
                return [np.lib.format.read_array(pieces, allow_pickle=False) for _ in range(number)]
            except ValueError as error:
                raise UnreachableError(f"The pixels of {self.address} were cut short: ask again ({error}).") from error

    @contextmanager
    def pieces(self, path: str) -> Iterator[tuple[int, Iterator[bytes]]]:
        """The size of what a GET gives, and its bytes piece by piece; raises as `batches` does."""
        with self._stream("GET", path) as answer, self._errors_translated():
            yield int(answer.headers.get("content-length", 0)), answer.iter_bytes()

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        with self._stream(method, path, **options) as answer, self._errors_translated():
            answer.read()
            return answer

    def _json(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except ValueError as error:
            raise UnreachableError(
                f"{self.address} answers, but not as `odin serve` does: is it another port?"
            ) from error

    @contextmanager
    def _stream(self, method: str, path: str, **options: Any) -> Iterator[httpx.Response]:
        """A request, sent again while the server is busy; its answer, whose body has not been read yet."""
        import httpx

        until = time.monotonic() + _BUSY_SECONDS
        while True:
            left = remaining()
            read = _READ_SECONDS if left is None else left + 1.0  # the server says it first
            limits = httpx.Timeout(read, connect=min(read, _CONNECT_SECONDS))
            with self._errors_translated():
                client = self._open_client()
                answer = client.send(_build_request(client, method, path, timeout=limits, **options), stream=True)
            try:
                if answer.status_code < 400:
                    _warn(answer)
                    yield answer
                    return
                with self._errors_translated():
                    answer.read()
                if answer.status_code != 429 or time.monotonic() > until:
                    raise self._error(answer)
            finally:
                answer.close()
            time.sleep(float(answer.headers.get("retry-after", "1")) / 2)

    def _open_client(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = self._new_client()
            return self._client

    def _error(self, answer: httpx.Response) -> OdinError:
        """The server's error, of its own class where it is one of ours."""
        try:
            details = answer.json()["error"]
            kind, message, id_ = str(details["type"]), str(details["message"]), str(details["request_id"])
        except (ValueError, KeyError, TypeError):
            return UnreachableError(
                f"{self.address} answers {answer.status_code}, and not as `odin serve` does: is it another port?"
            )
        if answer.status_code == 401:
            why = "give token=, or ODIN_GRAPH_TOKEN, of `odin token create` there."
            return LoginError(f"{self.address} refuses the token: {message if 'expired' in message else why}")
        class_ = getattr(
            errors, {"NotThereError": "UnknownNameError", "RequestError": "QueryError"}.get(kind, kind), None
        )
        if class_ is TimeLimitError and (ours := nearly_over()) is not None:
            return ours
        if isinstance(class_, type) and issubclass(class_, OdinError):
            error = class_(message)
            if details.get("drawing"):
                error.add_note(str(details["drawing"]))
            return error
        return EngineError(f"{message} ({self.address}, request {id_})")

    @contextmanager
    def _errors_translated(self) -> Iterator[None]:
        import httpx

        try:
            yield
        except httpx.TimeoutException as error:
            remaining()  # raises the time limit's error, if timeout= was given
            raise UnreachableError(f"{self.address} does not answer in time.") from error
        except httpx.HTTPError as error:
            raise UnreachableError(
                f"{self.address} does not answer, or stopped before the end of its answer ({error}): is `odin serve` "
                "running there?"
            ) from error
        except pa.ArrowInvalid as error:
            raise UnreachableError(f"The answer of {self.address} was cut short: ask again ({error}).") from error


def _warn(answer: httpx.Response) -> None:
    """Give the server's warnings about its answer."""
    with suppress(ValueError, TypeError):  # another server's header
        for kind, text in json.loads(answer.headers.get(WARNINGS, "[]")):
            category = getattr(errors, str(kind), None)
            if isinstance(category, type) and issubclass(category, Warning):
                warn(str(text), category)


def _build_request(client: httpx.Client, method: str, path: str, **options: Any) -> httpx.Request:
    try:
        return client.build_request(method, path, **options)
    except ValueError as error:
        raise QueryError(
            "The query contains a value that does not work over HTTP: NaN, infinity, or half a character in a "
            f"text: leave it out ({error})."
        ) from error


class _Incoming(io.RawIOBase):
    """The pieces of a response as a file that is read once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        """Copy as much of a piece as fits; return 0 at the end."""
        while not len(self._rest):
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        n = min(len(into), len(self._rest))
        into[:n], self._rest = self._rest[:n], self._rest[n:]
        return n

    def read(self, size: int | None = -1) -> bytes:
        """Exactly ``size`` bytes, fewer only at the end: Arrow would take fewer for the end."""
        parts: list[bytes] = []
        left = size if size is not None and size >= 0 else 1 << 62
        while left:
            part = super().read(min(left, 1 << 20))
            if not part:
                break
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def _with_timeout(body: dict[str, Any]) -> dict[str, Any]:
    left = remaining()
    return body if left is None else {**body, "timeout": left}


def quoted(id_: str) -> str:
    """An id as a part of a path."""
    coded = quote(id_, safe="")
    return coded.replace(".", "%2E") if coded in (".", "..") else coded  # unquoted, they are steps of a path


_links: dict[tuple[int, Remote, str | None, str | None], Link] = {}
_lock = threading.Lock()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it


os.register_at_fork(after_in_child=_after_fork)
