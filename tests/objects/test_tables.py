"""The four tables as researchers keep them, and SQL over them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torchvision.models import inception_v3, vgg16_bn

import odin_graph as og
from odin_graph.ops import ToFloat
from tests.kept import kept

PATIENTS = [f"patient-{n // 3}" for n in range(24)]
DIAGNOSES = ["DME", "normal", "drusen"] * 8


def vgg(classes: int = 2) -> nn.Module:
    """VGG-16-BN with one input channel."""
    made = vgg16_bn(num_classes=classes)
    made.features[0] = nn.Conv2d(1, 64, 3, padding=1)
    return made


def inception(classes: int = 2) -> nn.Module:
    """Inception-V3 with one input channel, and its auxiliary classifier, which counts."""
    made = inception_v3(num_classes=classes, init_weights=False)
    made.Conv2d_1a_3x3.conv = nn.Conv2d(1, 32, 3, stride=2, bias=False)
    return made


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(1, 4, 3)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.features(x)).mean((2, 3)))


@kept
def scans(db: og.Workspace) -> og.Workspace:
    """Images with the metadata of a clinic, a data set of them, and an experiment that has predicted it."""
    db.images.add(
        images=load_digits().images[:24].astype(np.uint8),
        labels=DIAGNOSES,
        ids=[f"scan-{n}" for n in range(24)],
        metadata={
            "slice_id": list(range(24)),
            "patient_id": PATIENTS,
            "age": [50 + n for n in range(23)] + [None],
            "g": ["f", "m"] * 12,
            "visual_acuity": [0.5 + n / 100 for n in range(24)],
        },
        progress=False,
    )
    db.datasets.add("clinic", db.images())
    db.models.add("net", Net, input_shape=(1, 8, 8), classes=sorted(set(DIAGNOSES)), preprocess=[ToFloat()])
    torch.manual_seed(0)
    with db.run("net", train="clinic", test="clinic", params={"epochs": 3, "lr": 0.1, "layers": [1, 2]}) as run:
        run.log({"loss": 2.0}, step=1)
        run.log({"loss": 1.0}, step=2)
        run.add_checkpoint(Net())
        run.predict("clinic", progress=False)
    return db


def test_the_four_classic_tables_with_their_own_columns(scans: og.Workspace) -> None:
    images = scans.tables.images("clinic", one_hot="label", pixels=True)
    classic = {
        "id": "id",
        "label": "label",
        "slice-ID": "slice_id",
        "patient-ID": "patient_id",
        "age": "age",
        "G": "g",
        "visual acuity": "visual_acuity",
        "DME": "label=DME",
        "drusen": "label=drusen",
        "normal": "label=normal",
        "image": "image",
    }
    rows = images.select(list(classic.values())).rename_columns(list(classic)).to_pylist()
    assert [row["label"] for row in rows] == DIAGNOSES
    assert [row["patient-ID"] for row in rows] == PATIENTS
    assert [row["age"] for row in rows][-2:] == [72, None]
    assert [(row["DME"], row["drusen"], row["normal"]) for row in rows[:3]] == [(1, 0, 0), (0, 0, 1), (0, 1, 0)]
    for n, row in enumerate(images.select(["image", "height", "width", "bands", "dtype"]).to_pylist()):
        shape = row["height"], row["width"], row["bands"]
        pixels = np.frombuffer(row["image"], row["dtype"]).reshape(shape)
        np.testing.assert_array_equal(pixels[:, :, 0], load_digits().images[n])

    experiment = scans.tables.experiments().to_pylist()[0]
    assert (experiment["id"], experiment["model"]) == ("net/1", "net")
    assert (experiment["train"], experiment["test"], experiment["validation"]) == ("clinic@1", "clinic@1", None)
    assert (experiment["params.epochs"], experiment["params.lr"], experiment["params.layers"]) == (3, 0.1, [1, 2])
    assert experiment["metrics.loss"] == 1.0
    exp = scans.experiment("net/1")
    assert experiment["accuracy"] == pytest.approx(exp.results("clinic").accuracy)

    said = scans.tables.per_image(exp, activations="features")
    assert said.column_names[:3] == ["experiment", "image", "key"]
    assert said.column("image").to_pylist() == [f"scan-{n}" for n in range(24)]
    np.testing.assert_array_equal(
        np.array(said.column("activation").to_pylist(), np.float32),
        exp.layer("features").embeddings(scans.images("clinic")),
    )
    right = [row["predicted"] == row["label"] for row in said.to_pylist()]
    assert [not wrong for wrong in said.column("wrong").to_pylist()] == right
    assert np.mean(right) == pytest.approx(experiment["accuracy"])


def test_the_model_table_of_the_classic_networks(db: og.Workspace) -> None:
    for name, factory, size in (("vgg16-bn", vgg, 224), ("inception-v3", inception, 299)):
        db.models.add(name, factory, classes=["DME", "normal"], task="multi-class", preprocess=[ToFloat()], size=size)
    rows = {row["id"]: row for row in db.tables.models().to_pylist()}
    assert rows["vgg16-bn"]["parameters"] == 134_276_034
    assert rows["inception-v3"]["parameters"] == 24_348_324
    for row in rows.values():
        assert "tests.objects.test_tables" in row["definition"]
        assert (row["classes"], row["task"]) == (["DME", "normal"], "multi-class")
    assert rows["inception-v3"]["size"] == 299


def test_all_images_and_a_frozen_label(scans: og.Workspace) -> None:
    scans.labels.update({"scan-0": "normal"}, why="reread")
    assert scans.tables.images("clinic").column("label").to_pylist() == DIAGNOSES
    today = scans.tables.images()
    assert today.column("label").to_pylist() == ["normal", *DIAGNOSES[1:]]
    assert today.column("key").to_pylist() == sorted(today.column("key").to_pylist())


def test_empty_tables(db: og.Workspace) -> None:
    for table in (db.tables.images(), db.tables.models(), db.tables.experiments()):
        assert isinstance(table, pa.Table)
        assert table.num_rows == 0
        assert "id" in table.column_names
    assert db.sql("SELECT count(*) AS n FROM predictions JOIN members USING (dataset, key)").to_pydict() == {"n": [0]}


def test_sql_agrees_with_the_query_builder(scans: og.Workspace) -> None:
    exp = scans.experiment("net/1")
    table = scans.sql(
        """
        SELECT m.label, count(*) AS n, count(*) FILTER (p.wrong) AS wrong
        FROM predictions p JOIN members m USING (dataset, key) JOIN images i USING (key)
        WHERE p.experiment = $exp AND i.age > $age GROUP BY m.label ORDER BY m.label
        """,
        exp=exp.id,
        age=60,
    )
    older = scans.images("clinic").where(og.F("age") > 60)
    for row in table.to_pylist():
        of = older.where(og.F("label") == row["label"])
        assert (row["n"], row["wrong"]) == (of.count(), of.where(exp.wrong).count())
    assert sum(table.column("n").to_pylist()) == older.count() == 12
    assert scans.sql("SELECT max(accuracy) AS a FROM experiments").to_pydict()["a"][0] <= 1


CYPHER = "x' OR '1' = '1"


@pytest.mark.parametrize(
    ("statement", "kind", "said"),
    [
        ("DROP VIEW images", og.ReadOnlyError, "one SELECT"),
        ("SELECT 1; SELECT 2", og.ReadOnlyError, "one SELECT"),
        ("", og.ReadOnlyError, "one SELECT"),
        ("COPY images TO 'stolen.csv'", og.ReadOnlyError, "one SELECT"),
        ("SELECT * FROM read_csv('/etc/passwd')", og.ReadOnlyError, "no files"),
        ("SELECT * FROM read_text('/etc/passwd')", og.ReadOnlyError, "no files"),
        ("SELECT * FROM glob('/*')", og.ReadOnlyError, "no files"),
        ("SELECT * FROM '/etc/passwd'", og.QueryError, "There are the tables images, models"),
        ("SELECT * FROM secret", og.QueryError, "There are the tables images, models"),
        ("SELEC 1", og.QueryError, "SELEC"),
        ("SELECT nosuch FROM images", og.QueryError, "nosuch"),
        ("SELECT * FROM images WHERE id = $id", og.QueryError, "id"),
    ],
)
def test_sql_that_is_refused(scans: og.Workspace, statement: str, kind: type[og.OdinError], said: str) -> None:
    secret = pa.table({"a": [1]})
    with pytest.raises(kind, match=said):
        scans.sql(statement)
    assert secret.num_rows == len(scans.sql("SELECT 1 AS a"))


def test_a_value_is_never_sql(scans: og.Workspace) -> None:
    assert scans.sql("SELECT id FROM images WHERE id = $id", id=CYPHER).num_rows == 0
    assert scans.sql("SELECT $id AS said", id=CYPHER).to_pydict() == {"said": [CYPHER]}


def test_sql_that_takes_too_long(scans: og.Workspace) -> None:
    with pytest.raises(og.QueryError, match=r"longer than 0\.2 seconds"):
        scans.sql("SELECT count(*) FROM range(100000000) a, range(100000) b WHERE a.range = b.range + 1", timeout=0.2)


def test_what_is_not_there(scans: og.Workspace) -> None:
    arguments: list[tuple[Any, type[og.OdinError]]] = [
        (lambda: scans.tables.images("nothing"), og.UnknownNameError),
        (lambda: scans.tables.images(one_hot="nothing"), og.QueryError),
        (lambda: scans.tables.per_image("nothing"), og.UnknownNameError),
    ]
    for call, kind in arguments:
        with pytest.raises(kind, match="nothing"):
            call()
    with scans.run(id="bare"):
        pass
    with pytest.raises(og.QueryError, match="no test set"):
        scans.tables.per_image("bare")
