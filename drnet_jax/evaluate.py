"""Scores on held-out clips, each beside what trivial answers score."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from etils import epath

from drnet_jax import inference, metrics, prng, report, writer
from drnet_jax import run as run_lib
from drnet_jax.arrays import as_float
from drnet_jax.run import Run
from drnet_jax.state import DrnetState

SCHEMA_VERSION = 2

NUM_MEAN_CLIPS = 1000
"""Clips behind the mean training frame."""

TRIVIAL_ANSWERS = ("copy_content_frame", "copy_pose_frame", "mean_frame")
"""What a swap is compared with, besides the truth."""


def prepare(config: ml_collections.ConfigDict, workdir: epath.PathLike) -> Callable[[], None]:
    """Returns the evaluation of a trained workdir, ready to be called.

    Raises:
      ValueError: for settings that cannot be used, or that are another run's.
      OSError: for missing checkpoints or data.
    """
    run, drnet, _ = run_lib.open_trained(config, workdir)

    def job() -> None:
        write(run, drnet)
        report.refresh(run.workdir)

    return job


def write(run: Run, state: DrnetState) -> None:
    """Scores the run, writes `evaluation.json` and prints the scores."""
    record = score(run, state)
    writer.write_json(run.workdir / "evaluation.json", record)
    print(summary(record))


def summary(record: dict) -> str:
    """Returns the scores as a small table for the terminal."""
    lines = [f"{'':24}{'PSNR [dB]':>22}{'SSIM':>26}"]
    rows, swap = {"reconstruction": record["reconstruction"]}, record["swap"]
    if swap:
        rows[f"swap, t+{swap['horizon']}"] = swap["model"]
        rows |= {f"  {name.replace('_', ' ')}": swap[name] for name in TRIVIAL_ANSWERS}
    for name, scores in rows.items():
        psnr, ssim = (
            f"{scores[key]['mean']:.{digits}f} [{scores[key]['low']:.{digits}f}, "
            f"{scores[key]['high']:.{digits}f}]"
            for key, digits in (("psnr", 2), ("ssim", 3))
        )
        lines.append(f"{name:24}{psnr:>22}{ssim:>26}")
    accuracy = record["discriminator"]["accuracy"]
    if accuracy is not None:
        mean = accuracy["mean"]
        lines.append(f"discriminator accuracy on held-out pairs {mean:.3f}, chance 0.5")
    return "\n".join(lines)


def score(run: Run, state: DrnetState) -> dict:
    """Returns the scores of held-out clips; the same seed gives the same clips.

    Every score has its mean over clips and the ends of its 95 % bootstrap interval.

      reconstruction: content of x^t and pose of x^(t+horizon), against x^(t+horizon).
      swap: content of clip A at t, pose of clip B at t + horizon, against A's digits on B's tracks,
        with the better of all assignments of digits to tracks; beside it three trivial answers:
        the content frame itself, the pose frame itself, the mean training frame.
      discriminator: how often it tells poses of one clip from poses of two, 0.5 being chance.

    `t` is the last observed frame. Frames count as they are, in all their channels.
    """
    config, horizon = run.config, run.config.evaluation.horizon
    num_clips, batch_size = config.evaluation.num_clips, config.evaluation.batch_size
    score_batch = jax.jit(_make_batch_scorer(run))
    mean_frame = _mean_training_frame(run)
    batches = []
    for i in range(-(-num_clips // batch_size)):
        batch = _held_out_batch(run, prng.stream(run.key, "evaluation", i), batch_size)
        batches.append(jax.device_get(score_batch(state, batch, mean_frame)))
    values = jax.tree.map(lambda *arrays: np.concatenate(arrays)[:num_clips], *batches)
    seed = config.seed
    intervals = jax.tree.map(lambda clips: metrics.bootstrap(clips, seed), values)
    return {
        "schema_version": SCHEMA_VERSION,
        "data": {
            "name": config.data.name,
            "note": run.source.note,
            "stand_in": run.source.stand_in,
            "split": "test",
        },
        "num_clips": num_clips,
        "seed": seed,
        "steps": int(state.step),
        "reconstruction": intervals["reconstruction"],
        # None where nobody knows what a swap ought to look like.
        "swap": intervals.get("swap") and {"horizon": horizon} | intervals["swap"],
        # None for a model that was imported without one.
        "discriminator": {"accuracy": intervals.get("discriminator"), "chance": 0.5},
    }


def _mean_training_frame(run: Run) -> jax.Array:
    """Returns the mean of random training frames, `[height, width, channels]` in [0, 1]."""
    clips = run.source.sample("train", prng.stream(run.key, "mean frame"), NUM_MEAN_CLIPS)
    return jnp.mean(as_float(run.source.frames("train", clips, np.array([0]))), axis=(0, 1))


def _held_out_batch(run: Run, key: jax.Array, batch_size: int) -> dict[str, jax.Array]:
    """Returns uint8 frames of pairs of clips (A, B), and the truth of every swap.

    `content` is A at t, `pose` B at t + horizon, `own` A at t + horizon, `targets`
    `[batch, assignments, ...]` what A looks like in the pose of B, where that is known; `random_*`
    are frames at random times.
    """
    source, config = run.source, run.config
    key_a, key_b, key_t = jax.random.split(key, 3)
    t = config.predictor.num_observed - 1
    later = t + config.evaluation.horizon
    a = source.sample("test", key_a, batch_size, num_frames=later + 1)
    b = source.sample("test", key_b, batch_size, num_frames=later + 1, unlike=a)
    own = source.frames("test", a, np.array([t, later]))
    random_a = source.frames("test", a, source.random_times("test", a, key_t, 2))
    random_b = source.frames("test", b, source.random_times("test", b, key_t, 2))
    batch = {
        "content": own[:, 0],
        "own": own[:, 1],
        "pose": source.frames("test", b, np.array([later]))[:, 0],
        "random_0": random_a[:, 0],
        "random_1": random_a[:, 1],
        "random_other": random_b[:, 1],
    }
    targets = source.swap_truth("test", a, b, later)
    return batch if targets is None else batch | {"targets": targets}


def _make_batch_scorer(run: Run):
    """Returns a function of (state, batch, mean frame) to scores `[batch]` by name."""
    networks = run.networks

    def score_batch(state: DrnetState, batch: dict[str, jax.Array], mean_frame: jax.Array):
        frames = {name: as_float(array) for name, array in batch.items()}

        def pose(name: str) -> jax.Array:
            return inference.encode_pose(networks, state.main, frames[name])

        def says_same(pose_a: jax.Array, pose_b: jax.Array) -> jax.Array:
            variables = {"params": state.discriminator.params["discriminator"]}
            return networks.discriminator.apply(variables, pose_a, pose_b) > 0

        content = inference.encode_content(networks, state.main, frames["content"])
        rebuilt = inference.decode(networks, state.main, content, pose("own"))
        random_pose = pose("random_0")
        answers = {
            "model": inference.decode(networks, state.main, content, pose("pose")),
            "copy_content_frame": frames["content"],
            "copy_pose_frame": frames["pose"],
            "mean_frame": jnp.broadcast_to(mean_frame, frames["pose"].shape),
        }
        scores = {}
        if "targets" in frames:
            scores["swap"] = {
                name: _best(frame, frames["targets"]) for name, frame in answers.items()
            }
        if networks.discriminator is not None:
            same = says_same(random_pose, pose("random_1"))
            different = ~says_same(random_pose, pose("random_other"))
            scores["discriminator"] = (same.astype(jnp.float32) + different) / 2
        return scores | {
            "reconstruction": {
                "psnr": metrics.psnr(rebuilt, frames["own"]),
                "ssim": metrics.ssim(rebuilt, frames["own"]),
            },
        }

    return score_batch


def _best(frame: jax.Array, targets: jax.Array) -> dict[str, jax.Array]:
    """Returns scores `[batch]` of `frame` against the assignment it comes closest to."""
    psnr = metrics.psnr(frame[:, None], targets)  # [batch, assignments]
    ssim = metrics.ssim(jnp.broadcast_to(frame[:, None], targets.shape), targets)
    closest = jnp.argmax(psnr, axis=1, keepdims=True)
    return {
        "psnr": jnp.take_along_axis(psnr, closest, axis=1)[:, 0],
        "ssim": jnp.take_along_axis(ssim, closest, axis=1)[:, 0],
    }
