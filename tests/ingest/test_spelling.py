"""Columns of text: what prints back as it was written takes a type, and all else stays the text that it is."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from odin_graph.ingest.spelling import NAN, read_texts
from odin_graph.schema.metadata import FieldType, convert

NUMBERS = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(repr),
    st.integers(0, 999).map(lambda number: f"{number:04}"),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
    st.floats(1, 1e9).map(lambda number: f"{number:e}"),
    st.integers(1000, 10**7).map(lambda number: f"{number:,}"),
)
WORDS = (
    "007 7 +1 -0 0 -0.0 1e5 100000 1.50 1.5 inf -inf 1_000 ٣ ² True true TRUE yes NA null None nan NaN N/A "
    "2024-02-29 2024-2-29 20240229 2024-02-29T12:30:00 2024-02-29T12:30 0x10 1j 9223372036854775807 "
    "9223372036854775808 9007199254740993"
)
SPACED = ("", " 1", "1 ", "\u00a01", "2024-02-29 12:30:00", "2024-02-29 12:30:00+00:00", "1" * 5_000)
ODD = st.sampled_from([*WORDS.split(" "), *SPACED])


@given(st.lists(st.one_of(NUMBERS, ODD, st.text(max_size=8)), unique=True, max_size=6))
@example(["1", "007"])
@example(["nan", "1"])
@example(["inf"])
@example(["2024-02-29 12:30:00", "2024-02-29T12:30:00"])
def test_every_value_of_a_column_prints_back_as_it_was_written(texts: list[str]) -> None:
    """Whatever is read: str() of the value is the cell, or the cell is empty, or NaN among numbers."""
    read = read_texts(texts, "column")
    numbers = read.type in (FieldType.INT, FieldType.FLOAT)
    kinds = set()
    for text in texts:
        value = read.values[text]
        if value is None:
            assert text == "" or (numbers and text in NAN)
            continue
        kinds.add(type(value))
        printed = {str(value), value.isoformat()} if isinstance(value, date) else {str(value)}
        assert text in printed
    assert len(kinds) <= 1  # one type a column
    assert (
        len({read.values[text] for text in texts if read.values[text] is not None})
        == sum(read.values[text] is not None for text in texts)
        or read.type is FieldType.FLOAT
    )  # two spellings are two values, but for -0.0


@pytest.mark.parametrize(
    ("texts", "type_"),
    [
        (["0001", "2"], "string"),
        (["7", "007"], "string"),
        (["1e5", "100000"], "string"),
        (["1", "2", ""], "int"),
        (["1", "nan"], "int"),
        (["1.5", "2.0"], "float"),
        (["1.5", "2"], "string"),
        (["1.50"], "string"),
        (["1.5", "inf", "-inf"], "float"),
        (["inf"], "string"),
        (["9223372036854775808"], "string"),
        (["True", "False"], "bool"),
        (["true"], "string"),
        (["0", "1"], "int"),
        (["NA", "1"], "string"),
        (["2024-02-29", ""], "date"),
        (["2024-02-29", "soon"], "string"),
        (["2024-02-29", "2024-02-29 00:00:00"], "string"),
        (["2024-02-29T12:30:00"], "datetime"),
        (["2024-02-29T12:30:00Z"], "string"),
        (["2024-02-29 12:30:00.123456789"], "string"),
        (["20240229"], "int"),
    ],
)
def test_the_type_of_a_column(texts: list[str], type_: str) -> None:
    assert read_texts(texts, "column").type is FieldType(type_)


@pytest.mark.parametrize(
    ("texts", "odd"), [(["1", "0002"], "0002"), (["1.5", "2"], "2"), (["NA", "53"], None), (["a", "1"], None)]
)
def test_a_column_that_stays_text_and_reads_as_numbers_is_named(texts: list[str], odd: str | None) -> None:
    note = read_texts(texts, "age").note
    if texts == ["a", "1"]:
        assert note == ""
    else:
        assert note.startswith("The column 'age' stays text, because ")
        assert repr(odd or "NA") in note
        assert "types={'age': float}" in note


VALUES = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.dates(),
    st.datetimes(),
    st.text().filter(lambda text: text.strip() == text),
)


@given(VALUES)
def test_text_of_a_value_read_as_its_type_is_the_value(value: object) -> None:
    """What is printed is read again, by whatever type it had, and no digit is lost on the way."""
    types = {int: "int", float: "float", bool: "bool", date: "date", datetime: "datetime", str: "string"}
    to = FieldType(types[type(value)])
    text = convert(value, FieldType.STRING)
    assert isinstance(text, str)
    back = convert(text, to)
    assert back == value
    assert type(back) is type(value)


@given(VALUES, st.sampled_from([FieldType.INT, FieldType.FLOAT, FieldType.BOOL, FieldType.DATE, FieldType.DATETIME]))
def test_a_number_read_as_another_type_is_equal_or_refused(value: object, to: FieldType) -> None:
    """1.5 is no int, 2**53 + 1 no float: a conversion that is not exact is refused."""
    if isinstance(value, str):
        return
    try:
        back = convert(value, to)
    except ValueError:
        return
    if isinstance(value, datetime):
        assert back == value or (to is FieldType.DATE and datetime.combine(back, datetime.min.time()) == value)
    elif isinstance(value, date):
        assert (back.year, back.month, back.day) == (value.year, value.month, value.day)
    else:
        assert back == value
