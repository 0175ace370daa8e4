"""Stand-ins: reproducible bytes, true factors, and poses that can be seen."""

import concurrent.futures
import itertools

import numpy as np
import pytest

from drnet_jax.data import registry
from drnet_jax.data.kth import stand_in as people_stand_in
from drnet_jax.data.moving_mnist import digits
from drnet_jax.data.rendering import chairs, people, stand_in, toys
from drnet_jax.data.rendering.scene import Light, turntable
from tests.test_configs import load

SETTINGS = dict(
    suncg=dict(num_identities=10, elevations=(12, 40), num_azimuths=8, seed=0),
    norb=dict(
        instances_per_category=3, elevations=(30, 60), num_lightings=2, num_azimuths=8, seed=0
    ),
    kth=dict(num_people=5, num_repeats=1, clip_length=6, seed=0),
)
NAMES = tuple(SETTINGS)
TURNTABLES = ("suncg", "norb")
LIGHT = Light(azimuth=40, elevation=55)


def config_of(name, image_size=32, **changes):
    """Returns the config of a stand-in with small settings and the changes."""
    config_class = registry.STAND_INS[name][1]
    return config_class(image_size=image_size, **SETTINGS[name] | changes)


def create(name, **changes):
    return registry.STAND_INS[name][0](config=config_of(name, **changes), data_dir="unused")


@pytest.fixture(scope="module")
def builders():
    return {name: create(name) for name in NAMES}


@pytest.fixture(scope="module")
def made(builders):
    """Clips of the first two training jobs by name of the stand-in."""
    return {name: [b.make(job) for job in b.jobs()["train"][:2]] for name, b in builders.items()}


def track(config, **changes):
    """Returns the factors of a clip without rendering it."""
    which = dict(person=1, scenario=0, repeat=0, action=0) | changes
    return which | people_stand_in._track(config, **which)


@pytest.mark.parametrize("name", NAMES)
def test_clips_fit_their_features(builders, made, name):
    builder = builders[name]
    for clip in made[name][1][:3]:
        assert clip.frames.dtype == np.uint8
        assert clip.frames.shape[1:] == (32, 32, builder.channels)
        assert set(clip.factors) == set(builder.factor_features())
        builder.serialize(clip)
        for value in clip.factors.values():
            assert np.ndim(value) == 0 or np.shape(value) == (len(clip.frames),)
        if name in TURNTABLES:
            np.testing.assert_array_equal(clip.factors["azimuth"], np.arange(8) * 45)
    assert builder.CARD.stand_in and "stand-in" in builder.CARD.title
    assert "cannot be compared" in builder.CARD.description
    assert builder.CARD.periodic == (name in TURNTABLES)


@pytest.mark.parametrize("name", NAMES)
def test_bytes_do_not_depend_on_threads_or_order(builders, made, name):
    jobs = builders[name].jobs()["train"][:2]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        together = list(pool.map(builders[name].make, reversed(jobs)))[::-1]
    for a, b in zip(itertools.chain(*made[name]), itertools.chain(*together), strict=True):
        assert a.name == b.name
        np.testing.assert_array_equal(a.frames, b.frames)
        for key in a.factors:
            np.testing.assert_array_equal(a.factors[key], b.factors[key])


@pytest.mark.parametrize("name", NAMES)
def test_splits_share_no_identity(builders, name):
    jobs = builders[name].jobs()
    assert set(jobs) == {"train", "test"}
    # The identity of people is the person, whatever the scenario.
    end = 1 if name == "kth" else None
    train, test = ({job.arguments[:end] for job in jobs[split]} for split in ("train", "test"))
    assert not train & test
    names = [job.name for split in jobs for job in jobs[split]]
    assert len(set(names)) == len(names)


def test_seeds_and_lightings_differ(made):
    other = create("suncg", seed=1, elevations=(12,))
    clip = other.make(other.jobs()["train"][0])[0]
    assert np.any(made["suncg"][0][0].frames != clip.frames)
    first, second = made["norb"][0][:2]
    assert (first.factors["lighting"], second.factors["lighting"]) == (0, 1)
    assert difference(first.frames[0], second.frames[0])[0] > 40


# What users have prepared must keep opening, whatever a class is called today.


def test_the_folders_of_prepared_files_never_change():
    names = {name: kind.name for name, (kind, _) in registry.REAL.items()}
    expected = dict(kth="kth_actions", norb="small_norb", suncg="suncg_chairs")
    assert names == expected | dict(video_folder="video_folder")
    assert {str(kind.VERSION) for kind, _ in registry.REAL.values()} == {"1.0.0"}
    assert digits.MnistDigits.name == "mnist_digits" and digits.MnistDigits.VERSION == "1.0.0"


FOLDERS = dict(
    suncg="procedural_chairs/size64_chairs300_azimuths36_elevations10_18_26_34_42_seed0/1.0.0",
    norb="procedural_norb/size64_instances10_elevations30_35_40_45_50_55_60_65_70_lightings6"
    "_azimuths18_seed0/1.0.0",
    kth="procedural_kth/size128_people25_repeats1_length100_seed0/1.0.0",
)


@pytest.mark.parametrize(
    ("name", "sizes"), [("suncg", (255, 45)), ("norb", (25, 25)), ("kth", (80, 20))]
)
def test_folders_and_sizes_of_the_full_stand_ins_never_change(name, sizes, tmp_path):
    data = load(name).data
    data.update(data_dir=str(tmp_path), source="stand_in")
    builder = registry.make_builder(data)
    assert builder.data_path == tmp_path / FOLDERS[name]
    jobs = builder.jobs()
    assert tuple(len(jobs[split]) for split in ("train", "test")) == sizes
    if name == "kth":
        assert {job.arguments[0] for job in jobs["test"]} == set(range(21, 26))


@pytest.mark.parametrize("name", NAMES)
def test_different_settings_have_different_names(name):
    numbers = {key: value for key, value in SETTINGS[name].items() if key != "elevations"}
    changes = [{}, dict(image_size=128), *({key: numbers[key] + 1} for key in numbers)]
    if name in TURNTABLES:
        changes += [dict(elevations=values) for values in ((30,), (30.5,), (3, 0.5))]
    names = [config_of(name, **change).name for change in changes]
    assert len(set(names)) == len(changes)
    assert all(name.replace("_", "").isalnum() for name in names)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("suncg", dict(num_identities=1), "num_identities=1; allowed: 2 or more"),
        ("suncg", dict(elevations=()), r"elevations=\(\); allowed: one or more"),
        ("suncg", dict(elevations=(20, 95)), "from 0 to 80 degrees"),
        ("suncg", dict(elevations=(20, 20)), "one or more distinct values"),
        ("norb", dict(instances_per_category=1), "category=1; allowed: 2 or more"),
        ("norb", dict(num_lightings=7), "num_lightings=7; allowed: 1 to 6"),
        ("norb", dict(num_lightings=0), "num_lightings=0; allowed: 1 or more"),
        ("norb", dict(num_azimuths=1), "num_azimuths=1; allowed: 2 or more"),
        ("kth", dict(clip_length=1), "clip_length=1; allowed: 2 or more"),
        ("kth", dict(seed=-1), "seed=-1; allowed: 0 or more"),
        ("kth", dict(image_size=4), "image_size=4; allowed: 8 or more"),
    ],
)
def test_impossible_settings_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        config_of(name, **settings)


def difference(first, second):
    """Returns the largest change of a pixel in two frames, and the fraction that changes."""
    change = abs(first.astype(int) - second.astype(int)).max(-1)
    return change.max(), np.mean(change > 16)


@pytest.mark.parametrize("name", TURNTABLES)
def test_poses_can_be_told_from_pictures(name):
    first_view = dict(suncg=dict(elevations=(12,)), norb=dict(elevations=(30,), num_lightings=1))
    builder = create(name, **first_view[name])
    for job in builder.jobs()["train"]:
        (clip,) = builder.make(job)
        for first, second in itertools.combinations(clip.frames, 2):
            most, part = difference(first, second)
            assert most > 40 and part > 0.015, clip.name


@pytest.mark.parametrize("identity", range(0, 300, 10))
def test_outlines_of_chairs_differ_front_and_side(identity):
    # By shape, not by color or light: the back rises at the rear edge of the seat.
    points = chairs.make_chair(0, identity).points()
    top = points[points[:, 1] > points[:, 1].max() - 0.05]
    assert top[:, 2].max() < 0
    assert points[:, 1].min() > -0.02


def test_at_azimuth_90_the_camera_sees_the_left_side():
    # A point on the object's own left, x, is on the right of a viewer who sees the front.
    points = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 0, 1], [0, 0, -1], [0, 1, 0]])
    front, left = turntable(points, (0, 90), 0)
    view = front.view(LIGHT, 0.0)
    np.testing.assert_allclose(view.eye[[0, 2]] / front.distance, [0, 1], atol=1e-6)
    assert view.right[0] > 0
    np.testing.assert_allclose(left.view(LIGHT, 0.0).eye[0], left.distance, rtol=1e-6)


@pytest.mark.parametrize("elevation", (10, 42, 70))
@pytest.mark.parametrize(
    "model",
    [chairs.make_chair(0, 3), toys.make_toy(0, "plane", 1), toys.make_toy(0, "human", 2)],
    ids=("chair", "plane", "human"),
)
def test_objects_fill_the_frame_and_stay_within(model, elevation):
    largest = 0
    for camera in turntable(model.points(), range(0, 360, 20), elevation):
        view = camera.view(LIGHT, 0.0)
        rays = model.points() - view.eye
        for side in (view.right, view.up):
            places = rays @ side / (side @ side) / (rays @ view.forward)
            largest = max(largest, abs(places).max())
    np.testing.assert_allclose(largest, 0.84, atol=0.02)


@pytest.mark.parametrize("name", TURNTABLES)
def test_light_stays_with_the_room_or_with_the_camera(builders, monkeypatch, name):
    seen = []

    def draw(scenes, views, backdrop):
        seen.extend(views)
        return np.zeros((len(views), *backdrop.shape), np.uint8)

    monkeypatch.setattr(stand_in, "draw", draw)
    builders[name].make(builders[name].jobs()["train"][0])
    lamps = np.array([view.lamp for view in seen[:8]])
    if name == "norb":  # A lamp beside a turntable stays where it is, seen from the camera.
        axes = np.array([[view.right, view.up, view.forward] for view in seen[:8]])
        lamps = np.einsum("nij,nj->ni", axes, lamps)
    np.testing.assert_allclose(lamps, np.broadcast_to(lamps[0], lamps.shape), atol=1e-6)


def test_people_move_steadily_across_the_picture_and_stay_in_it():
    config = config_of("kth", clip_length=60)
    facings = set()
    for person, scenario, action in itertools.product(range(1, 6), range(4), range(6)):
        factors = track(config, person=person, scenario=scenario, action=action)
        phase = factors["phase"]
        assert np.all((phase >= 0) & (phase < 2 * np.pi + 1e-6))
        turns = np.diff(phase) % (2 * np.pi)
        np.testing.assert_allclose(turns, turns[0], atol=1e-4)
        assert 0.05 < turns[0] < 1
        assert np.all((factors["position"] >= 0.1) & (factors["position"] <= 0.9))
        steps = np.diff(factors["position"]) * factors["facing"]
        crosses = people.ACTIONS[action] in people.GAITS
        assert np.all(steps > 0) if crosses else np.all(steps == 0)
        assert (np.ptp(factors["scale"]) > 0) == (scenario == 1)
        facings.add((action, factors["facing"]))
    assert len(facings) == 12
    assert {track(config, repeat=repeat)["facing"] for repeat in (0, 1)} == {-1, 1}


def test_positions_are_where_the_person_is(builders, made):
    config, walk = builders["kth"].builder_config, made["kth"][1][5]
    away = dict(walk.factors) | {"position": np.full(len(walk.frames), 9, np.float32)}
    empty = people_stand_in.render_swap(config, walk.factors, away)
    for frame, place, nobody in zip(walk.frames, walk.factors["position"], empty, strict=True):
        _, columns, _ = np.nonzero(abs(frame[:24].astype(int) - nobody[:24]) > 40)
        assert abs((columns.mean() + 0.5) / 32 - place) < 0.06


def test_clips_are_as_long_as_the_action_lasts():
    config = config_of("kth", clip_length=100)
    lengths = {}
    for action, person in itertools.product(range(6), range(1, 6)):
        phase = track(config, person=person, action=action)["phase"]
        lengths.setdefault(people.ACTIONS[action], []).append(len(phase))
    assert all(85 <= n <= 100 for n in lengths["boxing"] + lengths["handwaving"])
    assert len(set(lengths["boxing"])) > 1
    means = [np.mean(lengths[name]) for name in ("running", "jogging", "walking")]
    assert 25 < means[0] < means[1] < means[2] < 100


def test_a_true_swap_has_the_place_of_one_clip_and_the_pose_of_the_other(builders, made):
    config, clip, content = builders["kth"].builder_config, made["kth"][1][4], made["kth"][1][0]
    frames = people_stand_in.render_swap(config, clip.factors, clip.factors)
    np.testing.assert_array_equal(frames, clip.frames)
    truth = builders["kth"].swap_truth(clip.factors, clip.factors, time=4)
    np.testing.assert_array_equal(truth, clip.frames[4])
    pose = track(config, person=2, scenario=1, action=3)
    truth = builders["kth"].swap_truth(content.factors, pose, 2)
    assert truth.shape == (32, 32, 1)
    # The upper corners show only the backdrop.
    np.testing.assert_array_equal(truth[:4, :4], content.frames[0, :4, :4])
    # Of the content only person and scenario matter, of the pose only the other factors.
    content_of_pose = dict(pose) | {key: content.factors[key] for key in builders["kth"].CONTENT}
    own = people_stand_in.render_swap(config, content_of_pose, content_of_pose)
    np.testing.assert_array_equal(truth, own[2])


def test_people_differ_in_side_clothes_and_place():
    person, dressed = (people.make_person(0, 4, outfit) for outfit in (0, 1))
    right, left = (people.pose_person(person, "boxing", 0.5, side).points() for side in (1, -1))
    assert right[:, 0].max() > -right[:, 0].min() and left[:, 0].max() < -left[:, 0].min()
    assert person.height == dressed.height and person.shirt != dressed.shirt
    places = [people_stand_in._backdrop(0, 1, scenario, 32) for scenario in range(4)]
    for first, second in itertools.combinations(places, 2):
        assert abs(first - second).mean() > 0.01


@pytest.mark.parametrize("action", people.ACTIONS)
def test_feet_stay_at_the_floor(action):
    person = people.make_person(0, 2, 0)
    phases = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    models = [people.pose_person(person, action, phase, 1) for phase in phases]
    heights = [model.points()[:, 1].min() for model in models]
    assert min(heights) > -0.09 and min(heights) < 0.03 and max(heights) < 0.12
