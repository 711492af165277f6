"""A Neo4j server without an installation: Maven's jars, and a Java."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import neo4j

from odin_graph.graph import Endpoint
from tests.engines.maven import CannotRunError, jars, java

CONFIG = """server.bolt.listen_address=127.0.0.1:{bolt}
server.http.enabled=false
server.https.enabled=false
server.memory.heap.initial_size=512m
server.memory.pagecache.size=256m
dbms.usage_report.enabled=false
"""
PLANS = """dbms.cypher.statistics_divergence_threshold=1.0
dbms.cypher.min_replan_interval=1h
server.memory.query_cache.per_db_cache_num_entries=20000
"""
"""A statement is planned once: that takes 55 ms, seventy times what running it does, and worlds that come and go change
all counts that plans go by."""
QUICK = ["-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=240m", "-XX:+UseSerialGC"]
"""Half of what the server takes in the minutes of a test run goes into the second compiler. With the first alone, Java
would keep room for a fifth of the usual amount of compiled code."""
OPENS = ["java.base/java.nio", "java.base/java.io", "java.base/sun.nio.ch"]


@dataclass(frozen=True)
class Release:
    """A pinned version, the class that starts it, and the Java it needs."""

    version: str
    main: str
    newest_java: bool


LATEST = Release("2026.08.1", "org.neo4j.server.Neo4jCommunity", newest_java=True)
LTS = Release("5.26.30", "org.neo4j.server.CommunityEntryPoint", newest_java=False)


class Neo4jServer:
    """One running server, whose data folder is empty, or a copy of that of another which was halted. Stop it."""

    def __init__(self, release: Release = LATEST, copy_of: Neo4jServer | None = None) -> None:
        artifact = f"org.neo4j:neo4j:{release.version}"
        program = java("Neo4j", newest=release.newest_java)
        path = jars("Neo4j", artifact)
        self.home = Path(tempfile.mkdtemp(prefix="odin-neo4j-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (self.home / "conf").mkdir()
        (self.home / "conf" / "neo4j.conf").write_text(CONFIG.format(bolt=port) + PLANS)
        if copy_of is not None:
            shutil.copytree(copy_of.home / "data", self.home / "data")
        self.log = self.home / "server.log"
        command = [program, "-Xmx768m", *QUICK, *(f"--add-opens={name}=ALL-UNNAMED" for name in OPENS)]
        command += ["-cp", f"{path}/*", release.main, f"--home-dir={self.home}", f"--config-dir={self.home}/conf"]
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        password = secrets.token_urlsafe(16) if copy_of is None else copy_of.endpoint.password
        self.endpoint = Endpoint(f"bolt://127.0.0.1:{port}", "neo4j", password, database="neo4j")
        self._first_login(password, is_new=copy_of is None)

    @property
    def pid(self) -> int:
        return self._process.pid

    def halt(self) -> None:
        """End the process; its data stays."""
        self._process.terminate()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it at once, and remove its data."""
        self.stop_quietly()
        shutil.rmtree(self.home, ignore_errors=True)

    def _first_login(self, password: str, *, is_new: bool) -> None:
        until = time.monotonic() + 240
        while True:
            try:
                with (
                    neo4j.GraphDatabase.driver(
                        self.endpoint.address, auth=("neo4j", "neo4j" if is_new else password)
                    ) as driver,
                    driver.session(database="system") as session,
                ):
                    if is_new:
                        session.run("ALTER CURRENT USER SET PASSWORD FROM 'neo4j' TO $new", new=password).consume()
                    else:
                        session.run("SHOW DATABASES").consume()
                return
            except (neo4j.exceptions.ServiceUnavailable, neo4j.exceptions.TransientError) as error:
                if self._process.poll() is not None or time.monotonic() > until:
                    self.stop_quietly()
                    raise CannotRunError(f"Neo4j did not start: {self._last_words()}") from error
                time.sleep(0.2)

    def stop_quietly(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else "no log"
