"""The names of metadata: one rule for Cypher, Arrow and Python."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odin_graph.errors import MetadataError, UnknownNameError
from odin_graph.graph.writer import quoted
from odin_graph.schema.kinds import DESCRIBED
from odin_graph.schema.metadata import suggest
from odin_graph.schema.metadata.names import LONGEST
from odin_graph.schema.reserved import check_name, reserved

ALLOWED = [
    "age",
    "patientID",
    "Patient ID",
    "eye-side",
    "dicom.Modality",
    "größe",
    "年齢",
    "MATCH",
    "class",
    "a_b",
    "x2",
    "e" * LONGEST,
]
REFUSED = [
    "",
    " ",
    "age ",
    " age",
    "Patient  ID",
    "_age",
    "age_",
    "1st",
    "a`b",
    "a'b",
    'a"b',
    "a\\b",
    "a\nb",
    "a:b",
    "$a",
    "@rid",
    "a}) DETACH DELETE n //",
    "size (mm)",
    "e" * (LONGEST + 1),
    "a\u200bb",
    "e\u0301ge",
    "-",
    "a-",
]


@pytest.mark.parametrize("name", ALLOWED)
def test_names_of_every_language_are_allowed(name: str) -> None:
    check_name("Image", name)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(
        MetadataError, match="is not a metadata name: use letters, digits and underscores, in words joined"
    ):
        check_name("Image", name)


def test_a_refused_name_comes_with_one_that_is_allowed() -> None:
    with pytest.raises(MetadataError) as caught:
        check_name("Image", "size (mm)")
    assert str(caught.value) == (
        "'size (mm)' is not a metadata name: use letters, digits and underscores, in words joined by one space, hyphen "
        "or dot, the first character a letter, 128 characters at most. For example 'size mm'."
    )


def test_names_of_ours_are_refused_with_the_list() -> None:
    with pytest.raises(MetadataError) as caught:
        check_name("Image", "digest")
    assert str(caught.value) == (
        "'digest' is a property of ours: give the metadata another name. Ours on Image are: bands, created_at, "
        "deleted, digest, dtype, file_digest, height, id, key, label, odin_origins, path, width."
    )


@pytest.mark.parametrize("kind", DESCRIBED)
def test_every_property_of_ours_is_reserved_on_its_kind(kind: str) -> None:
    for name in reserved(kind):
        with pytest.raises(MetadataError, match="is a property of ours"):
            check_name(kind, name)
    with pytest.raises(MetadataError, match="names that start with 'odin_' are kept for odin_graph"):
        check_name(kind, "odin_age")


def test_another_kinds_properties_are_free() -> None:
    check_name("Image", "seed")
    check_name("Experiment", "height")


def test_a_kind_without_metadata_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="There is no kind that takes metadata 'Segment'"):
        check_name("Segment", "age")


@given(st.text(max_size=40))
def test_whatever_passes_is_harmless_in_cypher(name: str) -> None:
    """The writer quotes by backticks; the rule leaves nothing that could end them."""
    try:
        check_name("Image", name)
    except MetadataError:
        return
    assert not set(name) & set("`\\{}()[]'\"$:;/\n")
    assert quoted(name) == f"`{name}`"


@given(st.text(max_size=40))
def test_a_suggestion_is_a_name(name: str) -> None:
    if (near := suggest(name)) and near not in reserved("Image") and not near.lower().startswith("odin_"):
        check_name("Image", near)
