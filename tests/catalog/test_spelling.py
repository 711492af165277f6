"""New classes that are probably mistyped: a warning that the report keeps; none of numbers, codes and grades."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import odin_graph as og
from odin_graph.catalog.images.spelling import doubtful_classes


@pytest.mark.parametrize(
    ("new", "known"),
    [
        ("drusne", "drusen"),
        ("drusn", "drusen"),
        ("druusen", "drusen"),
        ("druzen", "drusen"),
        ("Drusen", "drusen"),
        ("drusen ", "drusen"),
        ("grade two 2", "grade too 2"),
        ("dme", "DME"),
    ],
)
def test_slips(new: str, known: str) -> None:
    assert len(doubtful_classes({new: 1}, {new: 1, known: 400, "normal": 90})) == 1


@pytest.mark.parametrize(
    ("new", "known"),
    [
        ("1", "10"),
        ("10", "1"),
        ("m3", "m4"),
        ("grade 3", "grade 4"),
        ("stage 1", "stage 10"),
        ("A", "B"),
        ("a", "A"),
        ("DR", "DME"),
        ("T1c", "T1d"),
        ("normal", "abnormal"),
        ("hypertension", "hypotension"),
        ("left eye", "right eye"),
        ("benign", "malignant"),
        ("boat", "goat"),
        ("日本", "日中"),
    ],
)
def test_other_classes(new: str, known: str) -> None:
    assert doubtful_classes({new: 1}, {new: 1, known: 400}) == []


def test_a_frequent_class_is_none() -> None:
    assert doubtful_classes({"drusne": 41}, {"drusne": 41, "drusen": 400}) == []
    assert len(doubtful_classes({"drusne": 40}, {"drusne": 40, "drusen": 400})) == 1


def pixels(number: int) -> np.ndarray[Any, Any]:
    return np.arange(number * 64, dtype=np.uint16).reshape(number, 8, 8)


def test_it_is_said_once_and_kept(db: og.Workspace, tmp_path: Path) -> None:
    """By arrays, manifests, folders and corrections; a class that is there already is no new one."""
    with pytest.warns(og.errors.DataWarning, match="1 image has the new label 'drusne', and 20 have 'drusen'"):
        report = db.images.add(images=pixels(21), labels=["drusen"] * 20 + ["drusne"])
    assert "correct it: db.labels.update(" in str(report)
    with pytest.warns(og.errors.DataWarning, match="'drusen '"):
        corrected = db.labels.update(["image/000000"], "drusen ")
    assert "'drusen '" in str(corrected)
    Image.fromarray(np.full((8, 8), 3, np.uint8)).save(tmp_path / "a.png")
    table = pd.DataFrame({"path": ["a.png"], "label": ["Drusen"]})
    with pytest.warns(og.errors.DataWarning, match="'Drusen'"):
        assert "'Drusen'" in str(db.images.add(table, root=tmp_path))
    (tmp_path / "folder" / "druusen").mkdir(parents=True)
    Image.fromarray(np.full((8, 8), 4, np.uint8)).save(tmp_path / "folder" / "druusen" / "b.png")
    with pytest.warns(og.errors.DataWarning, match="'druusen'"):
        assert db.images.add(tmp_path / "folder").notes
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert db.labels.update(["image/000001"], "drusne").warnings == ()
        assert not db.images.add(images=pixels(3)[:, :4], prefix="m", labels=["m3", "m4", "1"]).notes


def test_of_several_labels_an_image(db: og.Workspace) -> None:
    with pytest.warns(og.errors.DataWarning, match="1 image has the new label 'drusne'"):
        db.images.add(images=pixels(12), labels=[["drusen", "DME"]] * 11 + [["drusne"]])


def test_numbers_say_nothing(db: og.Workspace) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        db.images.add(images=pixels(30), labels=np.array([10] * 29 + [1]))
