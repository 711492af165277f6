"""What is handed out: a wheel and an sdist that hold the package, all of it and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import odin_graph
from odin_graph.registry import Registry

pytestmark = pytest.mark.starts_engine

ROOT = Path(odin_graph.__file__).parents[1]
SUFFIXES = {".py", ".pyi", ".typed"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel and an sdist of this tree, built by the backend that pyproject.toml names."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", folder]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return folder


def package_files() -> set[str]:
    """What lies in the package's folder, but for what Python leaves there."""
    files = (path for path in (ROOT / "odin_graph").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in files}


def test_the_package_holds_code_and_its_types_alone() -> None:
    files = package_files()
    assert {Path(name).suffix for name in files} == SUFFIXES
    assert {"odin_graph/py.typed", "odin_graph/__init__.pyi", "odin_graph/graph/__init__.pyi"} < files


def test_every_entry_point_names_what_there_is_and_what_registers_itself_under_its_name() -> None:
    """One that is not asked for by its name would be missed otherwise: what registers itself is there before it."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    points = [EntryPoint(name, value, group) for group, named in groups.items() for name, value in named.items()]
    assert len(points) > 40
    loaded = {point: point.load() for point in points}
    modules = [module for name, module in sys.modules.items() if name.startswith("odin_graph")]
    registries = {item for module in modules for item in vars(module).values() if isinstance(item, Registry)}
    assert {registry.group for registry in registries} >= set(groups)
    for registry in registries:
        for point in points:
            if point.group == registry.group:
                assert registry.get(point.name) == loaded[point]


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        about = {name.partition(".dist-info/")[2]: name for name in archive.namelist() if ".dist-info/" in name}
        metadata = archive.read(about["METADATA"]).decode()
    assert names == package_files()
    assert set(about) == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Requires-Python: {project['requires-python']}" in metadata
    assert all(f"Provides-Extra: {extra}" in metadata for extra in project["optional-dependencies"])


def test_the_sdist_holds_what_the_wheel_is_built_from(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    beside = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "PKG-INFO", ".gitignore"}
    assert names == package_files() | beside
