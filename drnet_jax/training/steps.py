"""One training step of each stage: pure functions of (state, batch), jitted by the caller."""

from collections.abc import Callable

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from drnet_jax.base.arrays import Array, Metrics, Tree, as_float
from drnet_jax.models.pose_lstm import PoseLSTM
from drnet_jax.models.registry import Networks
from drnet_jax.models.state import DrnetState, NetworkState, PredictorState
from drnet_jax.models.unroll import teacher_forced
from drnet_jax.ops.norm import MOMENTUM
from drnet_jax.training import losses

NUM_FRAMES = 4
"""Frames of one clip that a DrNET step looks at; `make_drnet_step` says what each is for."""


@flax.struct.dataclass
class PosePairs:
    """Which second pose each row of the discriminator's batch is paired with.

    Attributes:
      partners: int32 `[batch]`, row `i` gets the second pose of clip `partners[i]`.
      targets: float32 `[batch]`, what the discriminator is to say: 1.0 where the clip is the same.
    """

    partners: jax.Array
    targets: jax.Array


@flax.struct.dataclass
class DrnetBatch:
    """Four frames of every clip, `[batch, 4, height, width, channels]`, and the pose pairs."""

    frames: jax.Array
    pairs: PosePairs


def sample_pairs(key: jax.Array, batch_size: int) -> PosePairs:
    """Returns pairs of which the first half come from different clips, the second from the same.

    The first half is matched by a roll of the whole batch by a random non-zero shift: no clip meets
    itself. (The authors permute at random, which leaves some clips in place under a wrong label.)
    """
    num_different = batch_size // 2
    rows = jnp.arange(batch_size)
    shift = jax.random.randint(key, (), 1, batch_size)
    partners = jnp.where(rows < num_different, (rows + shift) % batch_size, rows)
    return PosePairs(partners, (rows >= num_different).astype(jnp.float32))


def _train_pass(module: nn.Module, variables: dict[str, Tree], *inputs, **passes):
    """Returns (output, new running statistics) of one pass with statistics of the batch."""
    output, updates = module.apply(
        variables, *inputs, train=True, mutable=["batch_stats"], **passes
    )
    return output, updates.get("batch_stats", {})


def _train_passes(module: nn.Module, variables: dict[str, Tree], frames: jax.Array):
    """Makes several passes without gradients, each with the statistics of its own frames.

    In one call, to launch fewer kernels, but on CPUs, where this took 5 % longer.

    Args:
      module: an encoder.
      variables: its parameters and running statistics.
      frames: `[batch, passes, height, width, channels]`.

    Returns:
      Outputs `[passes, batch, ...]`, and the new running statistics of each pass, all of them made
      from `variables`; `_averaged_in_turn` joins them.
    """
    num = frames.shape[1]

    def together(variables, frames):
        # [batch * passes, height, width, channels]: the passes of a clip stay neighbors.
        frames = frames.reshape(-1, *frames.shape[2:])
        output, stats = _train_pass(module, variables, frames, num_passes=num)
        output = output.reshape(-1, num, *output.shape[1:]).swapaxes(0, 1)
        return output, [jax.tree.map(lambda x, i=i: x[i], stats) for i in range(num)]

    def one_by_one(variables, frames):
        passes = [_train_pass(module, variables, frames[:, i]) for i in range(num)]
        return jnp.stack([output for output, _ in passes]), [stats for _, stats in passes]

    return jax.lax.platform_dependent(variables, frames, cpu=one_by_one, default=together)


def _averaged_in_turn(start: Tree, updated: list[Tree]) -> Tree:
    """Returns running statistics after several passes, from those after each alone.

    A pass that finds `old` leaves `m old + (1 - m) new`. Its own share `(1 - m) new` is what it
    made of `start`, less `m start`.
    """
    stats = updated[0]
    for alone in updated[1:]:
        stats = jax.tree.map(lambda x, y, z: y + MOMENTUM * (x - z), stats, alone, start)
    return stats


def make_drnet_step(
    networks: Networks,
    main_tx: optax.GradientTransformation,
    discriminator_tx: optax.GradientTransformation,
    *,
    similarity_weight: float,
    adversarial_weight: float,
) -> Callable[[DrnetState, DrnetBatch], tuple[DrnetState, Metrics]]:
    """Returns pure `step(state, batch) -> (state, metrics)`: the discriminator moves first.

    Of the four frames of a clip, the discriminator's update compares the poses of 0 and 1; the
    main update takes the content of 0 (that of 1 is the target of the similarity) and the pose of
    2, decodes these to frame 2, and confuses the discriminator with the poses of 2 and 3, of which
    3 is constant.
    Every pass normalizes with the statistics of its own frames.

    Source: Denton & Birodkar 2017, section 3, eq. 1-4; drnet-py, train_drnet.py.
    """

    def discriminate(params: Tree, pose_a: jax.Array, pose_b: jax.Array) -> jax.Array:
        return networks.discriminator.apply({"params": params["discriminator"]}, pose_a, pose_b)

    def discriminator_loss(params: Tree, pose_a, pose_b, targets):
        logits = discriminate(params, pose_a, pose_b)
        accuracy = jnp.mean((logits > 0) == (targets > 0.5), dtype=logits.dtype)
        return losses.same_clip(logits, targets), accuracy

    def main_loss(params: Tree, batch_stats: Tree, discriminator: NetworkState, frames, other_pose):
        def run(name: str, params: Tree, *inputs):
            variables = {"params": params[name], "batch_stats": batch_stats[name]}
            output, batch_stats[name] = _train_pass(getattr(networks, name), variables, *inputs)
            return output

        batch_stats = dict(batch_stats)
        constant = jax.lax.stop_gradient(params)
        content = run("content_encoder", params, frames[:, 0])
        other_content = run("content_encoder", constant, frames[:, 1])
        pose = run("pose_encoder", params, frames[:, 2])
        decoded = run("decoder", params, content, pose)
        logits = discriminate(discriminator.params, pose, other_pose)
        terms = {
            "reconstruction": losses.reconstruction(decoded, frames[:, 2]),
            "similarity": losses.similarity(content.vector, other_content.vector),
            "adversarial": losses.pose_confusion(logits),
        }
        total = (
            terms["reconstruction"]
            + similarity_weight * terms["similarity"]
            + adversarial_weight * terms["adversarial"]
        )
        return total, (terms | {"total": total}, batch_stats)

    def step(state: DrnetState, batch: DrnetBatch) -> tuple[DrnetState, Metrics]:
        frames, main = as_float(batch.frames), state.autoencoder
        # All poses that are constants here: the encoder does not move before the end of the step.
        poses, pose_stats = _train_passes(
            networks.pose_encoder, main.variables("pose_encoder"), jnp.delete(frames, 2, axis=1)
        )
        (loss, accuracy), grads = jax.value_and_grad(discriminator_loss, has_aux=True)(
            state.discriminator.params,
            poses[0],
            poses[1][batch.pairs.partners],
            batch.pairs.targets,
        )
        discriminator = state.discriminator.apply_gradients(discriminator_tx, grads)
        # The main networks answer the discriminator that has just moved.
        grads, (terms, batch_stats) = jax.grad(main_loss, has_aux=True)(
            main.params, main.batch_stats, discriminator, frames, poses[2]
        )
        in_turn = [*pose_stats[:2], batch_stats["pose_encoder"], pose_stats[2]]
        batch_stats["pose_encoder"] = _averaged_in_turn(main.batch_stats["pose_encoder"], in_turn)
        main = main.apply_gradients(main_tx, grads).replace(batch_stats=batch_stats)
        metrics = terms | {"discriminator": loss, "discriminator_accuracy": accuracy}
        return DrnetState(state.step + 1, main, discriminator), metrics

    return step


def make_settling_step(networks: Networks) -> Callable[[DrnetState, Array], DrnetState]:
    """Returns pure `settle(state, frames) -> state`: weights rest, running statistics go on.

    Training leaves averages over its last steps, whose weights were others. Most units of a trained
    pose are nearly saturated, so that a small lag shows in every frame (docs/departures.md). Some
    of these steps after training put statistics of the final weights in their place.

    `frames` are those of `DrnetBatch`.

    Source: Wu & Johnson 2021, "Rethinking 'Batch' in BatchNorm", section 3, where it is an even
    average over batches; here the running one goes on.
    """

    def settle(state: DrnetState, frames: Array) -> DrnetState:
        frames, main, batch_stats = as_float(frames), state.autoencoder, {}

        def run(name: str, *inputs):
            module = getattr(networks, name)
            output, batch_stats[name] = _train_pass(module, main.variables(name), *inputs)
            return output

        run("decoder", run("content_encoder", frames[:, 0]), run("pose_encoder", frames[:, 2]))
        return state.replace(autoencoder=main.replace(batch_stats=batch_stats))

    return settle


def make_predictor_step(
    networks: Networks,
    predictor: PoseLSTM,
    tx: optax.GradientTransformation,
    *,
    num_observed: int,
    freeze_statistics: bool = True,
) -> Callable[[PredictorState, Array, NetworkState], tuple[PredictorState, Metrics]]:
    """Returns pure `step(state, frames, main, lengths) -> (state, metrics)`, teacher-forced.

    `frames` are `[batch, time, height, width, channels]`; `main` holds the frozen encoders;
    `lengths`, int32 `[batch]`, tells how many frames of each clip are real, None that all are:
    what comes after them is not learned from.
    Content is that of the last observed frame; step t sees the true pose of t - 1 and predicts that
    of t. The loss is the sum over t of mean squared errors; the metric `prediction` is their mean.

    Args:
      freeze_statistics: False normalizes with each batch's own statistics, as the authors' script
        does; a rollout then depends on the other clips of its batch.

    Source: Denton & Birodkar 2017, Figure 2; drnet-py, train_lstm.py.
    """

    def encode(name: str, main: NetworkState, frames: jax.Array):
        module, variables = getattr(networks, name), main.variables(name)
        if freeze_statistics:
            return module.apply(variables, frames, train=False)
        return _train_pass(module, variables, frames)[0]

    def encode_poses(main: NetworkState, frames: jax.Array) -> jax.Array:
        batch_size, num_frames = frames.shape[:2]
        if freeze_statistics:
            poses = encode("pose_encoder", main, frames.reshape(-1, *frames.shape[2:]))
            return poses.reshape(batch_size, num_frames, -1)
        # Frame by frame: the statistics of a batch are those of one point in time.
        return jnp.stack(
            [encode("pose_encoder", main, frames[:, t]) for t in range(num_frames)], axis=1
        )

    def loss_fn(params: Tree, poses: jax.Array, content: jax.Array, lengths: Array | None):
        variables = {"params": params["predictor"]}
        _, predicted = teacher_forced(predictor, variables, poses[:, :-1], content)
        is_real = None if lengths is None else jnp.arange(1, poses.shape[1]) < lengths[:, None]
        errors = losses.pose_prediction(predicted, poses[:, 1:], is_real)
        return jnp.sum(errors), errors

    def step(
        state: PredictorState, frames: Array, main: NetworkState, lengths: Array | None = None
    ) -> tuple[PredictorState, Metrics]:
        frames = as_float(frames)
        content = encode("content_encoder", main, frames[:, num_observed - 1]).vector
        poses = encode_poses(main, frames)
        grads, errors = jax.grad(loss_fn, has_aux=True)(
            state.predictor.params, poses, content, lengths
        )
        metrics = {"prediction": jnp.mean(errors)}
        return PredictorState(state.step + 1, state.predictor.apply_gradients(tx, grads)), metrics

    return step
