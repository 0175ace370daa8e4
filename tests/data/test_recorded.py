"""Prepared clips as a source: which frames it gives, reproducibly."""

import itertools

import jax
import numpy as np
import pytest
import tensorflow_datasets as tfds

from drnet_jax.base import sharding
from drnet_jax.data.clip_store import ClipStore
from drnet_jax.data.recorded import RecordedSource
from tests.helpers import toy_clips


class Known(toy_clips.ToyTurn, skip_registration=True):
    """Clips with all kinds of factors."""

    CONTENT = ("object",)
    LABEL = "move"

    def factor_features(self):
        track = tfds.features.Tensor(shape=(None,), dtype=np.float32)
        move = tfds.features.ClassLabel(names=["up", "down"])
        return {"object": np.int32, "move": move, "azimuth": track, "scale": track}

    def make(self, job):
        [clip] = super().make(job)
        turn = np.arange(len(clip.frames), dtype=np.float32)
        move = ("up", "down")[clip.factors["object"] % 2]
        clip.factors.update(move=move, azimuth=90 * turn, scale=turn)
        return [clip]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


def make(folder, builder_class=toy_clips.Toy, lengths=(3, 5, 8, 4), **changes):
    builder = toy_clips.create(folder, builder_class, lengths)
    settings = dict(max_frame_gap=2, max_bytes=1e9, seed=3, mesh=sharding.data_mesh())
    return RecordedSource(builder, **(settings | changes))


def take(batches, count):
    return [jax.device_get(batch) for batch in itertools.islice(batches, count)]


@pytest.mark.parametrize("consecutive", [False, True])
def test_training_frames_lie_in_a_window_of_their_clip(folder, consecutive):
    batches = take(make(folder, consecutive=consecutive).train_frames(0, 4, 3), 50)
    values = np.stack([toy_clips.read(batch) for batch in batches])  # [number, clip, frame]
    assert values.shape == (50, 4, 3)
    clips, times = np.divmod(values, 20)
    np.testing.assert_array_equal(clips, clips[:, :, :1].repeat(3, axis=2))
    if consecutive:
        np.testing.assert_array_equal(np.diff(times, axis=2), 1)
    assert np.max(times.max(axis=2) - times.min(axis=2)) == 2
    # Four clips in batches of four: each of them in every batch.
    np.testing.assert_array_equal(np.sort(clips[:, :, 0], axis=1), [[0, 1, 2, 3]] * 50)
    for clip, length in enumerate((3, 5, 8, 4)):
        assert set(times[clips == clip]) == set(range(length))


def test_disk_and_memory_give_the_same_batches(folder):
    sources = [make(folder, max_bytes=max_bytes) for max_bytes in (1e9, 0)]
    assert [source.stores["train"].in_memory for source in sources] == [True, False]
    np.testing.assert_array_equal(*[take(source.train_frames(0, 4, 3), 5) for source in sources])


def test_batches_depend_on_seed_and_number_alone(folder):
    batches = take(make(folder).train_frames(0, 2, 4), 8)
    again = take(make(folder).train_frames(5, 2, 4), 3)
    np.testing.assert_array_equal(batches[5:], again)
    other = take(make(folder, seed=4).train_frames(0, 2, 4), 8)
    assert np.any(np.stack(batches) != np.stack(other))


def test_every_clip_comes_once_in_an_epoch(folder):
    source = make(folder, lengths=(2, 2, 2, 2, 2))
    epochs = np.reshape(
        [toy_clips.read(b) // 20 for b in take(source.train_frames(0, 2, 1), 10)], (4, 5)
    )
    np.testing.assert_array_equal(np.sort(epochs, axis=1), [range(5)] * 4)
    assert len({tuple(epoch) for epoch in epochs.tolist()}) > 1


def test_short_clips_are_padded_and_report_their_length(folder):
    source = make(folder)
    look_up = source.stores["train"].gather
    for frames, lengths in take(source.train_clips(0, 4, 6, look_up), 10):
        clips, times = np.divmod(toy_clips.read(frames), 20)
        expected = np.array([3, 5, 6, 4])[clips[:, 0]]  # Clip 2 has 8 frames, more than asked.
        np.testing.assert_array_equal(lengths, expected)
        for row, length in zip(times, lengths, strict=True):
            np.testing.assert_array_equal(row - row[0], np.minimum(np.arange(6), length - 1))


def test_batches_are_split_over_the_devices(folder):
    batch = next(make(folder).train_frames(0, 4, 2))
    assert len(batch.sharding.device_set) == jax.device_count() == 2
    assert batch.addressable_shards[0].data.shape[0] == 2


def test_sampled_clips_are_long_enough_and_all_different(folder):
    source = make(folder)
    clips = source.sample("test", jax.random.key(0), 3, num_frames=6)
    values = toy_clips.read(source.frames("test", clips, np.arange(6)))
    assert set(values[:, 0] // 20 * 20) == {100, 120, 140}
    np.testing.assert_array_equal(np.diff(values, axis=1), 1)
    np.testing.assert_array_equal(source.lengths("test", clips), 8 - values[:, 0] % 20)
    later = source.frames("test", clips, np.array([100]))
    np.testing.assert_array_equal(toy_clips.read(later)[:, 0] % 20, 7)
    assert source.truth.swap_targets("test", clips, clips, 0) is None


def test_pairs_differ_in_content(folder):
    source = make(folder)
    contents = source.stores["test"].contents
    for seed in range(5):
        a = source.sample("test", jax.random.key(seed), 7)
        b = source.sample("test", jax.random.key(seed), 7, unlike=a)
        assert np.all(contents[a.numbers] != contents[b.numbers])


def test_clips_of_the_same_content_are_recognized(folder, monkeypatch):
    assert make(folder).stores["train"].contents.tolist() == [0, 1, 2, 3]
    monkeypatch.setattr(Known, "CONTENT", ("move",))
    assert make(folder, Known).stores["train"].contents.tolist() == [0, 1, 0, 1]


def test_turns_have_no_end(folder):
    source = make(folder, toy_clips.ToyTurn, lengths=(4, 4))
    assert source.max_frames > 1000
    clips = source.sample("test", jax.random.key(1), 3, num_frames=500)
    values = toy_clips.read(source.frames("test", clips, np.arange(9))) - 100
    np.testing.assert_array_equal(values[:, :4], values[:, 4:8])
    assert set(values[:, 0] % 20) != {0}
    look_up = source.stores["train"].gather
    for frames, lengths in take(source.train_clips(0, 2, 7, look_up), 3):
        np.testing.assert_array_equal(lengths, 7)
        np.testing.assert_array_equal(np.diff(toy_clips.read(frames), axis=1) % 4, 1)


def test_a_true_swap_of_turns_shows_the_other_object_at_the_same_angle(folder):
    source = make(folder, toy_clips.ToyTurn, lengths=(4, 4))
    a = source.sample("test", jax.random.key(1), 3)
    b = source.sample("test", jax.random.key(2), 3)
    truth = toy_clips.read(source.truth.swap_targets("test", a, b, 6))
    assert truth.shape == (3, 1)
    np.testing.assert_array_equal(truth[:, 0] // 20, 5 + a.numbers)
    pose = toy_clips.read(source.frames("test", b, np.array([6])))
    np.testing.assert_array_equal(truth % 20, pose % 20)


def test_damage_is_found_before_work_starts(folder, tmp_path):
    source = make(tmp_path)
    [path] = source.builder.data_path.glob("*train*array_record*")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"prepared data in .* are damaged .*delete that folder"):
        ClipStore(source.builder, "train", 1e9)


def test_factors_are_those_of_the_frames_that_were_sampled(folder):
    source = make(folder, Known, lengths=(4, 4, 4))
    clips = source.sample("test", jax.random.key(0), 3)
    times = np.array([[0, 1], [5, 2], [3, 3]])
    factors = source.truth.factors("test", clips, times)
    values = toy_clips.read(source.frames("test", clips, times))
    # The training objects are numbers 0 to 2, then come three test objects.
    np.testing.assert_array_equal(factors.content["object"] - 3, values[:, 0] // 20 - 5)
    assert factors.num_classes == {"object": 6}
    np.testing.assert_array_equal(factors.clips, clips.numbers)
    np.testing.assert_array_equal(factors.pose["scale"][..., 0], values % 20)
    turned = np.pi / 2 * (values % 20)
    expected = np.stack([np.cos(turned), np.sin(turned)], axis=-1)
    np.testing.assert_allclose(factors.pose["azimuth"], expected, atol=1e-6)


def test_turns_have_azimuths_if_all_are_equally_long(folder):
    source = make(folder, Known, lengths=(4, 4, 4))
    clips = source.sample("test", jax.random.key(0), 3)
    times = np.array([0, 1, 6])
    values = toy_clips.read(source.frames("test", clips, times))
    assert source.truth.turn_length("test") == 4
    np.testing.assert_array_equal(source.truth.azimuths("test", clips, times), 90 * (values % 20))
    # Training turns of 3, 5, 8 and 4 frames; clips without azimuths; clips that end.
    assert make(folder, Known).truth.turn_length("train") is None
    assert make(folder, toy_clips.ToyTurn).truth.turn_length("test") is None
    ending = make(folder)
    assert ending.truth.azimuths("test", clips, times) is None


def test_nothing_is_known_about_clips_without_factors(folder):
    source = make(folder)
    clips = source.sample("test", jax.random.key(0), 3)
    assert source.truth.factors("test", clips, np.zeros((3, 1), int)) is None


def test_labels_are_those_of_the_sampled_clips(folder, monkeypatch):
    source = make(folder, Known)
    clips = source.sample("train", jax.random.key(0), 4)
    classes, names = source.truth.labels("train", clips)
    objects = toy_clips.read(source.frames("train", clips, np.array([0])))[:, 0] // 20
    np.testing.assert_array_equal(classes, objects % 2)
    assert names == ["up", "down"]
    monkeypatch.setattr(Known, "LABEL", "")
    assert source.truth.labels("train", clips) is None
    assert make(folder).truth.labels("train", clips) is None


def test_all_clips_are_whole_and_in_order(folder):
    source = make(folder)
    np.testing.assert_array_equal(source.all_clips("train").numbers, [0, 1, 2, 3])
    clips = source.all_clips("train", 5)
    np.testing.assert_array_equal(
        toy_clips.read(source.frames("train", clips, np.arange(2))), [[20, 21], [40, 41]]
    )


def test_reordered_batches_are_others_of_the_same_clips(folder):
    source = make(folder, lengths=(8,) * 4)
    orders = [source, source.reordered(1), source.reordered(2), source.reordered(1)]
    values = [
        np.stack([toy_clips.read(batch) for batch in take(each.train_frames(0, 4, 2), 10)])
        for each in orders
    ]
    assert not np.array_equal(values[0], values[1])
    assert not np.array_equal(values[1], values[2])
    np.testing.assert_array_equal(values[1], values[3])
    # Each batch still has every clip once.
    np.testing.assert_array_equal(np.sort(values[1][:, :, 0] // 20), np.tile(range(4), (10, 1)))
