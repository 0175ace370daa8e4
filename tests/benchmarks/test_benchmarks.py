"""The benchmarks on tiny networks; with PyTorch where it is installed."""

import importlib.util

import jax
import numpy as np
import pytest
from absl import flags

from benchmarks import rollout, scaling, subject, timing, train_step
from drnet_jax.runs import runtime
from tests import conftest

NAMES = ["ours"] + ["torch"] * bool(importlib.util.find_spec("torch"))
KINDS = [("dcgan", "dcgan", "dcgan"), ("vgg_unet", "resnet", "vgg_unet")]


def tiny(kinds=KINDS[0], image_size=8, batch_size=4, width=2, dtype="float32"):
    config = conftest.load_config("smoke")
    config.data.update(image_size=image_size, colored=False)
    names = ("content_encoder", "pose_encoder", "decoder")
    config.model.update(dict(zip(names, kinds, strict=True)))
    config.model.update(width=width, content_dim=4, pose_dim=3, normalize=True)
    config.model.discriminator_width, config.dtype = 8, dtype
    config.drnet.batch_size = batch_size
    return subject.create(config)


SIZES = [(KINDS[0], 8), pytest.param(KINDS[1], 16, marks=pytest.mark.slow)]


@pytest.mark.parametrize("num_steps", [1, 3])
@pytest.mark.parametrize(("kinds", "image_size"), SIZES, ids=str)
def test_train_step_agrees_with_the_peer_and_is_timed(kinds, image_size, num_steps):
    result = train_step.measure(tiny(kinds, image_size), NAMES, 1, num_steps)
    assert result["ours_s"] > 0
    assert result["executed_flops"] > 0
    if "torch" in NAMES:
        np.testing.assert_allclose(result["ratio"], result["ours_s"] / result["peer_s"])


def test_losses_that_differ_are_refused():
    with pytest.raises(ValueError, match="loss of torch is 2, ours 1; allowed: 0"):
        train_step.check_same_losses("torch", {"total": 1.0}, {"total": 2.0}, 0.1)


def test_rollout_agrees_with_loops_of_single_steps():
    sizes = {"batch_size": 2, "num_observed": 2, "num_steps": 3, "frames_at_once": 4}
    contenders = rollout.create(tiny(), {"hidden_dim": 4, "num_layers": 2}, sizes, "torch" in NAMES)
    result = rollout.measure(contenders, 1)
    assert result["ratio"] > 0
    assert contenders["ours"]().shape == (2, 3, 8, 8, 1)


def test_frames_that_differ_are_refused():
    frames = np.zeros((1, 1, 2, 2, 1), np.uint8)
    with pytest.raises(ValueError, match="Frames of loop are 9 levels off"):
        rollout.check_same_frames({"ours": frames, "loop": frames + np.uint8(9)})


def test_devices_agree_and_gradients_are_summed_once_an_optimizer():
    result = scaling.measure(tiny(), (1, 2), 1)
    assert result[1]["collectives"] == {}
    found = result[2]["collectives"]
    assert found["all-reduce"]["number"] <= 2 + 3  # Optimizers, and means of losses.
    assert found["all-reduce of statistics"]["number"] > 0
    # Of the poses that are paired with those of other clips.
    assert found.get("all-gather", {"number": 0})["number"] <= 1


def test_losses_of_devices_that_differ_are_refused():
    with pytest.raises(ValueError, match="The total loss on 2 devices is 2, on one 1"):
        scaling.check_equal_losses({1: {"total": 1.0}, 2: {"total": 2.0}}, 0.1)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_convolutions_of_the_step_by_platform(platform):
    tested = tiny(image_size=32, batch_size=32, width=16)
    arguments = jax.eval_shape(tested.init), jax.eval_shape(tested.batch)
    module = jax.export.export(jax.jit(tested.step()), platforms=[platform])(*arguments)
    text = module.mlir_module()
    # Three stages of each network: four passes of encoders, that of three pose frames together, and
    # one of the decoder; three with gradients, of which those of the encoders end at the frames.
    stages, passes = 3, 5
    forward, kernels, maps = passes * stages, 3 * stages, 2 * (stages - 1) + stages
    # On GPUs some are products of patches: kernel gradients of maps of 8 x 8, and all of frames but
    # the decoder's last layer itself, which are four passes, its gradient, and three of kernels.
    rewritten = 3 + 4 + 1 + 3 if platform == "cuda" else 0
    assert text.count("stablehlo.convolution") == forward + kernels + maps - rewritten
    # One pixel at the encoders' end and the decoder's beginning, and the discriminator.
    heads, discriminator = passes + 3 + 3, 2 * 3 + 3 + 2 + 3
    assert text.count("stablehlo.dot_general") <= heads + discriminator + rewritten


def test_ratio_is_the_median_of_pairs():
    ours, peer = timing.Times([1.0, 2.0, 9.0], [1.0] * 3), timing.Times([2.0, 2.0, 3.0], [4.0] * 3)
    found = timing.ratio(ours, peer)
    assert found == {"ratio": 1.0, "ratio_of_least": 0.5, "ratio_of_least_cpu": 0.25}


def test_ceilings_are_positive():
    assert set(timing.ceilings("float32")) == {"matmul_flops_per_s", "copy_bytes_per_s"}


def test_kept_memory_is_told():
    assert runtime.keep_freed_memory() in (True, False)


@pytest.mark.parametrize(
    ("arguments", "backend", "expected"),
    [
        ([], "gpu", []),
        (["--peer=torch"], "cpu", ["torch", "torch_compile"]),
        (["--peer=torch"], "gpu", ["torch", "torch_compile", "torch_graphs"]),
        (["--peer=torch", "--notorch_compile"], "gpu", ["torch"]),
    ],
)
def test_peers_that_the_command_line_asks_for(arguments, backend, expected, monkeypatch):
    values = flags.FlagValues()
    flags.DEFINE_enum("peer", "none", ["none", "torch"], "", values)
    flags.DEFINE_bool("torch_compile", True, "", values)
    values(["train_step", *arguments])
    monkeypatch.setattr(train_step.flags, "FLAGS", values)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert train_step._peers() == expected
