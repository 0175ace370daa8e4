"""Times of long rollouts, beside loops that decode one frame at each step, like the authors'.

  python -m benchmarks.rollout --config=configs/mnist.py --peer=torch --batch_sizes=1,10,100

For each batch size the frames are compared first, then three take turns: our single program, our
networks in a loop of compiled steps (`loop`), and the same loop in PyTorch. The last line is JSON,
by batch size: `ours_s`, `peer_s` and `ratio` (to the PyTorch loop, or without PyTorch to `loop`).
"""

import functools
import json
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from ml_collections import config_flags

from benchmarks import subject, timing
from drnet_jax.base.arrays import as_uint8
from drnet_jax.models import inference, rollout
from drnet_jax.models.pose_lstm import PoseLSTM, teacher_forced
from drnet_jax.runs import runtime

Rollout = Callable[[], np.ndarray]


def create(
    tested: subject.Subject,
    predictor_settings: dict,
    sizes: dict[str, int],
    with_torch: bool,
) -> dict[str, Rollout]:
    """Returns the contenders by name; each makes the same frames from the same weights.

    Args:
      tested: the networks.
      predictor_settings: `hidden_dim` and `num_layers`.
      sizes: `batch_size`, `num_observed`, `num_steps` and `frames_at_once`.
      with_torch: whether PyTorch takes part.
    """
    autoencoder = tested.init().autoencoder
    settings = {name: tested.settings[name] for name in ("pose_dim", "normalize", "dtype")}
    predictor = PoseLSTM(**settings, **predictor_settings)
    observed = tested.batch().frames[:1].repeat(sizes["batch_size"], axis=0)
    observed = observed[:, : sizes["num_observed"]]
    inputs = jnp.zeros((1, tested.settings["pose_dim"] + tested.settings["content_dim"]))
    variables = predictor.init(jax.random.key(3), predictor.initial_carry(1), inputs)
    num_steps = sizes["num_steps"]
    ours = rollout.compiled_rollout(tested.networks, predictor, num_steps, sizes["frames_at_once"])
    contenders = {
        "ours": lambda: np.asarray(ours(autoencoder, variables, observed)),
        "loop": _make_loop(tested.networks, predictor, autoencoder, variables, observed, num_steps),
    }
    if with_torch:
        # Imported here, so that ours can be measured without PyTorch.
        from benchmarks.torch_peer import rollout as torch_rollout

        dims = (tested.settings[name] for name in ("pose_dim", "content_dim"))
        lstm = torch_rollout.PoseLstm(*dims, **predictor_settings)
        lstm.load(variables)
        peer = torch_rollout.Rollout(tested.settings, autoencoder, lstm, num_steps)
        contenders["torch"] = lambda: peer(np.asarray(observed))
    return contenders


def _make_loop(networks, predictor, autoencoder, variables, observed, num_steps: int) -> Rollout:
    @jax.jit
    def begin(autoencoder, variables, observed):
        content = inference.encode_content(networks, autoencoder, observed[:, -1])
        poses = inference.encode_pose(networks, autoencoder, observed)
        carry, poses = teacher_forced(predictor, variables, poses, content.vector)
        return content, carry, poses[:, -1]

    @functools.partial(jax.jit, donate_argnums=3)
    def advance(autoencoder, variables, content, carry, pose):
        frames = as_uint8(inference.decode(networks, autoencoder, content, pose))
        inputs = jnp.concatenate([pose, content.vector], axis=-1)
        carry, pose = predictor.apply(variables, carry, inputs)
        return frames, carry, pose

    def run() -> np.ndarray:
        content, carry, pose = begin(autoencoder, variables, observed)
        generated = []
        for _ in range(num_steps):
            frames, carry, pose = advance(autoencoder, variables, content, carry, pose)
            generated.append(np.asarray(frames))
        return np.stack(generated, axis=1)

    return run


def check_same_frames(found: dict[str, np.ndarray]) -> None:
    """Raises ValueError if contenders made frames that differ by more than a level on average.

    Only the first ten steps are compared: each step adds its rounding to that of all before.
    """
    for name, frames in found.items():
        difference = np.abs(frames[:, :10].astype(int) - found["ours"][:, :10]).mean()
        if difference > 1:
            raise ValueError(f"Frames of {name} are {difference:.3g} levels off; allowed: 1.")


def measure(contenders: dict[str, Rollout], repeats: int) -> dict[str, float]:
    """Compiles and compares `contenders`; returns medians and ratios of their times."""
    check_same_frames({name: run() for name, run in contenders.items()})
    times = timing.alternate(contenders, repeats)
    peer = "torch" if "torch" in times else "loop"
    medians = {f"{name}_s": found.median for name, found in times.items()}
    result = medians | {"peer": peer, "peer_s": times[peer].median}
    return result | timing.ratio(times["ours"], times[peer])


def define_flags() -> None:
    """Declares the command line; not on import, because benchmarks share names of flags."""
    config_flags.DEFINE_config_file("config", "configs/mnist.py", "A file of configs/.")
    flags.DEFINE_enum("peer", "none", ["none", "torch"], "What to compare with.")
    flags.DEFINE_list("batch_sizes", ["1", "10", "100"], "Numbers of clips at once.")
    flags.DEFINE_integer("num_steps", 500, "Generated frames of a clip.", lower_bound=1)
    flags.DEFINE_integer("repeats", 3, "Timed rounds.", lower_bound=1)
    flags.DEFINE_integer("frames_at_once", 100, "Frames that ours decodes together.", lower_bound=1)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}.")
    runtime.keep_freed_memory()
    config = flags.FLAGS.config
    tested = subject.create(config)
    predictor = {name: config.predictor[name] for name in ("hidden_dim", "num_layers")}
    result = {}
    for batch_size in map(int, flags.FLAGS.batch_sizes):
        sizes = {
            "batch_size": batch_size,
            "num_observed": min(config.predictor.num_observed, 4),
            "num_steps": flags.FLAGS.num_steps,
            "frames_at_once": flags.FLAGS.frames_at_once,
        }
        contenders = create(tested, predictor, sizes, flags.FLAGS.peer == "torch")
        result[batch_size] = measure(contenders, flags.FLAGS.repeats)
        print(
            f"batch {batch_size}, {flags.FLAGS.num_steps} steps: {result[batch_size]}", flush=True
        )
    print(json.dumps(result))


if __name__ == "__main__":
    define_flags()
    app.run(main)
