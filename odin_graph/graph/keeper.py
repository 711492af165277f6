"""The engine's process: ArcadeDB in a JVM of its own, up while somebody holds the users' lock.

Started by `odin_graph.graph.embedded` as ``python -m odin_graph.graph.keeper FOLDER``. JVM and keeper are one process,
so a killed keeper leaves no orphan.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from odin_graph.graph.archive import archive_of, make_later, use
from odin_graph.graph.claim import REFUSED, Claim, RefusedError
from odin_graph.graph.column_server import handing_out
from odin_graph.graph.copies import check_copy
from odin_graph.graph.counting import COUNTERS, PROFILED, Counts, counting
from odin_graph.graph.endpoint import FILE, Endpoint, loopback
from odin_graph.graph.locks import seize
from odin_graph.graph.sockets import serve, socket_path

DATABASE: Final = "odin"
READER: Final = "reader"
IDLE_SECONDS: Final = 3.0
"""Seconds without any user after which the engine stops: two scripts in a row share one start."""
HEAP: Final = "768m"
JVM: Final = (
    "-XX:+UseSerialGC",
    # Room for the rows of a write until its statement ends. Where new objects have less, they are copied while most are
    # alive, and three times as often: storing 70,000 images takes half a second more of a core.
    "-Xmn256m",
    # An engine that ran out of memory works only in part. It is ended, and the next call starts it again.
    "-XX:+ExitOnOutOfMemoryError",
    # The optimizing compiler waits for what is called thirty times as often as usual: the start takes a second less of
    # two cores, and storing 70,000 images a fifth less. What runs for long is compiled all the same, later.
    "-XX:Tier4InvocationThreshold=150000",
    "-XX:Tier4MinInvocationThreshold=18000",
    "-XX:Tier4CompileThreshold=450000",
    "-XX:Tier4BackEdgeThreshold=1200000",
    # Other languages in queries, and metrics that nobody collects.
    "-Darcadedb.polyglotEngineEnabled=false",
    "-Darcadedb.serverMetrics=false",
)
LOGGING: Final = """handlers = java.util.logging.ConsoleHandler
.level = INFO
java.util.logging.ConsoleHandler.level = INFO
java.util.logging.ConsoleHandler.formatter = com.arcadedb.utility.AnsiLogFormatter
"""
"""Logs to the console, which is engine.log; by default, ArcadeDB makes a folder `log` in the working directory."""
STOP_SECONDS: Final = 30.0
"""Seconds after which an engine that does not stop is ended: its log is on disk, and the next start replays it."""

_ALL = ["createRecord", "readRecord", "updateRecord", "deleteRecord"]
GROUPS: Final = {
    "version": 1,
    "databases": {
        "*": {
            "groups": {
                "admin": {
                    "access": ["updateSecurity", "updateSchema", "updateDatabaseSettings"],
                    "resultSetLimit": -1,
                    "readTimeout": -1,
                    "types": {"*": {"access": _ALL}},
                },
                "readonly": {
                    "access": [],
                    "resultSetLimit": -1,
                    "readTimeout": -1,
                    "types": {"*": {"access": ["readRecord"]}},
                },
            }
        }
    },
}
"""ArcadeDB's READ access mode does not stop a write; a log-in of this group does."""


def main(folder: Path, log: int) -> None:
    """Start the engine, say where it is, stop when nobody uses it or on SIGTERM.

    Args:
        folder: The engine's.
        log: Where what this process prints begins in ``engine.log``.
    """
    os.umask(0o077)
    status = 1
    try:
        _serve(Claim.of(folder), log)
        status = 0
    except RefusedError as why:
        print(f"{REFUSED}{why}", file=sys.stderr, flush=True)
    except BaseException:  # noqa: BLE001 - whatever it was, the process ends here
        with suppress(OSError):  # the log is on a disk that may be full
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(1)  # here: with the exception goes the last reference to the server, which closes it under its users
    finally:
        os._exit(status)  # the JVM's own threads would keep the process


def _serve(claim: Claim, log: int) -> None:
    folder = claim.folder
    copied = claim.is_copy()
    archive = archive_of(JVM)
    server, endpoint, counts = start(claim, log, use(archive))
    if copied:
        check_copy(folder, _database(server))
    claim.begin()
    wanted = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # after the start, in which the JVM takes them
        signal.signal(number, lambda *_: wanted.set())
    endpoint.write(folder)
    make_later(archive)
    users = folder / "users.lock"
    alone = _wait_until_unused(claim, users, wanted)
    (folder / FILE).unlink(missing_ok=True)
    for path in filter(None, (endpoint.counters, endpoint.columns)):
        Path(path).unlink(missing_ok=True)
    # The lock is held until the process ends: who waits for it finds no endpoint then, and starts the next engine.
    if alone is None and seize(users) is None:
        # A signal, under users: a server that stops answers with errors for a while. One that is gone they replace, and
        # what it acknowledged is in its log.
        os._exit(0)
    late = threading.Timer(STOP_SECONDS, os._exit, [1])
    late.daemon = True
    late.start()
    with suppress(OSError):  # without a token the next start begins a new generation
        _keep_token(claim, endpoint, counts)
    server.stop()
    claim.end()


def start(claim: Claim, log: int, options: Sequence[str] = ()) -> tuple[Any, Endpoint, Callable[[], Counts]]:
    """Start the engine of a folder: the server, where it is, and what counts its changes."""
    folder = claim.folder
    os.environ["ARCADEDB_JVM_ERROR_FILE"] = str(folder / "engine.crash")
    from arcadedb_embedded.server import ArcadeDBServer

    config = folder / "config"
    config.mkdir(exist_ok=True)
    (config / "server-groups.json").write_text(json.dumps(GROUPS))
    logging = config / "logging.properties"
    logging.write_text(LOGGING)
    # Log-ins are made anew at each start: nobody who knew an earlier engine, or the one that this is a copy of, is let
    # in here by mistake, where the same port was given again.
    (config / "server-users.jsonl").unlink(missing_ok=True)
    (folder / "passwords.json").unlink(missing_ok=True)  # of earlier releases
    passwords = {name: secrets.token_urlsafe(24) for name in ("root", READER)}
    bolt, http = _free_ports()
    server = ArcadeDBServer(
        root_path=str(folder),
        root_password=passwords["root"],
        config={
            "host": "127.0.0.1",
            "http_port": http,
            "bolt_port": bolt,
            "mode": "development",  # production hides why a statement failed
            "server_plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
            "server_defaultDatabases": f"{DATABASE}[root]",
            # Passwords are 192 random bits: slow hashing protects words, and costs 0.4 s.
            "server_saltIterations": 1000,
            # A log-in that only reads could have it fetch addresses, also where its plan does not show it.
            "opencypher_loadCsv_allowRemoteUrls": False,
            "txWalFlush": 1,  # what is acknowledged also stands when the machine goes down
            "bolt_maxMessageSize": 1 << 28,  # a batch of rows with long metadata
            "bolt_packstream_maxElements": 1 << 24,  # the keys of a whole archive as one parameter
        },
        jvm_kwargs={"heap_size": HEAP, "jvm_args": [*JVM, *options, f"-Djava.util.logging.config.file={logging}"]},
    )
    server.start()
    address = f"http://127.0.0.1:{http}"
    _make_reader(server, passwords[READER])
    generation, counted = _take_token(claim)
    counts = _counter(server)
    endpoint = Endpoint(
        address=f"bolt://127.0.0.1:{bolt}",
        user="root",
        password=passwords["root"],
        database=DATABASE,
        reader=READER,
        reader_password=passwords["reader"],
        http=address,
        generation=generation,
        counted=counted,
        folder=str(folder),
        place=claim.place,
        loopback=loopback(),
        pid=os.getpid(),
        counters=_served(counting(counts)),
        columns=_served(handing_out(_database(server))),
        log=log,
    )
    return server, endpoint, counts


def _database(server: Any) -> Any:
    """ArcadeDB's own object: the binding's wrapper has not all of it."""
    return server._java_server.getDatabase(DATABASE)  # noqa: SLF001


def _counter(server: Any) -> Callable[[], Counts]:
    """Reads the counters in the engine's own memory."""
    database = _database(server)
    dictionary = database.getSchema().getDictionary()

    def names() -> int:
        return int(dictionary.getDictionaryMap().size())

    before = names()

    def read() -> Counts:
        stats = database.getStats()
        return *(int(stats.get(name)) for name in PROFILED), names() - before

    return read


def _served(answer: Callable[[socket.socket], None]) -> str:
    try:
        return serve(socket_path(), answer)
    except OSError:  # those who ask go by HTTP or Bolt then
        return ""


def _wait_until_unused(claim: Claim, users: Path, wanted: threading.Event) -> int | None:
    """The users' lock, taken when nobody has held it for a while; None on a signal."""
    unused_since: float | None = None
    while not wanted.wait(0.25):
        if not claim.is_in_place():  # moved or deleted: end as if killed, and write nothing at the old place
            os._exit(0)
        handle = seize(users)
        if handle is None:
            unused_since = None
            continue
        unused_since = unused_since or time.monotonic()
        if time.monotonic() - unused_since >= IDLE_SECONDS:
            return handle
        os.close(handle)
    return None


def _make_reader(server: Any, password: str) -> None:
    """The log-in that only reads, by the engine's own call: over HTTP it takes a quarter of a second."""
    import jpype

    user = {"name": READER, "password": password, "databases": {DATABASE: ["readonly"]}}
    security = server._java_server.getSecurity()  # noqa: SLF001 - the binding's wrapper has no users
    user["password"] = str(security.encodePassword(password))
    security.createUser(jpype.JClass("com.arcadedb.serializer.json.JSONObject")(json.dumps(user)))


def _take_token(claim: Claim) -> tuple[str, tuple[int, ...]]:
    """The stored token, which this engine continues; a new generation after an unclean stop, and of a copy."""
    file = claim.folder / "token.json"
    try:
        stored = json.loads(file.read_text())
        if tuple(stored["place"]) != claim.place:
            raise ValueError("of another folder, which goes on from there too")
        generation, counted = str(stored["generation"]), tuple(int(n) for n in stored["counted"])
        if len(counted) != len(COUNTERS):
            raise ValueError("counted by another release")
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return uuid.uuid4().hex, (0,) * len(COUNTERS)
    file.unlink()  # if this engine is killed, the next one begins a new generation
    return generation, counted


def _keep_token(claim: Claim, endpoint: Endpoint, counts: Callable[[], Counts]) -> None:
    counted = [base + now for base, now in zip(endpoint.counted, counts(), strict=True)]
    temporary = claim.folder / ".token.json"
    temporary.write_text(json.dumps({"generation": endpoint.generation, "counted": counted, "place": claim.place}))
    temporary.replace(claim.folder / "token.json")


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
