"""docs/extending.md: each recipe is built as a package outside of ours, from the page itself, and used as it says."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import odin_graph as og
from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.objects.query.query import Query
from odin_graph.ops import OPS
from odin_graph.query.names.sources import SOURCES
from odin_graph.query.plan.registered_step import STEPS
from odin_graph.runtime.models.formats import FORMATS
from odin_graph.schema.added_kinds import ADDED
from odin_graph.schema.tasks import TASKS
from tests.docs.pages import DOCS

pytestmark = pytest.mark.one_engine  # what a package registers: both engines have kinds of a user's in tests/catalog

PAGE = (DOCS / "extending.md").read_text(encoding="utf-8")
TEXT = re.sub(r"^## A reader\n.*?(?=^## |\Z)", "", PAGE, flags=re.M | re.S)
"""Without the reader, which tests/ingest/test_a_reader_of_a_package.py builds."""
MOST = {
    "An image operation": 30,
    "A step of a query": 31,
    "A task": 100,
    "A format of models": 30,
    "A kind of things": 40,
    "A source of images": 10,
}
"""Lines of code of a recipe, without those that are empty."""


def parts() -> dict[str, str]:
    """The recipes by their headings."""
    _, *titled = re.split(r"^## (.*)\n", TEXT, flags=re.M)
    return dict(zip(titled[::2], titled[1::2], strict=True))


def files(text: str) -> dict[str, str]:
    """The files of the package: the blocks that begin with a path."""
    blocks = re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```$", text, re.M | re.S)
    return dict(blocks)


def usage(text: str) -> Iterator[str]:
    """The other blocks, of who uses it."""
    return (block for block in re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S) if block[:2] != "# ")


def install(text: str, folder: Path) -> None:
    """Lay the package out as an installer does."""
    for name, source in files(text).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    info = folder / "eye_tools-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: eye-tools\nVersion: 1.0\n")
    lines = []
    for block in re.findall(r"^```toml\n(.*?)^```$", text, re.M | re.S):
        for group, entries in tomllib.loads(block)["project"]["entry-points"].items():
            lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def check_step(db: og.Workspace, names: dict[str, Any]) -> None:
    thirds, few = names["thirds"], db.images()[:12]
    table = thirds.to_pandas("label", "share")
    assert table[["label", "share"]].to_numpy().tolist() == [[0.0, 0.0], [180.0, 0.5], [330.0, 1.0]]
    assert names["same"].plan == thirds.plan
    assert Query.from_json(db.images().address, thirds.to_json()).plan == thirds.plan
    assert thirds.where(og.F("share") > 0).count() == 2
    assert repr(thirds).endswith("[:12].quantiles(field='label', k=3))")
    assert "plug-in" in str(thirds.explain(run=True))
    assert few.where(og.F("label") > 1000).quantiles("label").count() == 0
    with pytest.raises(QueryError, match=r"quantiles\(\) has no form in Cypher: it is calculated beside the graph"):
        thirds.to_cypher()
    with pytest.raises(QueryError, match="takes at least 2 images, not k=1"):
        few.quantiles("label", k=1)
    with pytest.raises(UnknownNameError, match="There is no image field 'labl'"):
        few.quantiles("labl")
    with pytest.raises(UnknownNameError, match="parameter of the query step 'quantiles': 'n'"):
        few.quantiles("label", n=3)
    with pytest.raises(QueryError, match=r"quantiles\(\) takes field, k: k came twice"):
        few.quantiles("label", 3, k=3)
    with pytest.raises(QueryError, match=r"already, and quantiles\(\) adds one of that name"):
        thirds.quantiles("label")
    with pytest.raises(QueryError, match=r"quantiles\(\) comes before it"):
        few.group_by("label").agg(n=og.count())._then(thirds.plan.steps[-1])
    with pytest.raises(AttributeError, match="no attribute 'quantile'"):
        few.quantile  # noqa: B018 - a name that is none


def check_kinds(db: og.Workspace, names: dict[str, Any]) -> None:
    patients, diagnoses, ann = names["patients"], names["diagnoses"], names["ann"]
    assert (ann.born, ann.site, ann.images().ids()) == (1960, "Lima", db.images()[:3].ids())
    assert db.images(ann).ids() == ann.images().ids()
    assert patients.ids() == ["ann", "bea", "cid"]
    assert list(names["rows"]) == [{"patient": "ann", "grade": 2}]
    assert diagnoses["d1"].facts.items() >= {"grade": 3, "state": "closed", "patient": "ann"}.items()
    assert db.impact(db.images()[1]).counts["diagnoses"] == 1
    assert db.doctor().sound


def test_every_recipe_is_short_and_is_in_the_table() -> None:
    table = re.findall(r"^\| \[(.*?)\]\(#.*?\) \| (\d+) \| `([a-z_.]+)` \|$", TEXT, re.M)
    for name, number, group in table:
        if name == "a reader":
            continue
        part = next(text for title, text in parts().items() if title.lower() == name)
        assert len(files(part)) == int(number)
        assert f'[project.entry-points."{group}"]' in part
    for name, most in MOST.items():
        lines = [line for source in files(parts()[name]).values() for line in source.splitlines() if line.strip()]
        assert 0 < len(lines) < most


def test_the_package_works_as_the_page_says(db: og.Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "angle" not in TASKS
    for registry in (ADDED, FORMATS, OPS, STEPS, TASKS, SOURCES):  # what the package registers goes with it
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    site = tmp_path / "site"
    site.mkdir()
    install(TEXT, site)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(og, "connect", lambda *_, **__: db)
    names: dict[str, Any] = {}
    for block in usage(TEXT):
        exec(compile(block, "extending.md", "exec"), names)

    assert "gamma" in OPS
    pixels = db.images()[0].pixels.astype(float)
    np.testing.assert_array_equal(names["bright"][0].pixels, np.rint(255 * (pixels / 255) ** 0.4).astype(np.uint8))

    assert str(names["corrected"].preprocess) == "gamma(power=0.4) > to-float(maximum=None)"
    assert str(names["by_name"].preprocess) == "gamma(power=0.5) > to-float(maximum=None)"
    assert names["geometry"](None, 5, 8).box_on_parent((0, 0, 4, 3)) == (0, 0, 8, 6)

    check_step(db, names)

    assert names["matched"]["template"].tolist()[:2] == ["a", "b"]
    assert names["matching"].classes == ("a", "b")

    assert names["hers"].ids() == names["same_images"].ids() == db.images()[1:3].ids()
    check_kinds(db, names)

    held = names["results"]
    assert (held.task, held.classes) == ("angle", ())
    assert held["mean-degrees"] == pytest.approx((15 + 5) / 6)
    assert held["within-tolerance"] == pytest.approx(5 / 6)
    assert "mean-degrees 3.333" in str(held)
    assert (tmp_path / "angles.png").read_bytes()[:4] == b"\x89PNG"
    targets = np.sort(np.asarray(names["targets"]), axis=0)
    turns = np.radians(30.0 * np.arange(6))
    np.testing.assert_allclose(targets, np.sort(np.stack([np.cos(turns), np.sin(turns)], 1), axis=0), atol=1e-6)
    turned = db.experiment("turned").results(names["test"])
    assert turned.task == "angle"
    assert 0 <= turned["mean-degrees"] <= 180
    assert names["compared"].n == 6
    by_label = db.experiment("by-hand").results(names["test"], group_by="label")
    assert by_label.groups is not None
    assert by_label.groups[210.0].overall == pytest.approx({"mean-degrees": 15.0, "within-tolerance": 0.0})
    by_label.save(tmp_path / "groups.png")
    assert db.experiments().where(og.F("results.mean-degrees") < 4).ids() == ["by-hand"]
