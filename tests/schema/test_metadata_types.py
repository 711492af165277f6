"""One type a field: what a value is, what values have in common, and what is refused."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odin_graph.errors import MetadataError
from odin_graph.schema.metadata import FieldType, classify, decode, encode, plain, type_of, widen


class Eye(StrEnum):
    LEFT = "left"


TYPED = [
    (True, "bool"),
    (np.bool_(False), "bool"),
    (0, "int"),
    (2**63 - 1, "int"),
    (-(2**63), "int"),
    (np.int8(3), "int"),
    (np.uint64(2**62), "int"),
    (1.0, "float"),
    (math.inf, "float"),
    (np.float32(1.5), "float"),
    ("", "string"),
    (np.str_("größe 😀"), "string"),
    (Eye.LEFT, "string"),
    (date(2020, 1, 2), "date"),
    (np.datetime64("2020-01-02"), "date"),
    (datetime(2020, 1, 2), "datetime"),  # noqa: DTZ001
    (datetime(2020, 1, 2, tzinfo=UTC), "datetime"),
    (pd.Timestamp("2020-01-02T03:04:05.123456"), "datetime"),
    (np.datetime64("2020-01-02T03:04:05", "ns"), "datetime"),
    ([1, 2], "list[int]"),
    ((1, 2.5), "list[float]"),
    (np.array([1.5, 2.5]), "list[float]"),
    (["a"], "list[string]"),
    ([True], "list[bool]"),
    ([date(2020, 1, 2)], "list[date]"),
    ([datetime(2020, 1, 2, tzinfo=UTC)], "list[datetime]"),
]


@pytest.mark.parametrize(("value", "name"), TYPED, ids=lambda held: repr(held))
def test_the_type_of_a_value(value: Any, name: str) -> None:
    assert type_of(value) is FieldType(name)


@pytest.mark.parametrize(
    "value", [None, math.nan, np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), np.datetime64("NaT", "ns"), []]
)
def test_a_missing_value_has_no_type(value: Any) -> None:
    assert type_of(value) is None


REFUSED = [
    (2**63, "9223372036854775808 does not fit into 64 bits: store it as a string or a float."),
    ([1, None], "[1, None] has missing values inside, which no graph stores: leave them out."),
    ([1.0, math.nan], "[1.0, nan] has missing values inside, which no graph stores: leave them out."),
    ([[1]], "[[1]] is a list of lists, which no graph stores: make a field of each."),
    (np.zeros((1, 1)), "[[0.0]] is a list of lists, which no graph stores: make a field of each."),
    ([1, "a"], "[1, 'a'] is list[int], and a value of it is list[string]."),
    ([1, True], "[1, True] is list[int], and a value of it is list[bool]."),
    ({"a": 1}, "{'a': 1} is of type dict, which is not stored."),
    (b"raw", "b'raw' is of type bytes, which is not stored."),
    (Decimal("1.5"), "Decimal('1.5') is of type Decimal, which is not stored."),
    (1j, "1j is of type complex, which is not stored."),
    (np.longdouble(1), "is of type longdouble, which is not stored."),
    (timedelta(days=1), "is of type timedelta, which is not stored."),
]


@pytest.mark.parametrize(("value", "said"), REFUSED, ids=lambda held: repr(held)[:30])
def test_a_value_of_no_type_is_refused(value: Any, said: str) -> None:
    with pytest.raises(MetadataError) as caught:
        type_of(value)
    assert said in str(caught.value)


def test_an_int_widens_to_float_whichever_came_first() -> None:
    assert classify([1, 2.5]) is classify([2.5, 1]) is classify([None, 1, math.nan, 2.5]) is FieldType.FLOAT
    assert classify([[1], [2.5]]) is FieldType.FLOATS
    assert classify([None, pd.NA]) is None


def test_nothing_else_widens() -> None:
    for one in FieldType:
        for other in FieldType:
            numbers = {one.scalar, other.scalar} <= {FieldType.INT, FieldType.FLOAT}
            if one is other or (numbers and one.is_list == other.is_list):
                assert widen(one, other) is widen(other, one)
            else:
                with pytest.raises(MetadataError):
                    widen(one, other)


def test_a_clash_names_the_field_both_types_and_the_remedy() -> None:
    with pytest.raises(MetadataError) as caught:
        classify([60, "sixty"], "Image.age")
    assert str(caught.value) == (
        "Image.age is int, and a value of it is string. A field has one type, and only int widens, to float: "
        "convert the values to int, or give the others a field of their own."
    )


def test_values_are_encoded_as_the_recorded_type() -> None:
    assert repr(encode(3, FieldType.FLOAT)) == "3.0"
    assert repr(encode([3, 4.5], FieldType.FLOATS)) == "[3.0, 4.5]"
    assert repr(encode(np.int64(3), FieldType.INT)) == "3"
    assert encode(math.nan, FieldType.FLOAT) is None
    assert encode([], FieldType.INTS) == []


def test_an_int_that_a_float_cannot_hold_is_refused() -> None:
    assert encode(2**53, FieldType.FLOAT) == 2.0**53
    with pytest.raises(MetadataError, match=r"Image\.nr is float, which cannot hold 9007199254740993 exactly"):
        encode(2**53 + 1, FieldType.FLOAT, "Image.nr")


def test_a_wider_value_than_recorded_is_refused() -> None:
    with pytest.raises(MetadataError, match=r"Image\.age is int, and 1\.5 is float: record the wider type first"):
        encode(1.5, FieldType.INT, "Image.age")


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")], ids=str)
def test_a_datetime_with_a_zone_is_its_utc_time(zone: Any) -> None:
    """And never a ZoneInfo, which makes the driver read past the end of it."""
    summer = datetime(2020, 7, 2, 3, 4, 5, 6, tzinfo=zone)
    assert encode(summer) == summer.astimezone(UTC).replace(tzinfo=None)
    assert encode([summer])[0].tzinfo is None
    assert encode(pd.Timestamp(summer)).tzinfo is None


def test_a_foreign_value_reads_as_missing() -> None:
    assert decode("sixty", FieldType.INT) is None
    assert decode(True, FieldType.INT) is None
    assert decode([1], FieldType.INT) is None
    assert decode(1.5, FieldType.INT) is None
    assert decode([[1]], FieldType.INTS) is None
    assert repr(decode(60, FieldType.FLOAT)) == "60.0"
    assert repr(decode([1, 2.5], FieldType.FLOATS)) == "[1.0, 2.5]"


scalars = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.dates()
    | st.datetimes()
)


@given(value=scalars | st.lists(st.integers(-9, 9)) | st.lists(st.text()) | st.lists(st.datetimes()))
def test_encoding_keeps_value_and_type(value: Any) -> None:
    stored = encode(value)
    assert stored == value
    assert type(stored) is type(value)
    assert decode(stored, type_of(value)) == value


@given(st.lists(scalars | st.none(), max_size=6))
def test_a_column_has_a_type_or_is_refused_as_a_whole(values: list[Any]) -> None:
    try:
        found = classify(values)
    except MetadataError:
        kinds = {type_of(value) for value in values} - {None}
        assert len(kinds) > 1
        assert kinds != {FieldType.INT, FieldType.FLOAT}
    else:
        assert all(type_of(value) in (None, found) or found is FieldType.FLOAT for value in values)


@given(st.lists(st.integers(-(2**31), 2**31 - 1)))
def test_numpy_and_pandas_columns_are_plain_values(values: list[int]) -> None:
    for column in (np.array(values, dtype=np.int32), pd.Series(values, dtype="Int64"), pa.array(values, pa.int32())):
        assert [plain(value) for value in column] == values
        assert all(type(plain(value)) is int for value in column)
