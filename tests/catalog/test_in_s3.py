"""Garbage, purges and the doctor where the arrays are in a bucket, by the same tests; and backups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import odin_graph as og
from odin_graph.address import Address
from tests.catalog.test_gc import (
    keys,
    test_an_abandoned_data_set_goes_with_its_edges,
    test_segments_that_compaction_replaced_go,
    test_what_is_named_stays,
    test_what_nothing_names_goes_when_it_is_old_enough,
)
from tests.catalog.test_purge import (
    clinic,
    test_a_compaction_that_began_before_cannot_bring_it_back,
    test_a_purge_goes_on_where_another_stopped,
    test_an_index_that_nothing_names_tells_its_keys,
    test_derived_images_go_too_and_copies_are_named,
    test_nothing_of_a_purged_image_is_left_in_any_file,
    test_what_nothing_names_and_holds_the_image_goes,
)
from tests.conftest import Engine
from tests.engines.s3 import S3Server, in_s3
from tests.workspaces import add_digits, connect

__all__ = [
    "clinic",
    "keys",
    "test_a_compaction_that_began_before_cannot_bring_it_back",
    "test_a_purge_goes_on_where_another_stopped",
    "test_an_abandoned_data_set_goes_with_its_edges",
    "test_an_index_that_nothing_names_tells_its_keys",
    "test_derived_images_go_too_and_copies_are_named",
    "test_nothing_of_a_purged_image_is_left_in_any_file",
    "test_segments_that_compaction_replaced_go",
    "test_what_is_named_stays",
    "test_what_nothing_names_and_holds_the_image_goes",
    "test_what_nothing_names_goes_when_it_is_old_enough",
]
pytestmark = pytest.mark.soak


@pytest.fixture
def address(engine: Engine, s3: S3Server, tmp_path: Path) -> Address:
    """Of an empty workspace with its arrays in the bucket, not yet opened."""
    engine.wipe()
    return engine.address(in_s3(tmp_path))


def test_a_backup_holds_what_is_in_the_bucket(address: Address, s3: S3Server, tmp_path: Path) -> None:
    """Restored, it needs the bucket no more. With a graph server both are refused, with the reason."""
    with connect(address) as db:
        add_digits(db, 10)
        expected = {image.id: image.pixels for image in db.images()}
        if address.folder is None:
            with pytest.raises(og.WorkspaceError, match="server"):
                db.backup(tmp_path / "copy.odin", progress=False)
            return
        db.backup(tmp_path / "copy.odin", progress=False)
    for name in s3.names(address.arrays):
        s3.delete(name)
    with og.restore(tmp_path / "copy.odin", tmp_path / "restored.odin", progress=False) as db:
        found = {image.id: image.pixels for image in db.images()}
        assert found.keys() == expected.keys()
        for id_, pixels in expected.items():
            np.testing.assert_array_equal(found[id_], pixels)
        assert db.doctor(deep=True).sound
