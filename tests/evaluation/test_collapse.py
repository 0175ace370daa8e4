import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drnet_jax.evaluation import collapse


@pytest.fixture
def collapsed(tiny_run):
    """Returns a function that collapses networks of the tiny run by setting weights to 0."""
    run, drnet, _ = tiny_run

    def score(*networks):
        params = dict(drnet.autoencoder.params)
        for name in networks:
            params[name] = jax.tree.map(jnp.zeros_like, params[name])
        state = drnet.replace(autoencoder=drnet.autoencoder.replace(params=params))
        return collapse.score(run, state, jnp.full(run.frame_shape, 0.1))["collapse"]

    return score


def test_a_decoder_that_ignores_everything_is_found(collapsed, caplog):
    record = collapsed("decoder")
    assert record["warnings"][0].startswith("all decoded frames are alike")
    assert "reconstructions are no better than a mean frame." in record["warnings"]
    assert record["frames_over_contents"]["model"] == record["frames_over_poses"]["model"] == 0
    assert "COLLAPSED: all decoded frames are alike" in caplog.text


def test_one_content_for_all_clips_is_found(collapsed):
    record = collapsed("content_encoder")
    assert record["content_spread"] == 0
    assert "all clips have the same content." in record["warnings"]
    assert record["frames_over_contents"]["model"] < 1e-6


def record(contents=0.1, poses=0.1, content_spread=0.8, psnr=25.0):
    return {
        "content_spread": content_spread,
        "frames_over_contents": {"model": contents, "truth": 0.2},
        "frames_over_poses": {"model": poses, "truth": 0.1},
        "reconstruction_psnr": {"model": psnr, "mean_frame": 20.0, "black_frame": 19.0},
    }


@pytest.mark.parametrize(
    ("measured", "warnings"),
    [
        (record(), []),
        (record(contents=0.021, poses=0.011, content_spread=0.011, psnr=20.1), []),
        (
            record(contents=0.019, poses=0.009),
            ["all decoded frames are alike, whatever the content and the pose."],
        ),
        (record(contents=0.019), ["decoded frames do not depend on the content."]),
        (record(poses=0.009), ["decoded frames do not depend on the pose."]),
        (record(content_spread=0.009), ["all clips have the same content."]),
        # A model without content cannot depend on it.
        (record(contents=0.0, content_spread=None), []),
        (record(psnr=19.5), ["reconstructions are no better than a mean frame."]),
    ],
)
def test_what_counts_as_collapsed(measured, warnings):
    assert collapse.find(measured) == warnings


def test_spreads_equal_numpy():
    values = np.random.default_rng(0).normal(3.0, 2.0, (200, 5))
    np.testing.assert_allclose(
        collapse.spread(values, 0), np.sqrt(values.var(axis=0).mean()), rtol=1e-9
    )
    # Normal with mean 3 and deviation 2: 2 / sqrt(3^2 + 2^2).
    np.testing.assert_allclose(collapse.relative_spread(values), 2 / np.sqrt(13), rtol=0.05)
    assert collapse.relative_spread(np.zeros((3, 2))) == 0


def test_alike_frames_are_warned_about_while_training(caplog):
    real = np.random.default_rng(0).integers(0, 256, (2, 8, 4, 4, 1), np.uint8)
    collapse.warn_if_alike(2000, np.broadcast_to(real[0, 0], (8, 8, 4, 4, 1)), real)
    assert caplog.messages == ["COLLAPSED: after step 2000 all decoded frames are alike."]
    caplog.clear()
    collapse.warn_if_alike(2000, real, real)
    # Where real frames are all alike, nothing can collapse.
    collapse.warn_if_alike(2000, real * 0, real * 0)
    assert not caplog.messages
