import jax
import pytest

from drnet_jax.base.errors import InputError
from drnet_jax.commands import train
from drnet_jax.runs import memory
from drnet_jax.runs.run import create_run
from tests.helpers import command_line


@pytest.fixture
def run(config, tmp_path):
    return create_run(config, tmp_path)


def test_layers_have_the_sizes_of_dcgan(run):
    """16 x 16 frames, two channels in the first stage, four in the second, float32."""
    layers = memory.layer_bytes(run)
    assert max(layers["pose_encoder"]) == max(layers["content_encoder"]) == 8 * 8 * 2 * 4
    assert layers["pose_encoder"].count(4 * 4 * 4 * 4) >= 1
    # The frames themselves are the largest output.
    assert max(layers["decoder"]) == 16 * 16 * 3 * 4


def test_a_step_needs_no_less_than_estimated(run):
    """XLA's own numbers are the second opinion."""
    stage = train.drnet_stage(run)
    state = jax.eval_shape(run._init_drnet, run.key)

    def step(state, inputs):
        return stage.step(1, state, inputs)

    inputs = next(stage.inputs(0, 1))
    found = jax.jit(step).lower(state, inputs).compile().memory_analysis()
    used = found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes
    estimate = next(memory.training_needs(run))
    assert estimate.setting == "drnet.batch_size"
    assert 0.02 * used < estimate.device < used


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"drnet.batch_size": 80_000},
            r"A step of drnet needs at least .* GB of memory, and this machine has 0\.3 GB; "
            r"lower config\.drnet\.batch_size=80000\.",
        ),
        ({"predictor.batch_size": 80_000}, r"lower config\.predictor\.batch_size=80000"),
        ({"predictor.batches_per_set": 10**6, "predictor.num_steps": 10**6}, r"batches_per_set"),
        ({"evaluation.batch_size": 80_000}, r"Scoring .* lower config\.evaluation\.batch_size"),
        # 16 x 16 x 3 bytes, four times.
        (
            {"rollout.num_clips": 1_000, "rollout.num_steps": 10_000},
            r"Generating needs at least 30\.7 GB .* lower config\.rollout\.num_clips=1000\.",
        ),
    ],
)
def test_what_cannot_fit_is_refused_before_anything_is_written(
    config, tmp_path, monkeypatch, changes, message
):
    monkeypatch.setattr(memory, "machine_memory", lambda: 300_000_000)
    config.update_from_flattened_dict(changes)
    with pytest.raises(InputError, match=message):
        train.run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_fits_or_is_unknown_is_not_refused(run, monkeypatch):
    parts = (memory.training_needs, memory.scoring_needs, memory.rollout_needs)
    memory.check(run, *parts)
    monkeypatch.setattr(memory, "machine_memory", lambda: None)
    memory.check(run, *parts)


def test_each_device_counts_where_devices_have_memory_of_their_own(run, monkeypatch):
    monkeypatch.setattr(memory, "device_memory", lambda: 1_000)
    with pytest.raises(ValueError, match=r"and each device has 1e-06 GB; lower config\.drnet\.bat"):
        memory.check(run, memory.training_needs)


@pytest.mark.parametrize(
    ("error", "doing", "line"),
    [
        (
            jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."),
            "training drnet",
            "Out of memory while training drnet: lower config.drnet.batch_size, and use the same "
            "command again.",
        ),
        (
            MemoryError(),
            "generating",
            "Out of memory while generating: lower config.rollout.frames_at_once or "
            "config.rollout.num_clips, and use the same command again.",
        ),
        (
            MemoryError(),
            "scoring: swaps",
            "Out of memory while scoring: swaps: lower config.evaluation.batch_size, and use the "
            "same command again.",
        ),
        (ValueError("x"), "generating", None),
    ],
)
def test_errors_of_memory_name_what_to_lower(error, doing, line):
    assert memory.out_of_memory(error, doing) == line


_EXHAUSTED = """
import jax
from drnet_jax import main
from drnet_jax.base import stopping
from drnet_jax.commands import train

def run(config, workdir, **options):
    stopping.doing("training drnet")
    raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

train.run = run
main.run()
"""


def test_exhausted_memory_is_one_line_and_exit_code_1():
    result = command_line.run("--config=configs/mnist.py:smoke", program=_EXHAUSTED)
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("drnet_jax: Out of memory while training drnet: lower config.drnet.bat")
