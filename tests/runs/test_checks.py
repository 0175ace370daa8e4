import math

import pytest

from drnet_jax.evaluation import metrics
from drnet_jax.runs import checks, limits


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "drnet.num_steps",
            0,
            r"drnet.num_steps=0; allowed: whole numbers from 1 to 2,000,0",
        ),
        (
            "drnet.batch_size",
            -4,
            r"drnet.batch_size=-4; allowed: whole numbers from 2 to 100,000",
        ),
        ("rollout.num_steps", 0, r"num_steps=0; allowed: whole numbers from 1 to 1,048,576"),
        ("rollout.num_steps", -5, r"rollout.num_steps=-5; allowed: whole numbers from 1 "),
        ("data.image_size", -64, r"image_size=-64; allowed: whole numbers from 11 to 1,024"),
        ("model.pose_dim", 0, r"config.model.pose_dim=0; allowed: whole numbers from 1 to 65,536"),
        ("drnet.similarity_weight", -1.0, r"weight=-1.0; allowed: finite numbers, 0 and above"),
        ("predictor.beta1", 1.0, r"beta1=1.0; allowed: 0 up to, not including, 1"),
        ("data.digits", "some", r"config.data.digits='some'; allowed: auto, full, embedded"),
        (
            "evaluation.pde_sep_clips",
            5_001,
            r"clips=5001; allowed: whole numbers from 1 to 5,0",
        ),
        ("data.motion", "bounce", r"config.data.motion='bounce'; allowed: clamp, reflect"),
        ("data.blending", "max", r"config.data.blending='max'; allowed: occlude, add"),
        ("dtype", "float16", r"config.dtype='float16'; allowed: auto, float32, bfloat16"),
        ("drnet.schedule", "linear", r"config.drnet.schedule='linear'; allowed: constant, cosine"),
        ("drnet.batch_stats", "local", r"stats='local'; allowed: global, per_device"),
        ("seed", 2**32, r"config.seed=4294967296; allowed: whole numbers from 0 to 4,294,967,295"),
        ("data.image_size", 100_000, r"image_size=100000; allowed: whole numbers from 11 to 1,024"),
        ("data.image_size", 48, r"Impossible image_size 48; allowed: 4 times a power of two"),
        ("drnet.learning_rate", math.inf, r"learning_rate=inf; allowed: finite numbers above 0"),
        ("predictor.learning_rate", math.nan, r"learning_rate=nan; allowed: finite numbers above"),
        ("drnet.adversarial_weight", math.inf, r"weight=inf; allowed: finite numbers, 0 and above"),
        ("drnet.num_steps", 10**20, r"num_steps=1(0{20}); allowed: whole numbers from 1 to 2,000"),
        ("drnet.num_steps", 7.5, r"num_steps=7.5; allowed: whole numbers"),
        ("drnet.num_steps", True, r"num_steps=True; allowed: whole numbers"),
        ("drnet.batch_size", 10**6, r"batch_size=1000000; allowed: whole numbers from 2 to 100,0"),
        ("rollout.num_steps", 10**9, r"num_steps=1000000000; allowed: whole numbers from 1 to 1,0"),
        ("model.pose_encoder", "resnet50", r"pose_encoder='resnet50'; allowed: attention, dcgan, "),
        ("model.content_dim", 0, r"content_dim=0 with content encoder 'dcgan'; allowed: above 0"),
        ("data.name", "cifar", r"config.data.name='cifar'; allowed: moving_mnist, kth, norb, sun"),
        ("on_nan", "skip", r"config.on_nan='skip'; allowed: stop, rollback"),
        ("max_rollbacks", -1, r"max_rollbacks=-1; allowed: whole numbers from 0"),
        ("rollback_learning_rate", 0.0, r"learning_rate=0.0; allowed: above 0, up to 1"),
        ("rollback_learning_rate", 2.0, r"learning_rate=2.0; allowed: above 0, up to 1"),
        ("data.colored", 1, r"config.data.colored=1; allowed: True, False"),
        ("data.data_dir", 3, r"config.data.data_dir=3; allowed: text"),
        (
            "evaluation.probe_clips",
            9,
            r"clips=9; allowed: whole numbers from 60 to 1,000,0",
        ),
    ],
)
def test_impossible_values_are_refused(config, name, value, message):
    with config.unlocked(), config.ignore_type():
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
    assert limits.MIN_IMAGE_SIZE == metrics.SSIM_WINDOW
