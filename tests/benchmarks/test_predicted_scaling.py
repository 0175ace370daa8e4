"""Bytes between devices, and times predicted from them, against numbers worked out by hand."""

import re

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from benchmarks import collectives, predicted_scaling
from benchmarks.collectives import Collective
from benchmarks.predicted_scaling import Slice, Step
from tests.benchmarks.test_benchmarks import tiny

# As XLA writes programs for TPUs, shortened: statistics, gradients together with statistics that
# were copied, and an operation in two parts.
PROGRAM = """HloModule jit_step

ENTRY %main {
  %p = f32[8,4]{1,0:T(8,128)} parameter(0), metadata={op_name="frames"}
  %sums = f32[2,64]{1,0:T(2,128)S(1)} fusion(%p), metadata={op_name="jit(step)/stage0/norm/sum"}
  %start = (f32[2,64]{1,0}, u32[]) copy-start(%sums)
  %done = f32[2,64]{1,0} copy-done(%start)
  %kernel = f32[4,4,3,64]{3,2,1,0} fusion(%p), metadata={op_name="jit(step)/stage0/conv/grad"}
  %all-reduce.1 = f32[2,64]{1,0:T(2,128)S(1)} all-reduce(%sums), channel_id=1, to_apply=%add
  %all-reduce.2 = (bf16[4,4,3,64]{3,2,1,0}, /*index=1*/f32[2,64]{1,0}) all-reduce(%kernel, /*index=1*/%done), channel_id=2, metadata={op_name="jit(step)/stage0/norm/sum"}
  %gathered = (pred[4]{0}, pred[8]{0}) all-gather-start(%p), channel_id=3, dimensions={0}
  ROOT %end = pred[8]{0} all-gather-done(%gathered)
}
"""  # noqa: E501


def test_bytes_are_those_of_each_operand():
    statistics, kernel = 2 * 64 * 4, 4 * 4 * 3 * 64 * 2
    found = collectives.find(PROGRAM)
    assert found == [
        Collective("all-reduce", statistics, statistics),
        Collective("all-reduce", kernel + statistics, statistics),
        Collective("all-gather", 8, 0),
    ]
    assert collectives.summarize(found) == {
        "all-reduce of statistics": {"number": 1, "bytes": 2 * statistics},
        "all-reduce": {"number": 1, "bytes": kernel},
        "all-gather": {"number": 1, "bytes": 8},
    }


def test_the_step_sends_two_sums_a_channel_and_each_gradient_once():
    tested, mesh = tiny(), Mesh(np.array(jax.devices()[:2]), ("data",))
    step = predicted_scaling.compile_step(tested, mesh, per_device=False)
    found = collectives.summarize(step.collectives)
    # One stage of 2 channels; content 4, poses 3, the decoder's first layer 2: in six passes of
    # encoders and one of the decoder, and in the gradients of three.
    encoders, decoder = 2 * (2 + 4) + 4 * (2 + 3), 2
    gradients = (2 + 4) + (2 + 3) + 2
    # The form of CPUs has eight equal rows of a gradient's sums (ops/norm.py).
    sums = 2 * (encoders + decoder + 8 * gradients)
    assert found["all-reduce of statistics"]["bytes"] == 4 * sums
    state = jax.eval_shape(tested.init)
    # Scales and biases of norms come with the statistics.
    params = jax.tree_util.tree_leaves_with_path(
        [state.autoencoder.params, state.discriminator.params]
    )
    sent = sum(leaf.size for path, leaf in params if "norm" not in jax.tree_util.keystr(path))
    assert 4 * sent <= found["all-reduce"]["bytes"] <= 4 * sent + 100  # And losses.


def test_with_statistics_per_device_only_gradients_and_averages_are_sent():
    mesh = Mesh(np.array(jax.devices()[:2]), ("data",))
    step = predicted_scaling.compile_step(tiny(), mesh, per_device=True)
    kinds = [each.kind for each in step.collectives if not each.is_of_statistics]
    # One for each optimizer; the running statistics and losses go with the second.
    assert len(kinds) == len(step.collectives)
    assert kinds.count("all-reduce") <= 3


def test_gradients_of_kernels_cross_as_narrow_as_they_are():
    tested, mesh = tiny(dtype="bfloat16"), Mesh(np.array(jax.devices()[:2]), ("data",))
    state, batch = jax.eval_shape(tested.init), jax.eval_shape(tested.batch)
    # Before XLA:CPU, which widens them.
    text = jax.jit(tested.step(mesh)).lower(state, batch).as_text()
    sent = re.findall(r"stablehlo.all_reduce.*?\}\) : \(tensor<([^>]*)>\) ->", text, re.DOTALL)
    params = jax.tree.leaves([state.autoencoder.params, state.discriminator.params])
    kernels = ["x".join(map(str, leaf.shape)) + "xbf16" for leaf in params if leaf.ndim > 1]
    assert sorted(each for each in sent if "bf16" in each) == sorted(kernels)
    assert all(each.count("x") < 2 for each in sent if "bf16" not in each)


@pytest.mark.parametrize(
    ("sides", "hops", "links"),
    [((2, 4), 1 + 3, 2), ((8, 8), 7 + 7, 2), ((16, 16), 8 + 8, 4), ((1, 4), 3, 1)],
)
def test_messages_take_their_hops_and_their_bytes(sides, hops, links):
    num = sides[0] * sides[1]
    chips = Slice(sides, hop_s=2e-6)
    gathered = hops * 2e-6 + 1e6 * (num - 1) / num / (links * 50e9)
    np.testing.assert_allclose(chips.seconds(Collective("all-gather", 10**6, 0)), gathered)
    np.testing.assert_allclose(chips.seconds(Collective("all-reduce", 10**6, 0)), 2 * gathered)


def test_one_chip_sends_nothing():
    assert Slice((1, 1), 1e-6).seconds(Collective("all-reduce", 10**9, 0)) == 0


def test_efficiency_is_the_share_of_computing():
    # Memory is slower than arithmetic here: 819 MB in 1 ms. Each message crosses 14 hops twice.
    messages = [Collective("all-reduce", 0, 0), Collective("all-reduce", 2, 2)]
    found = predicted_scaling.predict(Step(197e8, 819e6, messages), Slice((8, 8), 1e-6), 1024)
    sums = 28e-6 + 2 * 2 * 63 / 64 / 100e9
    expected = {
        "compute_s": 1e-3,
        "statistics_s": sums,
        "other_messages_s": 28e-6,
        "step_s": 1.028e-3 + sums,
        "clips_per_s": 1024 / (1.028e-3 + sums),
        "efficiency": 1e-3 / (1.028e-3 + sums),
        "without_statistics": 1 / 1.028,
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, err_msg=name)


def test_arithmetic_counts_where_it_is_slower_than_memory():
    found = predicted_scaling.predict(Step(197e9, 819e3, []), Slice((1, 1), 1e-6), 1)
    np.testing.assert_allclose(found["step_s"], 1e-3)


def test_batches_are_multiples_of_the_chips():
    assert predicted_scaling.batch_size_for(64, 0, 100) == 128
    assert predicted_scaling.batch_size_for(256, 0, 100) == 256
    assert predicted_scaling.batch_size_for(8, 16, 100) == 128


def test_slices_that_are_no_rectangles_are_refused():
    assert predicted_scaling.slice_sides("8x16") == (8, 16)
    with pytest.raises(ValueError, match="--slices has '8'; allowed: sides such as 8x8"):
        predicted_scaling.slice_sides("8")
