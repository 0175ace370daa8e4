import collections
import json
import random
import shutil

import chex
import jax.numpy as jnp
import numpy as np
import pytest

from drnet_jax.models.state import NetworkState, PredictorState
from drnet_jax.runs.checkpoint import Checkpoints
from tests.helpers import command_line


def state(step, width=3):
    params = {"predictor": {"kernel": jnp.full((width, 2), float(step)), "bias": jnp.zeros(2)}}
    networks = NetworkState(params, {"predictor": {}}, (jnp.ones(2) * step,))
    return PredictorState(jnp.asarray(step, jnp.int32), networks)


def saved(folder, steps=(1, 2, 3), keep=2):
    with Checkpoints(folder, keep) as checkpoints:
        for step in steps:
            checkpoints.save(step, state(step))
    return folder


def restore(folder, like):
    with Checkpoints(folder, keep=2) as checkpoints:
        return checkpoints.restore(like)


def test_newest_comes_back_and_old_ones_go(tmp_path):
    saved(tmp_path)
    chex.assert_trees_all_equal(restore(tmp_path, state(0)), state(3))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2", "3"]


def test_metrics_since_the_last_log_come_back_or_are_noticed(tmp_path):
    losses = {"loss": [0.1, float(np.float32(1) / 3), 1e-30]}
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        checkpoints.save(1, state(1))
        checkpoints.save(2, state(2), losses)
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        assert checkpoints.since_log(2) == losses
        assert checkpoints.since_log(1) == checkpoints.since_log(0) == {}
    metadata = tmp_path / "2" / "default" / "_METADATA"
    whole = metadata.read_text()
    for old, new in (("0.1,", "0.2,"), ("since_log", "since_lof")):
        assert old in whole
        metadata.write_text(whole.replace(old, new, 1))
        with Checkpoints(tmp_path, keep=2, read_only=True) as checkpoints:
            expected = state(2) if new == "since_lof" else state(1)
            chex.assert_trees_all_equal(checkpoints.restore(state(0)), expected)


def test_relative_folders_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved("runs/quick")
    chex.assert_trees_all_equal(restore("runs/quick", state(0)), state(3))


def test_empty_folder_has_nothing(tmp_path):
    assert restore(tmp_path, state(0)) is None


@pytest.mark.parametrize("damage", ["truncate", "remove", "metadata"])
def test_damaged_checkpoint_is_set_aside_for_the_one_before(tmp_path, damage, caplog):
    saved(tmp_path)
    files = [p for p in (tmp_path / "3").rglob("*") if p.is_file()]
    if damage == "metadata":
        files = [p for p in files if p.name == "_METADATA"]
    for path in files:
        if damage == "truncate":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        else:
            path.unlink()
    chex.assert_trees_all_equal(restore(tmp_path, state(0)), state(2))
    assert "damaged_3" in caplog.text
    assert (tmp_path / "damaged_3").exists()
    # The run goes on, and saves step 3 again.
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        checkpoints.save(3, state(3))
    chex.assert_trees_all_equal(restore(tmp_path, state(0)), state(3))


def flip_bits(folder, num_per_file):
    """Prints how often which step came back after a bit of some file of step 3 was flipped."""
    whole, damaged, rng = saved(folder / "whole"), folder / "damaged", random.Random(0)
    came_back = collections.Counter()
    for path in sorted(p for p in (whole / "3").rglob("*") if p.is_file()):
        for _ in range(num_per_file):
            shutil.copytree(whole, damaged)
            content = bytearray(path.read_bytes())
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            (damaged / path.relative_to(whole)).write_bytes(content)
            restored = restore(damaged, state(0))
            chex.assert_trees_all_equal(restored, state(int(restored.step)))
            came_back[int(restored.step)] += 1
            shutil.rmtree(damaged)
    print(json.dumps(came_back))


@pytest.mark.slow
def test_a_flipped_bit_is_noticed_or_harmless(tmp_path):
    """In every file of a checkpoint: what comes back is what was saved, or the checkpoint before.

    In a process of its own, as Orbax leaves coroutines behind when one of them fails.
    """
    program = "import pathlib, sys; from tests.runs.test_checkpoint import flip_bits; "
    program += "flip_bits(pathlib.Path(sys.argv[1]), num_per_file=3)"
    result = command_line.run(str(tmp_path), program=program)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout).keys() == {"2", "3"}


def test_a_folder_that_is_gone_is_one_line(tmp_path):
    checkpoints = Checkpoints(tmp_path / "run", keep=2)
    (tmp_path / "run").rmdir()
    (tmp_path / "run").write_text("")
    with pytest.raises(OSError, match=r"^Checkpoints cannot be written to .*/run: Not a dir.*\.$"):
        for step in (1, 2):
            checkpoints.save(step, state(step))
        checkpoints.close()


def test_a_reader_moves_nothing(tmp_path, caplog):
    saved(tmp_path)
    (tmp_path / "3" / "default" / "_METADATA").unlink()
    with Checkpoints(tmp_path, keep=2, read_only=True) as checkpoints:
        chex.assert_trees_all_equal(checkpoints.restore(state(0)), state(2))
    assert "damaged" in caplog.text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2", "3"]


def test_nothing_is_lost_when_no_checkpoint_can_be_read(tmp_path):
    saved(tmp_path)
    for path in tmp_path.rglob("_METADATA"):
        path.unlink()
    with pytest.raises(ValueError, match=r"None of the checkpoints in .* can be read"):
        restore(tmp_path, state(0))
    assert (tmp_path / "2").exists()
    assert (tmp_path / "3").exists()


def test_other_architecture_is_refused_by_name_and_kept(tmp_path):
    saved(tmp_path)
    with pytest.raises(ValueError, match=r"predictor/kernel is \(3, 2\), the model has \(5, 2\)"):
        restore(tmp_path, state(0, width=5))
    assert (tmp_path / "3").exists()


def test_every_device_gets_a_copy(tmp_path):
    import jax

    from drnet_jax.base import sharding

    saved(tmp_path)
    like = jax.device_put(state(0), sharding.replicated(sharding.data_mesh()))
    restored = restore(tmp_path, like)
    kernel = restored.predictor.params["predictor"]["kernel"]
    assert len(kernel.sharding.device_set) == 2
    np.testing.assert_array_equal(kernel, 3.0)
