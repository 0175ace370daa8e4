import jax
import numpy as np

from drnet_jax.base import prng


def draw(key):
    return np.asarray(jax.random.bits(key, (4,)))


def test_same_name_and_step_give_the_same_numbers_under_jit_too():
    key = prng.root(3)
    eager = draw(prng.stream(key, "frames", 7))
    traced = draw(jax.jit(lambda step: prng.stream(key, "frames", step))(7))
    np.testing.assert_array_equal(eager, traced)


def test_names_steps_and_seeds_give_different_numbers():
    draws = [
        draw(prng.stream(prng.root(seed), name, step))
        for seed in (0, 1)
        for name in ("frames", "pairs")
        for step in (0, 1)
    ]
    assert len(np.unique(np.stack(draws), axis=0)) == len(draws)
