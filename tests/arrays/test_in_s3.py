"""What holds of a store in a local folder holds in a bucket: the same tests, with the root of the store there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.arrays.test_contents import (
    test_a_commit_that_is_lost_under_an_open_store_is_an_error,
    test_a_commit_that_is_lost_while_units_are_read_is_an_error,
    test_a_damaged_file_is_never_read_as_something_else,
    test_a_segment_without_a_digest_is_a_fault,
    test_each_commit_of_several_that_is_lost_under_an_open_store_is_an_error,
    test_no_clock_takes_part_in_what_is_written,
    test_segments_that_change_places_are_refused,
    test_what_a_fast_clock_wrote_is_there,
    test_what_is_written_into_a_segment_is_refused,
)
from tests.arrays.test_tiled import (
    test_a_box_that_is_none_is_refused,
    test_a_crop_reads_its_tiles_alone,
    test_boxes_of_every_kind_of_segment,
    test_compaction_leaves_it_alone,
    test_floats_that_are_no_numbers_survive,
    test_more_than_the_memory_is_refused_with_the_remedy,
    test_the_overview_is_the_mean_of_squares,
    test_what_cannot_be_stored_is_refused_and_nothing_is_left,
)
from tests.engines.s3 import S3Server, in_s3

__all__ = [
    "test_a_box_that_is_none_is_refused",
    "test_a_commit_that_is_lost_under_an_open_store_is_an_error",
    "test_a_commit_that_is_lost_while_units_are_read_is_an_error",
    "test_each_commit_of_several_that_is_lost_under_an_open_store_is_an_error",
    "test_a_crop_reads_its_tiles_alone",
    "test_a_damaged_file_is_never_read_as_something_else",
    "test_a_segment_without_a_digest_is_a_fault",
    "test_boxes_of_every_kind_of_segment",
    "test_compaction_leaves_it_alone",
    "test_floats_that_are_no_numbers_survive",
    "test_more_than_the_memory_is_refused_with_the_remedy",
    "test_no_clock_takes_part_in_what_is_written",
    "test_segments_that_change_places_are_refused",
    "test_the_overview_is_the_mean_of_squares",
    "test_what_a_fast_clock_wrote_is_there",
    "test_what_cannot_be_stored_is_refused_and_nothing_is_left",
    "test_what_is_written_into_a_segment_is_refused",
]
pytestmark = pytest.mark.soak


@pytest.fixture
def root(s3: S3Server, tmp_path: Path) -> str:
    """Of a store, in the bucket."""
    return in_s3(tmp_path)


@pytest.fixture
def past(s3: S3Server) -> S3Server:
    """The way past it."""
    return s3
