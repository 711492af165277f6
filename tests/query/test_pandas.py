"""Random queries give what the same query written in pandas gives: an implementation that is not ours.

Of ours is one rule alone, that of docs/query.md: NaN is missing, a comparison with it is neither true nor false,
missing values come last in an order and are a group of their own.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from random import Random, SystemRandom
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest

import odin_graph as og
from odin_graph import F

CASES = [50, pytest.param(2_000, marks=pytest.mark.soak)]
N: Final = 60
TOKYO: Final = timezone(timedelta(hours=9))
VALUES: Final[dict[str, list[Any]]] = {
    "whole": [None, 0, 1, -1, 2, 7, 2**53, 2**53 + 1, -(2**62), 2**62],
    "real": [None, math.nan, 0.0, -0.0, 0.5, -2.5, math.inf, -math.inf, 1e300, 5e-324],
    "text": [None, "", " ", "a", "A", "b", "ab", "é", "é", "straße", "日本", "\U0001f600", "~"],
    "flag": [None, True, False],
    "day": [None, date(1969, 12, 31), date(2024, 2, 29), date(2024, 3, 1)],
    "moment": [
        None,
        datetime(2024, 2, 29, 0, 30, tzinfo=TOKYO),
        datetime(2024, 2, 28, 15, 30, tzinfo=UTC),
        datetime(2024, 2, 29, 0, 30, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
    ],
}
DTYPES: Final = {"whole": "Int64", "real": "Float64", "text": "string", "flag": "boolean", "day": "object"}
COMPARED: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
AGGREGATES: Final[dict[str, tuple[str, ...]]] = {
    "count": ("whole", "real", "text", "flag", "day", "moment"),
    "min": ("whole", "real", "text", "day", "moment"),
    "max": ("whole", "real", "text", "day", "moment"),
    "n_unique": ("whole", "real", "text", "flag", "day", "moment"),
    "any": ("flag",),
    "all": ("flag",),
    "mean": ("flag", "small"),
    "sum": ("small",),
    "median": ("small",),
    "std": ("small",),
}


@pytest.mark.parametrize("cases", CASES)
def test_queries_agree_with_pandas(db: og.Workspace, cases: int) -> None:
    number = int(os.environ.get("ODIN_SEED") or SystemRandom().randrange(2**32))
    print(f"ODIN_SEED={number} repeats these cases")
    random = Random(number)
    frame = stored(db, random)
    for case in range(cases):
        query, expected = db.images(), frame
        said = ["images()"]
        for _ in range(random.randrange(4)):
            query, expected = random.choice(STEPS)(random, query, expected, said)
        answer = random.choice(ANSWERS)
        try:
            answer(random, query, expected, said)
        except Exception as error:
            error.add_note(f"case {case}: {' . '.join(said)}")
            raise


@pytest.mark.parametrize("cases", CASES)
def test_joins_of_predictions_agree_with_pandas(db: og.Workspace, cases: int) -> None:
    """What experiments say of some of the images beside their metadata: a left join, and three-valued logic."""
    number = int(os.environ.get("ODIN_SEED") or SystemRandom().randrange(2**32))
    print(f"ODIN_SEED={number} repeats these cases")
    random = Random(number)
    frame = joined(db, random, stored(db, random))
    fields = {
        f"{id_}.{name}": getattr(db.experiment(id_).on("some"), name)
        for id_ in ("one", "two")
        for name in ("predicted", "confidence", "wrong")
    }
    for case in range(cases):
        expression, of_frame, words = of_predictions(random, fields)
        expected = frame[of_frame(frame).fillna(False).astype(bool)]
        query = db.images().where(expression)
        try:
            table = query.select("id", **{name.replace(".", "_"): said for name, said in fields.items()}).to_arrow()
            assert table.column("id").to_pylist() == expected["id"].tolist()
            for name in fields:
                assert same(table.column(name.replace(".", "_")).to_pylist(), values_of(expected[name])), name
            groups = query.group_by(by=fields["one.predicted"]).agg(
                n=og.count(), wrong=fields["two.wrong"].mean(), sure=fields["two.confidence"].max()
            )
            found = {row["by"]: [row["n"], row["wrong"], row["sure"]] for row in groups.to_arrow().to_pylist()}
            parts = expected.groupby("one.predicted", dropna=False)
            assert found.keys() == {hashed(by) for by, _ in parts}
            for by, part in parts:
                numbers = [part["two.wrong"].astype("Float64").mean(), part["two.confidence"].max()]
                assert same(found[hashed(by)], [len(part), *values_of(pd.Series(numbers, dtype="Float64"))]), by
        except Exception as error:
            error.add_note(f"case {case}: {words}")
            raise


def joined(db: og.Workspace, random: Random, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame beside what two experiments say of parts of a data set that has not all of the images."""
    frame["label"] = pd.Series([random.choice("abc") for _ in range(N)], dtype="string")
    db.labels.update(dict(zip(frame["id"], frame["label"], strict=True)))
    members = random.sample(frame["id"].tolist(), 45)
    db.datasets.add("some", members)
    for id_ in ("one", "two"):
        said = pd.DataFrame({"id": random.sample(members, 30)})
        said["predicted"] = pd.Series(random.choices("abc", k=30), dtype="string")
        said["confidence"] = pd.Series(random.choices([0.25, 0.5, 0.75], k=30), dtype="Float64")
        with db.run(id=id_) as run:
            run.log_predictions("some", said["predicted"], images=said["id"], confidence=said["confidence"])
        frame = frame.merge(said.add_prefix(f"{id_}.").rename(columns={f"{id_}.id": "id"}), on="id", how="left")
        frame[f"{id_}.wrong"] = (frame[f"{id_}.predicted"] != frame["label"]).astype("boolean")
    return frame


def of_predictions(random: Random, fields: dict[str, Any], depth: int = 2) -> tuple[Any, Any, str]:
    """As `condition`, over predictions and metadata."""
    if depth and random.random() < 0.6:
        (a, of_a, x), (b, of_b, y) = (of_predictions(random, fields, depth - 1) for _ in range(2))
        return random.choice(
            [
                (~a, lambda f: ~of_a(f), f"~({x})"),
                (a & b, lambda f: of_a(f) & of_b(f), f"({x} & {y})"),
                (a | b, lambda f: of_a(f) | of_b(f), f"({x} | {y})"),
            ]
        )
    one, two = random.sample(["one", "two"], 2)
    op, sure, name = random.choice(list(COMPARED)), random.choice([0.25, 0.5, 0.6]), random.choice("abc")
    compare = COMPARED[op]
    expression, of_frame, words = random.choice(
        [
            condition(random, 0),
            (fields[f"{one}.wrong"], lambda f: f[f"{one}.wrong"], f"{one}.wrong"),
            (fields[f"{one}.predicted"] == name, lambda f: f[f"{one}.predicted"] == name, f"{one}.predicted is {name}"),
            (fields[f"{one}.predicted"].is_null(), lambda f: f[f"{one}.predicted"].isna(), f"{one} is missing"),
            (
                compare(fields[f"{one}.confidence"], sure),
                lambda f: compare(f[f"{one}.confidence"], sure),
                f"{one}.confidence {op} {sure}",
            ),
            (
                compare(fields[f"{one}.confidence"], fields[f"{two}.confidence"]),
                lambda f: compare(f[f"{one}.confidence"], f[f"{two}.confidence"]),
                f"{one}.confidence {op} {two}.confidence",
            ),
            (
                fields[f"{one}.predicted"] != F("label"),
                lambda f: f[f"{one}.predicted"] != f["label"],
                f"{one}.predicted is not the label",
            ),
        ]
    )
    return expression, lambda f: of_frame(f).astype("boolean"), words


def stored(db: og.Workspace, random: Random) -> pd.DataFrame:
    """The metadata in the workspace, and as pandas has it."""
    columns = {name: [random.choice(values) for _ in range(N)] for name, values in VALUES.items()}
    columns["small"] = [random.choice([None, 0.5, -1.25, 3.0, 8.0]) for _ in range(N)]
    for name, values in VALUES.items():
        columns[name][: len(values)] = values  # each at least once
    ids = [f"i{n:02}" for n in range(N)]
    db.images.add(images=np.arange(N * 16, dtype=np.uint16).reshape(N, 4, 4), ids=ids, metadata=columns)
    frame = pd.DataFrame({"id": ids})
    for name, values in columns.items():
        if name in ("real", "small"):
            some = [None if v is None or math.isnan(v) else v for v in values]
            frame[name] = pd.array(some, "Float64")
        elif name == "moment":
            frame[name] = pd.to_datetime(pd.Series(values), utc=True)
        else:
            frame[name] = pd.Series(values, dtype=DTYPES[name])
    return frame


def condition(random: Random, depth: int = 2) -> tuple[Any, Callable[[pd.DataFrame], pd.Series], str]:
    """An expression, the same over a frame as nullable booleans, and its words."""
    if depth and random.random() < 0.5:
        (a, of_a, x), (b, of_b, y) = condition(random, depth - 1), condition(random, depth - 1)
        how = random.choice("&|~")
        if how == "~":
            return ~a, lambda f: ~of_a(f), f"~({x})"
        if how == "&":
            return a & b, lambda f: of_a(f) & of_b(f), f"({x} & {y})"
        return a | b, lambda f: of_a(f) | of_b(f), f"({x} | {y})"
    name = random.choice(list(VALUES))
    some = [value for value in VALUES[name] if value is not None and value == value]
    if random.random() < 0.2:
        return F(name).is_null(), lambda f: f[name].isna().astype("boolean"), f"{name} is null"
    if random.random() < 0.25:
        asked = random.sample(some, min(len(some), 2))
        return F(name).isin(asked), lambda f: known(f[name], f[name].isin(plain(name, asked))), f"{name} in {asked!r}"
    value = random.choice(some)
    op = random.choice(["==", "!="] if name == "flag" else list(COMPARED))
    (given,) = plain(name, [value])
    return (
        COMPARED[op](F(name), value),
        lambda f: known(f[name], compared(f[name], op, given)),
        f"{name} {op} {value!r}",
    )


def plain(name: str, values: list[Any]) -> list[Any]:
    """As the frame has them."""
    return [pd.Timestamp(v).tz_convert("UTC") for v in values] if name == "moment" else values


def compared(column: pd.Series, op: str, value: Any) -> pd.Series:
    if column.dtype == object:  # dates, among them None, with which Python compares nothing
        return pd.Series([v is not None and COMPARED[op](v, value) for v in column], index=column.index)
    return COMPARED[op](column, value)


def known(column: pd.Series, said: pd.Series) -> pd.Series:
    """Missing where the column is."""
    return said.astype("boolean").mask(column.isna())


def where(random: Random, query: Any, frame: pd.DataFrame, said: list[str]) -> tuple[Any, pd.DataFrame]:
    expression, of_frame, words = condition(random)
    said.append(f"where({words})")
    return query.where(expression), frame[of_frame(frame).fillna(False).astype(bool)]


def order_by(random: Random, query: Any, frame: pd.DataFrame, said: list[str]) -> tuple[Any, pd.DataFrame]:
    names = random.sample(list(VALUES), random.choice([1, 2]))
    descending = [random.random() < 0.5 for _ in names]
    said.append(f"order_by({list(zip(names, descending, strict=True))})")
    query = query.order_by(*(F(name).desc() if down else F(name) for name, down in zip(names, descending, strict=True)))
    frame = frame.sort_values("id")  # ties go by key, and ids are in the order of keys
    for name, down in reversed(list(zip(names, descending, strict=True))):
        some, none = frame[frame[name].notna()], frame[frame[name].isna()]
        frame = pd.concat([some.sort_values(name, ascending=not down, kind="stable"), none])
    return query, frame


def limit(random: Random, query: Any, frame: pd.DataFrame, said: list[str]) -> tuple[Any, pd.DataFrame]:
    start, stop = random.choice([None, 0, 3, -40]), random.choice([None, 5, 30, -2, 10**30])
    said.append(f"[{start}:{stop}]")
    return query[start:stop], frame.iloc[start : None if stop == 10**30 else stop]


def distinct(random: Random, query: Any, frame: pd.DataFrame, said: list[str]) -> tuple[Any, pd.DataFrame]:
    names = random.sample(list(VALUES), random.choice([1, 2]))
    said.append(f"distinct({names})")
    return query.distinct(*names), frame.drop_duplicates(names)


def with_columns(random: Random, query: Any, frame: pd.DataFrame, said: list[str]) -> tuple[Any, pd.DataFrame]:
    said.append("with_columns(real)")
    added = f"added{len(said)}"
    return query.with_columns(**{added: F("small") * 2 + 1}), frame.assign(**{added: frame["small"] * 2 + 1})


STEPS: Final = [where, where, order_by, limit, distinct, with_columns]


def rows(random: Random, query: Any, frame: pd.DataFrame, said: list[str]) -> None:
    said.append("to_arrow()")
    names = [name for name in frame.columns if not name.startswith("added")]
    table = query.to_arrow(*names)
    assert table.column("id").to_pylist() == frame["id"].tolist()
    for name in frame.columns:
        assert same(table.column(name).to_pylist(), values_of(frame[name])), name
    assert query.count() == len(frame)


def groups(random: Random, query: Any, frame: pd.DataFrame, said: list[str]) -> None:
    by = random.sample(list(VALUES), random.choice([0, 1, 1, 2]))
    chosen = {}
    for place in range(3):
        name = random.choice(list(AGGREGATES))
        chosen[f"a{place}"] = (name, random.choice(AGGREGATES[name]))
    said.append(f"group_by({by}).agg({chosen})")
    aggregates = {column: getattr(F(of), name)() for column, (name, of) in chosen.items()}
    table = query.group_by(*by).agg(n=og.count(), **aggregates).to_arrow()
    parts = [((), frame)] if not by else [(key, part) for key, part in frame.groupby(by, dropna=False, sort=False)]
    expected = {
        tuple(map(hashed, key)): [len(part), *(reduced(part[of], name) for name, of in chosen.values())]
        for key, part in parts
    }
    found = {
        tuple(hashed(row[name]) for name in by): [row["n"], *(row[column] for column in chosen)]
        for row in table.to_pylist()
    }
    assert found.keys() == expected.keys()
    assert len(found) == table.num_rows
    for key, values in expected.items():
        assert same(found[key], values), key


def hashed(value: Any) -> Any:
    """A key of a group: missing ones are one, as are both zeros."""
    return None if pd.isna(value) else pd.Timestamp(value) if isinstance(value, datetime) else value


def reduced(column: pd.Series, name: str) -> Any:
    some = column.dropna()
    if name == "count":
        return len(some)
    if name == "n_unique":
        return some.nunique()
    if not len(some):
        return None
    if column.name in ("small", "flag") and name in ("mean", "sum", "median", "std"):
        numbers = some.astype(float)
        number = float(getattr(numbers, name)())
        return None if math.isnan(number) else number  # the deviation of a single one
    return values_of(pd.Series([getattr(some, name)()], dtype=some.dtype if name in ("min", "max") else None))[0]


def values_of(column: pd.Series) -> list[Any]:
    return [None if pd.isna(v) else v.to_pydatetime() if isinstance(v, pd.Timestamp) else v for v in column]


def same(found: list[Any], expected: list[Any]) -> bool:
    """Equal, floats to their last digits, which depend on the order of a sum."""
    return len(found) == len(expected) and all(
        math.isclose(a, b, rel_tol=1e-12) if isinstance(a, float) and isinstance(b, float) and b == b else a == b
        for a, b in zip(found, expected, strict=True)
    )


ANSWERS: Final = [rows, rows, groups]
