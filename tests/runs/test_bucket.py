"""A run whose workdir is in a bucket."""

import chex
import pytest

from tests.runs.test_checkpoint import restore, saved, state


@pytest.mark.slow
def test_a_damaged_checkpoint_in_a_bucket_is_set_aside(bucket, caplog):
    saved(bucket, steps=(1, 2))
    assert {p.name for p in bucket.iterdir()} == {"1", "2"}
    (bucket / "2" / "default" / "_METADATA").unlink()
    chex.assert_trees_all_equal(restore(bucket, state(0)), state(1))
    assert "damaged_2" in caplog.text
    assert {p.name for p in bucket.iterdir()} == {"1", "damaged_2"}
