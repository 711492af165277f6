"""Saved views: named, versioned, listed, composable."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import odin_graph as og
from odin_graph import F
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.objects.query.derived import DerivedQuery
from odin_graph.objects.query.things import ThingQuery
from tests.kept import kept


@kept
def scans(db: og.Workspace) -> og.Workspace:
    pixels = np.arange(8 * 16, dtype=np.uint8).reshape(8, 4, 4)
    db.images.add(images=pixels, labels=["cat", "dog"] * 4, metadata={"age": list(range(8))})
    db.datasets.add("pets", db.images()[:6])
    return db


def test_a_view_is_the_query_again(scans: og.Workspace) -> None:
    query = scans.images("pets").where(F("age") > 2)
    scans.views.add("old pets", query)
    held = scans.views["old pets"]
    assert isinstance(held, og.Query)
    assert held.plan == query.plan
    assert held.where(F("label") == "cat").to_pandas("age")["age"].tolist() == [4]
    assert held.union(scans.images("pets")[:1]).count() == 4


def test_versions_are_counted(scans: og.Workspace) -> None:
    scans.views.add("old", scans.images().where(F("age") > 2))
    scans.views.add("old", scans.images().where(F("age") > 2))
    scans.views.add("old", scans.images().where(F("age") > 5))
    scans.views.add("every kind", scans.images().group_by("label").count())
    frame = scans.views.to_pandas()
    assert frame["id"].tolist() == ["every kind@1", "old@1", "old@2"]
    assert frame["query"][1] == 'images().where(F("age") > 2)'
    assert scans.views.ids() == ["every kind", "old"]
    assert len(scans.views) == 2
    assert [len(scans.views[name]) for name in ("old@1", "old@2", "old")] == [5, 2, 2]
    assert scans.views["every kind"].to_arrow().to_pylist() == [{"label": "cat", "n": 4}, {"label": "dog", "n": 4}]
    assert "old@2" in scans.views
    assert "older" not in scans.views
    scans.views.delete("old@2")
    assert len(scans.views["old"]) == 5
    scans.views.delete("old")
    with pytest.raises(UnknownNameError, match="There is no view 'old'"):
        scans.views["old"]
    assert "every kind" in scans.views._repr_html_()


def test_views_of_other_things(scans: og.Workspace) -> None:
    scans.views.add("large", scans.datasets.where(F("size") > 5))
    scans.views.add("thumbs", scans.images("pets").resize((2, 2)))
    large, thumbs = scans.views["large"], scans.views["thumbs"]
    assert isinstance(large, ThingQuery)
    assert large.ids() == ["pets@1"]
    assert isinstance(thumbs, DerivedQuery)
    assert thumbs.to_numpy().shape == (6, 2, 2, 1)
    assert 'images("pets@1").resize(...)' in scans.views.to_pandas()["query"].tolist()


def test_a_view_over_what_is_gone_says_so(scans: og.Workspace) -> None:
    scans.views.add("pets", scans.images("pets").where(F("label") == "cat"))
    scans.dataset("pets").delete()
    with pytest.raises(QueryError, match=r"'pets@1' uses something that is missing: .*db.views.delete\('pets'\)"):
        scans.views["pets"]
    assert scans.views.ids() == ["pets"]


@pytest.mark.parametrize("name", ["", " ", "old@3", 7, "x" * 201])
def test_names_that_are_none(scans: og.Workspace, name: str) -> None:
    with pytest.raises(QueryError):
        scans.views.add(name, scans.images())
    assert len(scans.views) == 0


def test_no_version_is_lost_to_another_writer(scans: og.Workspace) -> None:
    def save(first: int) -> None:
        for age in range(first, first + 3):
            scans.views.add("raced", scans.images().where(F("age") == age))

    threads = [threading.Thread(target=save, args=(10 * number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert scans.views.to_pandas()["version"].tolist() == list(range(1, 25))
    assert examine(scans._stores).sound


def test_only_queries_are_views(scans: og.Workspace) -> None:
    with pytest.raises(QueryError, match="A view is a query"):
        scans.views.add("x", ["a"])  # type: ignore[arg-type]
