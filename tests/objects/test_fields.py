"""Types of fields: what a manifest makes of its columns, what is asked for, and how a type is changed."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import odin_graph as og
from odin_graph import F
from odin_graph.errors import DataError, MetadataError, UnknownNameError
from odin_graph.schema.metadata import FieldType, convert
from tests.shares import share

PIXELS = np.zeros((4, 4, 4), np.uint8)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name in "abc":
        Image.fromarray(np.full((4, 4), ord(name), np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


def manifest(folder: Path, columns: dict[str, list[str]], suffix: str = "csv") -> Path:
    separator = "\t" if suffix == "tsv" else ","
    rows = [
        ["path", *columns],
        *([f"{name}.png", *cells] for name, *cells in zip("abc", *columns.values(), strict=False)),
    ]
    path = folder / f"table.{suffix}"
    path.write_text("".join(separator.join(row) + "\n" for row in rows), encoding="utf-8")
    return path


def values(db: og.Workspace, name: str) -> list[Any]:
    return [image[name] for image in db.images]


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_what_does_not_print_back_stays_text(db: og.Workspace, pictures: Path, suffix: str) -> None:
    """Patients 0001 and 1, 1e5 and 100000, labels 007 and 7 stay two each."""
    columns = {"label": ["007", "7", "7"], "patientID": ["0001", "1", ""], "code": ["1e5", "100000", "NA"]}
    plain = {"age": ["61", "48", ""], "weight": ["60.5", "71.0", "nan"], "left": ["True", "False", "True"]}
    plain |= {"taken": ["2024-02-29", "2024-03-01", ""]}
    report = db.images.add(manifest(pictures, columns | plain, suffix), progress=False)
    assert values(db, "label") == ["007", "7", "7"]
    assert values(db, "patientID") == ["0001", "1", None]
    assert values(db, "code") == ["1e5", "100000", "NA"]
    assert values(db, "age") == [61, 48, None]
    assert values(db, "weight") == [60.5, 71.0, None]
    assert values(db, "left") == [True, False, True]
    assert values(db, "taken") == [date(2024, 2, 29), date(2024, 3, 1), None]
    assert "'patientID' stays text, because '0001' would be printed differently" in str(report)
    assert [note.split("'")[1] for note in report.notes] == ["label", "patientID", "code"]


def test_types_are_asked_for(db: og.Workspace, pictures: Path) -> None:
    """With types= values may be spelt freely, NA and the like are missing, and what does not fit is named."""
    columns = {"age": ["061", "+48", "NA"], "weight": ["1.50", "2", "null"], "left": ["yes", "FALSE", "1"]}
    columns |= {"taken": ["2024-02-29 12:30", "2024-02-29", ""], "number": ["1", "2", "NA"], "label": ["1", "2", "3"]}
    types = {"age": int, "weight": float, "left": bool, "taken": datetime, "number": str, "label": str}
    db.images.add(manifest(pictures, columns), types=types, progress=False)
    assert values(db, "age") == [61, 48, None]
    assert values(db, "weight") == [1.5, 2.0, None]
    assert values(db, "left") == [True, False, True]
    assert [at and at.isoformat()[:16] for at in values(db, "taken")] == ["2024-02-29T12:30", "2024-02-29T00:00", None]
    assert values(db, "number") == ["1", "2", "NA"]
    assert values(db, "label") == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ({"age": int}, "2 of 3 values of 'age' are not of type int, first 'old' (row 2), '1.5' (row 3)"),
        ({"height": int}, "has no such column"),
        ({"id": int}, "which is always text"),
        ({"age": list}, "is not a type of a field: give one of str, int, float, bool, date, datetime"),
    ],
)
def test_types_that_do_not_fit_are_refused_before_anything_is_stored(
    db: og.Workspace, pictures: Path, types: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        db.images.add(manifest(pictures, {"age": ["1", "old", "1.5"]}), types=types, progress=False)
    assert message in str(caught.value)
    assert len(db.images) == 0


def test_types_of_frames_and_of_metadata(db: og.Workspace, pictures: Path) -> None:
    """A string of a DataFrame is a string, unless another type is asked for."""
    frame = pd.DataFrame({"path": ["a.png", "b.png"], "age": ["61", "48"], "nr": ["001", "2"]})
    db.images.add(frame, root=pictures, types={"age": int}, progress=False)
    db.images.add(images=PIXELS[:1], metadata={"age": ["7"]}, labels=["1"], types={"age": int}, progress=False)
    assert values(db, "age") == [61, 48, 7]
    assert values(db, "nr") == ["001", "2", None]


def test_a_column_is_of_the_type_that_is_recorded_as_text(db: og.Workspace, pictures: Path) -> None:
    """A second manifest whose ids happen to look like numbers goes on with the text of the first."""
    db.images.add(images=PIXELS[:1], metadata={"patientID": ["0001"]}, progress=False)
    db.images.add(manifest(pictures, {"patientID": ["7", "8", "9"]}), progress=False)
    assert sorted(values(db, "patientID")) == ["0001", "7", "8", "9"]


def test_parquet_keeps_its_types(db: og.Workspace, pictures: Path) -> None:
    table = pa.table(
        {
            "path": [f"{name}.png" for name in "abc"],
            "text": ["007", "7", None],
            "whole": pa.array([1, None, 2**60], pa.int64()),
            "real": pa.array([1, 2.5, None], pa.float64()),
            "day": [date(2024, 2, 29), None, None],
            "coded": pa.array(["1", "2", "1"]).dictionary_encode(),
            "listed": [["a"], [], None],
        }
    )
    pq.write_table(table, pictures / "table.parquet")
    db.images.add(pictures / "table.parquet", progress=False)
    for name in table.column_names[1:]:
        assert values(db, name) == table.column(name).to_pylist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,age,\na.png,1,\n", "Column 3 of"),
        ("path,age,age\na.png,1,2\n", "has two columns 'age'"),
        ("path,age\na.png\n", "line 2 has 1 cells, and its first line names 2 columns"),
        ('path,age\na.png,"1\n', "cannot be read"),
    ],
)
def test_a_table_that_does_not_fit_together_is_refused(
    db: og.Workspace, pictures: Path, text: str, message: str
) -> None:
    (pictures / "table.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        db.images.add(pictures / "table.csv", progress=False)
    assert message in str(caught.value)


def test_values_that_do_not_fit_each_other_are_refused_before_the_first_batch(db: og.Workspace) -> None:
    """The types of a call are those of all of it, not of the batch at hand."""
    with pytest.raises(MetadataError, match=r"Image\.nr is int, and a value of it is string"):
        db.images.add(images=PIXELS, metadata={"nr": [1, 2, 3, "x"]}, batch_size=1, progress=False)
    with pytest.raises(MetadataError, match=f"cannot hold {2**53 + 1} exactly"):
        db.images.add(images=PIXELS, metadata={"nr": [2**53 + 1, 2, 3, 0.5]}, batch_size=1, progress=False)
    assert len(db.images) == 0
    db.images.add(images=PIXELS, metadata={"tags": [[], [], ["a"], None]}, batch_size=1, progress=False)
    assert values(db, "tags") == [[], [], ["a"], None]


def test_retype_converts_every_value(db: og.Workspace) -> None:
    db.images.add(images=PIXELS, metadata={"patientID": [1, 2, None, 4]}, progress=False)
    db.images(["image/000003"]).delete()
    report = db.fields.retype("patientID", str)
    assert str(report) == "Image.patientID is string (was int): 3 values converted"
    assert values(db, "patientID") == ["1", "2", None]
    assert db.images().where(F("patientID") == "2").count() == 1
    assert db.cypher("MATCH (i:Image) WHERE i.patientID = '4' RETURN count(i) AS n")[0]["n"] == 1
    db.images.update({"image/000000": {"patientID": "0001"}})
    assert values(db, "patientID") == ["0001", "2", None]
    assert db.doctor().sound


def test_retype_refuses_as_a_whole(db: og.Workspace) -> None:
    """One value that does not fit, and nothing is changed; it is named."""
    db.images.add(images=PIXELS, metadata={"age": ["61", "old", "NA", "48"]}, progress=False)
    with pytest.raises(MetadataError) as caught:
        db.fields.retype("age", int)
    assert str(caught.value) == (
        "2 values of Image.age are not of type int: 'old' of 'image/000001', 'NA' of 'image/000002'. Nothing was "
        "changed: correct or remove them, and call again."
    )
    assert values(db, "age") == ["61", "old", "NA", "48"]
    db.images().where(F("age").isin(["old", "NA"])).update(age=None)
    db.fields.retype("age", int)
    assert values(db, "age") == [61, None, None, 48]
    for name, kind, error in [("digest", "Image", MetadataError), ("aeg", "Image", UnknownNameError)]:
        with pytest.raises(error):
            db.fields.retype(name, str, kind)
    with pytest.raises(UnknownNameError):
        db.fields.retype("age", str, "Picture")


def test_retype_of_other_kinds_and_of_labels(db: og.Workspace) -> None:
    """A label is retyped too; what was frozen keeps the label that it froze."""
    db.images.add(images=PIXELS, labels=[7, 8, 7, 8], progress=False)
    db.datasets.add("all", db.images(), site=1)
    assert db.fields.to_pandas().values.tolist() == [["Image", "label", "int", 4], ["Dataset", "site", "int", 1]]
    db.fields.retype("label", str)
    db.fields.retype("site", str, "Dataset")
    assert values(db, "label") == ["7", "8", "7", "8"]
    assert db.datasets["all"].metadata == {"site": "1"}
    assert db.images("all").to_pandas("label")["label"].tolist() == [7, 8, 7, 8]
    assert db.datasets["all"].verify()


def test_a_field_that_nothing_has_is_forgotten(db: og.Workspace) -> None:
    """Removed by hand or deleted with its images: its type is free, and it is no longer listed."""
    db.images.add(images=PIXELS[:2], metadata={"nr": [1, 2], "age": [3, 4]}, progress=False)
    with pytest.raises(MetadataError, match=r"db\.fields\.retype\('nr'"):
        db.images.update({"image/000000": {"nr": "0001"}})
    db.images().update(nr=None)
    assert db.fields.to_pandas()["name"].tolist() == ["age"]
    db.images.update({"image/000000": {"nr": "0001"}})
    assert values(db, "nr") == ["0001", None]
    db.images().delete()
    db.images.add(images=PIXELS[2:], metadata={"age": ["a", "b"]}, prefix="new", progress=False)
    assert values(db, "age") == ["a", "b"]
    assert db.doctor().sound


def test_whole_numbers_that_are_there_are_not_cut_by_a_float(db: og.Workspace) -> None:
    """A field of ints becomes one of floats only where every int is a float."""
    db.images.add(images=PIXELS, metadata={"nr": [2**53 + 1, 1, 2, 3], "n": [2**53, 1, 2, 3]}, progress=False)
    with pytest.raises(MetadataError, match=str(2**53 + 1)):
        db.images.update({"image/000001": {"nr": 0.5}})
    assert values(db, "nr") == [2**53 + 1, 1, 2, 3]
    db.images.update({"image/000001": {"n": 0.5}})
    assert values(db, "n") == [2.0**53, 0.5, 2.0, 3.0]
    db.images.update({"image/000000": {"many": [2**53 + 1]}})
    with pytest.raises(MetadataError, match=str(2**53 + 1)):
        db.images.update({"image/000001": {"many": [0.5]}})


def test_an_empty_list_is_a_value(db: og.Workspace) -> None:
    db.images.add(images=PIXELS, metadata={"tags": [["a"], ["b"], [], None], "n": [1, 2, 3, 4]}, progress=False)
    db.images.update({"image/000000": {"tags": []}})
    db.image("image/000001").update(tags=[])
    assert values(db, "tags") == [[], [], [], None]
    db.images().where(F("n") == 4).update(tags=[])
    assert values(db, "tags") == [[], [], [], []]
    with pytest.raises(MetadataError, match=r"the type of the items of \[\] is not known"):
        db.images().update(others=[])
    with pytest.raises(MetadataError, match=r"Image\.n is int"):
        db.images().update(n=[])


@pytest.mark.parametrize(
    "moment", [pd.Timestamp("2024-01-01 00:00:00.123456789"), np.datetime64("2024-01-01T00:00:00.123456789")]
)
def test_what_is_finer_than_microseconds_is_refused(db: og.Workspace, moment: Any) -> None:
    db.images.add(images=PIXELS[:1], progress=False)
    for update in (
        lambda: db.images().update(at=moment),
        lambda: db.image("image/000000").update(at=moment),
        lambda: db.images.update(pd.DataFrame({"id": ["image/000000"], "at": [moment]})),
        lambda: db.images.add(images=PIXELS[1:2], metadata={"at": [moment]}, prefix="b", progress=False),
    ):
        with pytest.raises(MetadataError, match="finer than microseconds"):
            update()
    assert len(db.images) == 1


TYPES = (FieldType.STRING, FieldType.INT, FieldType.FLOAT, FieldType.BOOL, FieldType.DATE, FieldType.DATETIME)
CELLS = st.sampled_from([st.integers(-5, 5), st.sampled_from([2**53 + 1, 2**63 - 1]), st.booleans(), st.dates()])


def test_a_type_and_back_is_the_same_values_or_refused(db: og.Workspace) -> None:
    """Whatever the values and the two types: each retype converts all or changes nothing, as the rule of one value."""
    db.images.add(images=PIXELS, progress=False)

    @settings(max_examples=share(25))
    @given(
        CELLS.flatmap(lambda one: st.lists(one, min_size=4, max_size=4)), st.lists(st.sampled_from(TYPES), max_size=3)
    )
    def check(cells: list[Any], steps: list[FieldType]) -> None:
        db.images().update(v=None)
        db.images.update({f"image/{n:06}": {"v": cell} for n, cell in enumerate(cells)})
        for to in steps:
            try:
                expected = [convert(cell, to) for cell in cells]
            except ValueError:
                with pytest.raises(MetadataError):
                    db.fields.retype("v", to)
            else:
                db.fields.retype("v", to)
                cells = expected
            found = [v.replace(tzinfo=None) if isinstance(v, datetime) else v for v in values(db, "v")]
            assert found == cells
            assert [type(v) for v in found] == [type(v) for v in cells]

    check()
