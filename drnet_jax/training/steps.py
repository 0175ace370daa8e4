"""One training step of each stage: pure functions of (state, batch), jitted by the caller.

The words of this file, which the code, the logs and the report use as well:

  clip           consecutive frames of one video.
  content        what a frame shares with the rest of its clip: a vector, with feature maps (skips)
                 in U-Nets.
  pose           what changes from frame to frame: a vector.
  autoencoder    the content encoder, the pose encoder and the decoder; they share one loss.
  discriminator  tells whether two poses come from the same clip (the paper's scene discriminator).
  predictor      the LSTM that continues the poses of a clip.

Suffixes of names give shapes, as in `frames_BxTxHxWxC`: batch, time, height, width, channels, and
P, the dimension of a pose.
"""

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, PartitionSpec

from drnet_jax.base import prng
from drnet_jax.base.arrays import Array, Metrics, Tree, as_float
from drnet_jax.models.pose_lstm import PoseLSTM, teacher_forced
from drnet_jax.models.pose_steps import scheduled_sampling
from drnet_jax.models.registry import Networks
from drnet_jax.models.state import DrnetState, PredictorState
from drnet_jax.ops.conv import Dtype
from drnet_jax.training import losses
from drnet_jax.training.batch_stats import apply_in_turn, train_pass, train_passes
from drnet_jax.training.optim import DrnetOptimizers
from drnet_jax.training.pose_clips import PoseClips

NUM_FRAMES = 4
"""Frames of each clip that a step of the first stage sees; `make_drnet_step` says what for."""


@flax.struct.dataclass
class PosePairs:
    """The pairs of poses that the discriminator is trained on.

    Attributes:
      partners: int32 `[batch]`; row `i` pairs the first pose of clip `i` with the second pose of
        clip `partners[i]`.
      targets: float32 `[batch]`, 1.0 where both are of one clip, else 0.0.
    """

    partners: jax.Array
    targets: jax.Array


@flax.struct.dataclass
class DrnetBatch:
    """Four frames of every clip, `[batch, 4, height, width, channels]`, and the pose pairs."""

    frames: jax.Array
    pairs: PosePairs


def sample_pairs(key: jax.Array, batch_size: int) -> PosePairs:
    """Returns pairs: the first half from different clips, the second half from the same clip.

    The partners of the first half are the whole batch, rolled by a random nonzero shift, so no clip
    is its own partner. (The authors permute at random, which leaves some clips in place under a
    wrong label.)
    """
    num_different = batch_size // 2
    rows = jnp.arange(batch_size)
    shift = jax.random.randint(key, (), 1, batch_size)
    partners = jnp.where(rows < num_different, (rows + shift) % batch_size, rows)
    return PosePairs(partners, (rows >= num_different).astype(jnp.float32))


def _discriminate(networks: Networks, params: Tree, pose_BxP: Array, other_BxP: Array) -> Array:
    """Returns logits `[batch]`, positive where the discriminator says "same clip"."""
    variables = {"params": params["discriminator"]}
    return networks.discriminator.apply(variables, pose_BxP, other_BxP)


def _make_discriminator_loss(
    networks: Networks, axis_name: str | None
) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Returns `loss(params, poses, pairs) -> (loss, accuracy)`."""

    def loss_fn(params: Tree, poses_TxBxP: jax.Array, pairs: PosePairs):
        others_BxP = poses_TxBxP[1]
        if axis_name:  # A partner may be on another device.
            others_BxP = jax.lax.all_gather(others_BxP, axis_name, tiled=True)
        partners_BxP = others_BxP[pairs.partners]
        logits_B = _discriminate(networks, params, poses_TxBxP[0], partners_BxP)
        correct_B = (logits_B > 0) == (pairs.targets > 0.5)
        accuracy = jnp.mean(correct_B, dtype=logits_B.dtype)
        return losses.same_clip(logits_B, pairs.targets), accuracy

    return loss_fn


def _make_autoencoder_loss(
    networks: Networks, similarity_weight: float, adversarial_weight: float
) -> Callable[..., tuple[jax.Array, tuple[Metrics, Tree]]]:
    """Returns `loss(params, stats, discriminator, frames, pose) -> (loss, (terms, new stats))`.

    `discriminator` holds its parameters; `pose` is that of frame 3, a constant.
    """

    def loss_fn(params: Tree, stats: Tree, discriminator: Tree, frames_BxTxHxWxC, constant_BxP):
        stats, target_BxHxWxC = dict(stats), frames_BxTxHxWxC[:, 2]

        def run(name: str, params: Tree, *inputs):
            variables = {"params": params[name], "batch_stats": stats[name]}
            output, stats[name] = train_pass(getattr(networks, name), variables, *inputs)
            return output

        content = run("content_encoder", params, frames_BxTxHxWxC[:, 0])
        # Only one of the two contents is pulled, as in the authors' code.
        constant_params = jax.lax.stop_gradient(params)
        other_content = run("content_encoder", constant_params, frames_BxTxHxWxC[:, 1])
        pose_BxP = run("pose_encoder", params, target_BxHxWxC)
        decoded_BxHxWxC = run("decoder", params, content, pose_BxP)
        logits_B = _discriminate(networks, discriminator, pose_BxP, constant_BxP)
        terms = {
            "reconstruction": losses.reconstruction(decoded_BxHxWxC, target_BxHxWxC),
            "similarity": losses.similarity(content.vector, other_content.vector),
            "adversarial": losses.pose_confusion(logits_B),
        }
        total = (
            terms["reconstruction"]
            + similarity_weight * terms["similarity"]
            + adversarial_weight * terms["adversarial"]
        )
        return total, (terms | {"total": total}, stats)

    return loss_fn


def _make_mean(axis_name: str | None, kernel_dtype: Dtype) -> Callable[[Tree], Tree]:
    """Returns `mean(tree)` over devices, on an axis of `shard_map`; without one, the tree itself.

    Gradients of kernels cross in `kernel_dtype`, to which they have been rounded already: widened,
    as they are for the optimizer, they would be twice the bytes.
    """

    def narrow(path: tuple, leaf: jax.Array) -> jax.Array:
        return leaf.astype(kernel_dtype) if path[-1].key == "kernel" else leaf

    def mean(tree: Tree) -> Tree:
        if not axis_name:
            return tree
        means = jax.lax.pmean(jax.tree_util.tree_map_with_path(narrow, tree), axis_name)
        return jax.tree.map(lambda x, leaf: x.astype(leaf.dtype), means, tree)

    return mean


def make_drnet_step(
    networks: Networks,
    txs: DrnetOptimizers,
    *,
    similarity_weight: float,
    adversarial_weight: float,
    per_device: Mesh | None = None,
) -> Callable[[DrnetState, DrnetBatch], tuple[DrnetState, Metrics]]:
    """Returns pure `step(state, batch) -> (state, metrics)`; the discriminator moves first.

    Of the four frames of a clip, the discriminator compares the poses of 0 and 1. The autoencoder
    takes the content of 0 (pulled towards that of 1 by the similarity loss) and the pose of 2,
    decodes them to frame 2, and confuses the discriminator with the poses of 2 and 3. Poses 0, 1
    and 3 are constants. Every pass normalizes with the statistics of its own frames.

    These are the frames of the whole batch, however many devices share it. With a mesh as
    `per_device` they are those of each device's own clips, so results depend on the number of
    devices; running statistics are the averages over devices.

    Source: Denton & Birodkar 2017, section 3, eq. 1-4; drnet-py, train_drnet.py.
    """
    axis_name = per_device.axis_names[0] if per_device else None
    mean = _make_mean(axis_name, networks.decoder.dtype)
    discriminator_loss = _make_discriminator_loss(networks, axis_name)
    autoencoder_loss = _make_autoencoder_loss(networks, similarity_weight, adversarial_weight)

    def step(state: DrnetState, batch: DrnetBatch) -> tuple[DrnetState, Metrics]:
        frames_BxTxHxWxC, autoencoder = as_float(batch.frames), state.autoencoder
        # The encoder moves at the end of the step only, so these poses serve both updates.
        poses_TxBxP, (stats_0, stats_1, stats_3) = train_passes(
            networks.pose_encoder,
            autoencoder.variables("pose_encoder"),
            jnp.delete(frames_BxTxHxWxC, 2, axis=1),
        )
        (loss, accuracy), grads = jax.value_and_grad(discriminator_loss, has_aux=True)(
            state.discriminator.params, poses_TxBxP, batch.pairs
        )
        discriminator = state.discriminator.apply_gradients(txs.discriminator, mean(grads))
        # The autoencoder answers the discriminator that has just moved.
        grads, (terms, stats) = jax.grad(autoencoder_loss, has_aux=True)(
            autoencoder.params,
            autoencoder.batch_stats,
            discriminator.params,
            frames_BxTxHxWxC,
            poses_TxBxP[2],
        )
        in_turn = [stats_0, stats_1, stats["pose_encoder"], stats_3]
        stats["pose_encoder"] = apply_in_turn(autoencoder.batch_stats["pose_encoder"], in_turn)
        autoencoder = autoencoder.apply_gradients(txs.autoencoder, mean(grads))
        autoencoder = autoencoder.replace(batch_stats=mean(stats))
        metrics = terms | {"discriminator": loss, "discriminator_accuracy": accuracy}
        return DrnetState(state.step + 1, autoencoder, discriminator), mean(metrics)

    if not per_device:
        return step
    specs = dict(in_specs=(PartitionSpec(), PartitionSpec(axis_name)), out_specs=PartitionSpec())
    # Unchecked: otherwise JAX would sum the gradients, which the step averages.
    return jax.shard_map(step, mesh=per_device, check_vma=False, **specs)


def make_predictor_step(
    predictor: PoseLSTM,
    tx: optax.GradientTransformation,
    *,
    num_observed: int,
    teacher_forcing: Callable[[jax.Array], jax.Array] | None = None,
    loss: str = "squared",
) -> Callable[..., tuple[PredictorState, Metrics]]:
    """Returns pure `step(state, clips, key) -> (state, metrics)`; `clips` are `PoseClips`.

    At t the LSTM sees the content of the last observed frame and a pose of t - 1, and predicts the
    pose of t. For observed frames this is the true pose. For later ones it is the true pose with
    probability `teacher_forcing(step)`, else the LSTM's own prediction (scheduled sampling). The
    loss is the sum over t of mean errors; the metric `prediction` is their mean. Padding
    after the end of a clip is not learned from.

    Args:
      predictor: the LSTM.
      tx: its optimizer.
      num_observed: frames that a rollout observes.
      teacher_forcing: maps steps to probabilities; None, as in the paper, means 1 at every step,
        which needs no `key`.
      loss: `squared`, as in the paper, or `absolute` errors.

    Source: Denton & Birodkar 2017, Figure 2; drnet-py, train_lstm.py. Scheduled sampling: Bengio et
    al. 2015, "Scheduled sampling for sequence prediction with recurrent neural networks".
    """

    def loss_fn(params: Tree, clips: PoseClips, is_given_BxT: jax.Array | None):
        variables = {"params": params["predictor"]}
        inputs_BxTxP, targets_BxTxP = clips.poses[:, :-1], clips.poses[:, 1:]
        if is_given_BxT is None:
            _, predicted = teacher_forced(predictor, variables, inputs_BxTxP, clips.content)
        else:
            predicted = scheduled_sampling(
                predictor, variables, inputs_BxTxP, clips.content, is_given_BxT
            )
        times = jnp.arange(1, clips.poses.shape[1])
        is_real_BxT = None if clips.lengths is None else times < clips.lengths[:, None]
        errors_T = losses.pose_prediction(predicted, targets_BxTxP, is_real_BxT, kind=loss)
        return jnp.sum(errors_T), errors_T

    def step(
        state: PredictorState, clips: PoseClips, key: jax.Array | None = None
    ) -> tuple[PredictorState, Metrics]:
        is_given_BxT = None
        if teacher_forcing is not None:
            key = prng.stream(key, "teacher forcing", state.step)
            shape = clips.poses[:, 1:, 0].shape
            is_given_BxT = jax.random.bernoulli(key, teacher_forcing(state.step), shape)
            is_given_BxT |= jnp.arange(shape[1]) < num_observed
        grads, errors_T = jax.grad(loss_fn, has_aux=True)(
            state.predictor.params, clips, is_given_BxT
        )
        predictor_state = state.predictor.apply_gradients(tx, grads)
        return PredictorState(state.step + 1, predictor_state), {"prediction": jnp.mean(errors_T)}

    return step
