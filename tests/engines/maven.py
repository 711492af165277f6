"""Java programs without an installation: Maven's jars, kept in the user's cache folder, and a Java."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>odin</groupId><artifactId>for-tests</artifactId><version>1</version>
<dependencies><dependency>
<groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version>
</dependency></dependencies></project>
"""


class CannotRunError(Exception):
    """What is missing, and how to get it."""


def jars(what: str, artifact: str) -> Path:
    """The folder of the jars of ``group:name:version`` and of all that it needs, fetched once."""
    group, name, version = artifact.split(":")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "odin-graph" / name
    found = cache / version
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{version}.lock"):
        if found.exists():
            return found
        if shutil.which("mvn") is None:
            raise CannotRunError(f"{what} did not run: Maven is missing (Debian: apt-get install maven).")
        fresh = Path(tempfile.mkdtemp(dir=cache))
        (fresh / "pom.xml").write_text(POM.format(group=group, name=name, version=version))
        command = ["mvn", "-q", "-B", "-f", fresh / "pom.xml", "dependency:copy-dependencies"]
        fetched = subprocess.run(
            [*command, f"-DoutputDirectory={fresh}/jars"], capture_output=True, text=True, check=False
        )
        if fetched.returncode:
            raise CannotRunError(f"{what} did not run: Maven could not fetch its jars.\n{fetched.stdout[-2000:]}")
        (fresh / "jars").replace(found)
        shutil.rmtree(fresh)
        return found


def java(what: str, *, newest: bool) -> str:
    """A Java that runs: the embedded engine's, which is the newest, or the system's."""
    if newest:
        package = find_spec("arcadedb_embedded")
        if package is not None and package.origin is not None:
            inside = Path(package.origin).parent / "jre" / "bin" / "java"
            if inside.exists():
                return str(inside)
    for found in (f"{os.environ.get('JAVA_HOME', '')}/bin/java", shutil.which("java")):
        if found and Path(found).exists():
            return found
    raise CannotRunError(f"{what} did not run: Java is missing (Debian: apt-get install openjdk-17-jre-headless).")
