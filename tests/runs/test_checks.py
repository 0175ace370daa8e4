import pytest

from drnet_jax.evaluation import metrics
from drnet_jax.runs import checks


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("drnet.num_steps", 0, r"config.drnet.num_steps=0; allowed: above 0"),
        ("drnet.batch_size", -4, r"config.drnet.batch_size=-4; allowed: 2 and above"),
        ("rollout.num_steps", 0, r"config.rollout.num_steps=0; allowed: above 0"),
        ("rollout.num_steps", -5, r"config.rollout.num_steps=-5; allowed: above 0"),
        ("data.image_size", -64, r"config.data.image_size=-64; allowed: 11 and above"),
        ("model.pose_dim", 0, r"config.model.pose_dim=0; allowed: above 0"),
        ("drnet.similarity_weight", -1.0, r"similarity_weight=-1.0; allowed: 0 and above"),
        ("predictor.beta1", 1.0, r"beta1=1.0; allowed: 0 up to, not including, 1"),
        ("data.digits", "some", r"config.data.digits='some'; allowed: auto, full, embedded"),
        ("evaluation.pde_sep_clips", 5_001, r"pde_sep_clips=5001; allowed: 1 to 5,000, all clips"),
        ("data.motion", "bounce", r"config.data.motion='bounce'; allowed: clamp, reflect"),
        ("data.blending", "max", r"config.data.blending='max'; allowed: occlude, add"),
        ("dtype", "float16", r"config.dtype='float16'; allowed: auto, float32, bfloat16"),
        ("drnet.schedule", "linear", r"config.drnet.schedule='linear'; allowed: constant, cosine"),
        ("seed", 2**32, r"config.seed=4294967296; allowed: below 2\*\*32"),
        ("evaluation.probe_clips", 9, r"probe_clips=9; allowed: 60 and above, to fit probes"),
    ],
)
def test_impossible_values_are_refused(config, name, value, message):
    with config.unlocked():
        config.update_from_flattened_dict({name: value})
    with pytest.raises(ValueError, match=message):
        checks.check(config.to_dict())


def test_difference_names_the_first_setting_that_matters(config):
    stored = config.to_dict()
    assert checks.difference(stored, stored) is None
    config.rollout.num_steps += 1
    config.log_every_steps += 1
    assert checks.difference(stored, config.to_dict()) is None
    config.model.width = 9
    assert checks.difference(stored, config.to_dict()) == "config.model.width is 2 there and 9 here"


def test_auto_equals_the_digits_that_it_chose(config):
    stored = config.to_dict()
    config.data.digits = "auto"
    assert checks.difference(stored, config.to_dict()) is None
    assert checks.difference(config.to_dict(), stored) is not None


def test_frames_hold_the_window_of_the_ssim_score():
    assert checks.MIN_IMAGE_SIZE == metrics.SSIM_WINDOW
