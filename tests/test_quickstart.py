"""The quickstart as a new user runs it, on class folders of real digits, twice, on both engines."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from typer.testing import CliRunner

import odin_graph as og
from odin_graph import quickstart
from odin_graph.cli.app import app
from tests.conftest import Engine
from tests.forking import run

pytestmark = pytest.mark.starts_engine


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders with 300 digits as PNG."""
    root = tmp_path_factory.mktemp("mine") / "digits-8x8"
    digits = load_digits()
    for position in range(300):
        folder = root / f"digit {digits.target[position]}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[position] * 16).clip(0, 255).astype(np.uint8)).save(
            folder / f"{position:03d}.png"
        )
    return root


@pytest.fixture
def arrays() -> list[str]:
    """Where pixels go: where they do by themselves."""
    return []


def test_the_main_job(engine: Engine, folders: Path, tmp_path: Path, arrays: list[str]) -> None:
    engine.wipe()
    reach = engine.graph.endpoint
    command = ["-m", "odin_graph.cli", "quickstart", "--data", str(folders), "--out", str(tmp_path)]
    command += arrays
    log_in = {}
    if engine.folder is None:
        command += ["--graph", reach.address]
        log_in = {"ODIN_GRAPH_USER": reach.user, "ODIN_GRAPH_PASSWORD": reach.password}
    first, second = (run(command, env={**os.environ, **log_in}, timeout=300) for _ in range(2))
    assert first.returncode == 0, first.stderr[-3000:]
    assert second.returncode == 0, second.stderr[-3000:]
    assert "300 added" in first.stdout
    assert "300 already there" in second.stdout
    assert reach.password not in first.stdout + first.stderr

    parts = re.findall(r"^ *(?:both|only) \S+\s+(\d+) +\d", first.stdout, re.MULTILINE)
    assert len(parts) == 4
    assert sum(map(int, parts)) == 120, "every test image is in one part"
    assert re.findall(r"accuracy [\d.]+%", first.stdout) == re.findall(r"accuracy [\d.]+%", second.stdout)
    for name in ("experiment", "checkpoint", "model", "data set", "image"):
        assert re.search(rf"^\s+{name}  \S", first.stdout, re.MULTILINE), name
    for name in ("wrong.png", "neighbors.png"):
        assert np.asarray(Image.open(tmp_path / name).convert("L")).std() > 10, f"{name} is blank"


def test_folders_that_are_easy_mixed_and_growing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Gray and color of several sizes, a broken file; nothing is wrong; more images are a next version."""
    quickstart.console.file = None  # the captured standard output
    root, out = tmp_path / "dark@light", tmp_path / "out"
    draw = np.random.default_rng(0)

    def add(first: int, last: int) -> None:
        for position in range(first, last):
            for name, low in (("dark", 0), ("light", 200)):
                shape = (30 + position % 3, 32, 3) if position % 2 else (30, 32)
                (root / name).mkdir(parents=True, exist_ok=True)
                pixels = draw.integers(low, low + 40, shape).astype(np.uint8)
                Image.fromarray(pixels).save(root / name / f"{position:02d}.png")

    add(0, 15)
    (root / "dark" / "broken.png").write_bytes(b"\x89PNG\r\n")
    quickstart.main(root, out)
    said = capsys.readouterr().out
    assert "30 added" in said
    assert "broken.png" in said, "what was left out is named"
    assert "it gets right, and is least sure of" in said
    assert (out / "wrong.png").stat().st_size > 1000

    add(15, 20)
    quickstart.main(root, out)
    said = capsys.readouterr().out
    assert "10 added, 30 already there" in said
    assert "dark-light@2" in said
    assert "dark-light-wide/2" in said, "what was trained on the first version stays beside it"
    with og.connect(out / "quickstart.odin") as db:
        assert db.experiment("dark-light-wide/1").datasets["train"] == "dark-light/train@1"
        assert db.experiment("dark-light-wide/2").datasets["train"] == "dark-light/train@2"
        assert db.doctor().sound


@pytest.mark.parametrize("how", ["folders", "manifest"])
def test_images_of_one_patient_are_on_one_side(tmp_path: Path, how: str) -> None:
    """Told of where they are torn apart, kept together with --group-by, and a group that is none is refused."""
    root, draw = tmp_path / "scans", np.random.default_rng(0)
    rows = []
    for position in range(24):
        name, patient = ("dark", "light")[position % 2], f"p{position // 2 % 6}"
        file = root / name / patient / f"{position:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        low = 200 * (position % 2)
        Image.fromarray(draw.integers(low, low + 40, (28, 28)).astype(np.uint8)).save(file)
        rows.append(f"{file.relative_to(root)},{name},{patient}")
    (root / "scans.csv").write_text("\n".join(["path,label,patientID", *rows]))
    data, group = (root, "folder") if how == "folders" else (root / "scans.csv", "patientID")
    with (
        og.connect(tmp_path / "out" / "first.odin") as db,
        pytest.warns(og.LeakWarning, match=f"Images of one {group} are in both training and test.*--group-by {group}"),
    ):
        quickstart.ingest(db, data, None)
    out = tmp_path / "whole"
    words = ["quickstart", "--data", str(data), "--out", str(out), "--group-by", group]
    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
    with og.connect(out / "quickstart.odin") as db:
        (train,), (test,) = ([id_ for id_ in db.datasets.ids() if f"/{name}@" in id_] for name in ("train", "test"))
        patients = [set(db.images(id_).to_arrow(group)[group].to_pylist()) for id_ in (train, test)]
        assert patients[0].isdisjoint(patients[1])
    with og.connect(tmp_path / "out" / "second.odin") as db:
        with pytest.raises(og.UnknownNameError, match="There is no field to group by 'nothing'"):
            quickstart.ingest(db, data, "nothing")
        dataset = quickstart.ingest(db, data, group)
        assert len(dataset) == 24
        parts = dataset.split({"train": 0.6, "test": 0.4}, stratify="label", group_by=group)
        sides = [set(part.images().to_arrow(group)[group].to_pylist()) for part in parts.values()]
        assert sides[0].isdisjoint(sides[1])
        assert len(sides[0] | sides[1]) == 6


def test_one_class_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine" / "only").mkdir(parents=True)
    Image.new("L", (9, 9)).save(tmp_path / "mine" / "only" / "a.png")
    with pytest.raises(og.errors.DataError, match=r"mine has 1 class folder, .* takes two: put the images of each"):
        quickstart.main(tmp_path / "mine", tmp_path / "out")


def test_the_example_is_the_verb() -> None:
    example = Path(__file__).parent.parent / "examples" / "quickstart.py"
    assert example.read_text() == Path(quickstart.__file__).read_text()
