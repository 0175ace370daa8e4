"""The test of PDE-sep, for runs on Moving MNIST by its laws and with all of MNIST's digits."""

from typing import Any

import jax
import numpy as np

from drnet_jax.base.arrays import Array
from drnet_jax.evaluation import metrics
from drnet_jax.evaluation import pde_sep_benchmark as benchmark
from drnet_jax.models import inference
from drnet_jax.models.rollout import predict_poses
from drnet_jax.models.state import DrnetState, PredictorState
from drnet_jax.runs.run import Run

LAWS = {
    "name": "moving_mnist",
    "image_size": benchmark.SIDE,
    "digit_size": benchmark.DIGIT,
    "num_digits": 2,
    "colored": False,
    "speeds": (-benchmark.MAX_SPEED, benchmark.MAX_SPEED),
    "zero_speeds": True,
    "motion": "reflect",
    "blending": "add",
}
"""Settings below `config.data` that make clips like those of the test."""

_FRAMES_AT_ONCE = 500


def score(run: Run, state: DrnetState, predictor: PredictorState) -> dict[str, Any] | None:
    """Returns the record `pde_sep`; None for a run on other data.

    `prediction` and `swap` have the picture scores of every answer by horizon, on the first
    `config.evaluation.pde_sep_clips` clips. The model's content is that of the last observed frame.
    """
    if not applies(run):
        return None
    digits, num_steps = run.source.digits, max(benchmark.HORIZONS)
    test = benchmark.TestSet(digits.test_images, digits.test_labels)
    num_clips = run.config.evaluation.pde_sep_clips

    @jax.jit
    def draw(autoencoder, variables, observed: Array, swap_content: Array):
        nets = (run.networks, run.predictor, autoencoder, variables)
        content, poses = predict_poses(*nets, observed, num_steps)
        other = inference.encode_content(run.networks, autoencoder, swap_content)
        return [
            inference.decode_each(run.networks, autoencoder, c, poses)[..., 0]
            for c in (content, other)
        ]

    batches, batch_size = [], min(num_clips, _FRAMES_AT_ONCE // num_steps)
    for begin in range(0, num_clips, batch_size):
        # The last batch is filled up with the first clips, so that one program serves all.
        clips = np.arange(begin, begin + batch_size) % num_clips
        seen = (test.observed(clips)[..., None], test.swap_content(clips)[:, -1, ..., None])
        predicted, swapped = draw(state.autoencoder, predictor.variables, *seen)
        batches.append(
            {
                "prediction": benchmark.score_prediction(test, clips, predicted),
                "swap": benchmark.score_swap(test, clips, swapped),
            }
        )
    return {"num_clips": num_clips} | _intervals(batches, num_clips, run.config.seed)


def applies(run: Run) -> bool:
    """Returns whether the run has the test's laws, its number of observed frames and its digits."""
    data = run.config.data.to_dict()
    data["speeds"] = tuple(data.get("speeds", ()))
    if any(data.get(name) != value for name, value in LAWS.items()):
        return False
    if run.config.predictor.num_observed != benchmark.NUM_OBSERVED:
        return False
    digits = run.source.digits
    return benchmark.is_mnist(digits.test_images, digits.test_labels)


def _intervals(batches: list[dict[str, Any]], num_clips: int, seed: int) -> dict[str, Any]:
    """Returns intervals `{part: {horizon: {answer: {score: ...}}}}` from scores by clip."""
    values = jax.tree.map(lambda *parts: np.concatenate(parts)[:num_clips], *batches)
    return {
        part: {
            str(horizon): {
                answer: jax.tree.map(lambda v: metrics.bootstrap(v, seed), scores[horizon])
                for answer, scores in answers.items()
            }
            for horizon in benchmark.HORIZONS
        }
        for part, answers in values.items()
    }
