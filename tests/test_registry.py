"""The one registry pattern: names, conflicts, entry points and broken plug-ins."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from odin_graph.errors import ConflictError, UnknownNameError
from odin_graph.registry import PluginError, Registry

GROUP = "odin_graph_tests.things"


def install(folder: Path, distribution: str, entries: dict[str, str]) -> None:
    """Lay out a distribution as an installer does: its metadata, with entry points."""
    info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    points = "".join(f"{name} = {target}\n" for name, target in entries.items())
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{points}")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python imports from and finds distributions in."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def things() -> Registry[object]:
    return Registry(kind="thing", group=GROUP)


def test_a_registered_entry_is_found_by_its_name(things: Registry[object]) -> None:
    @things.register("quarter-turn")
    class QuarterTurn:
        pass

    assert things.get("quarter-turn") is QuarterTurn
    assert "quarter-turn" in things
    assert list(things) == ["quarter-turn"]


def test_an_unknown_name_lists_the_entries(things: Registry[object]) -> None:
    things.register("resize")(object())
    with pytest.raises(UnknownNameError) as caught:
        things.get("resise")
    assert str(caught.value) == (
        "There is no thing 'resise'. Did you mean 'resize'? There is: resize. A package that registers it "
        "(entry points 'odin_graph_tests.things') may be missing here."
    )


@pytest.mark.parametrize("name", ["Resize", "re size", "-resize", "resize-", "re_size", ""])
def test_a_name_is_lower_case_words_joined_by_hyphens(things: Registry[object], name: str) -> None:
    with pytest.raises(ConflictError, match="use lower case words joined by hyphens"):
        things.register(name)


def test_the_last_to_register_does_not_win(things: Registry[object]) -> None:
    @things.register("resize")
    class First:
        pass

    with pytest.raises(ConflictError, match=r"is registered already, by .*First\. Give .*Second another name"):

        @things.register("resize")
        class Second:
            pass

    assert things.get("resize") is First


def test_a_definition_run_again_replaces_itself(things: Registry[object]) -> None:
    def cell() -> type:
        @things.register("resize")
        class Resize:
            pass

        return Resize

    first, second = cell(), cell()
    assert first is not second
    assert things.get("resize") is second


def test_only_the_entry_point_that_is_asked_for_is_imported(things: Registry[object], site: Path) -> None:
    (site / "plugin_asked.py").write_text("entry = 'asked'\n")
    (site / "plugin_other.py").write_text("entry = 'other'\n")
    install(site, "plugin-one", {"asked": "plugin_asked:entry", "other": "plugin_other:entry"})
    assert list(things) == ["asked", "other"]
    assert things.get("asked") == "asked"
    assert "plugin_asked" in sys.modules
    assert "plugin_other" not in sys.modules


def test_two_packages_with_one_name_are_both_named(things: Registry[object], site: Path) -> None:
    install(site, "plugin-a", {"blur": "package_a:Blur"})
    install(site, "plugin-b", {"blur": "package_b:Blur"})
    with pytest.raises(ConflictError) as caught:
        things.get("blur")
    assert str(caught.value) == (
        "Several packages register the thing 'blur': package_a:Blur, package_b:Blur. Rename or uninstall all but one."
    )


def test_a_package_that_claims_a_registered_name_is_named(things: Registry[object], site: Path) -> None:
    (site / "plugin_blur.py").write_text("class Blur: ...\n")
    install(site, "plugin-blur", {"blur": "plugin_blur:Blur"})

    @things.register("blur")
    class Blur:
        pass

    with pytest.raises(
        ConflictError, match=r"register the thing 'blur': plugin_blur:Blur, tests\.test_registry\..*Blur"
    ):
        things.get("blur")


def test_an_entry_point_of_what_is_registered_is_no_second_claim(things: Registry[object], site: Path) -> None:
    (site / "plugin_same.py").write_text("class Same: ...\n\nagain = Same\n")
    install(site, "plugin-same", {"same": "plugin_same:again"})
    registered = things.register("same")(importlib.import_module("plugin_same").Same)
    assert things.get("same") is registered


@pytest.mark.parametrize("name", ["plain_under", "plain-under"])
def test_an_entry_point_has_a_name_of_words_joined_by_hyphens(things: Registry[object], site: Path, name: str) -> None:
    install(site, "plugin-under", {"plain_under": "plugin_under:entry"})
    assert name in things
    with pytest.raises(PluginError) as caught:
        things.get(name)
    assert str(caught.value) == (
        "The entry point 'plain_under' (plugin_under:entry) is not a name for a thing: use lower case words joined by "
        "hyphens, as in 'plain-under'."
    )


def test_a_plugin_that_does_not_import_is_named(things: Registry[object], site: Path) -> None:
    (site / "plugin_broken.py").write_text("raise RuntimeError('no license')\n")
    install(site, "plugin-broken", {"broken": "plugin_broken:entry"})
    with pytest.raises(PluginError) as caught:
        things.get("broken")
    assert str(caught.value) == "The thing 'broken' (plugin_broken:entry) cannot be loaded: no license"
    assert isinstance(caught.value.__cause__, RuntimeError)
