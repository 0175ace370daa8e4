"""Models as folders to share, and the one that ships."""

import json
import shutil

import chex
import jax
import numpy as np
import pytest
import safetensors.numpy

import drnet_jax
from drnet_jax.base import checked_json
from drnet_jax.data.moving_mnist import digits
from drnet_jax.data.moving_mnist.generator import MovingMnist
from drnet_jax.runs import sources


@pytest.fixture
def folder(trained, tmp_path):
    drnet_jax.export(trained, tmp_path / "exported", dtype="float32")
    return tmp_path / "exported"


def test_an_exported_model_is_the_trained_one(folder, trained):
    exported, original = drnet_jax.load(folder), drnet_jax.load(trained)
    trained_alone = original.variables.pop("discriminator")
    assert trained_alone
    chex.assert_trees_all_equal(exported.variables, original.variables)
    assert exported.scores == checked_json.read(trained / "evaluation.json") == original.scores
    frames = np.random.default_rng(0).random((2, 5, 16, 16, 3), np.float32)
    chex.assert_trees_all_equal(exported.pose(frames), original.pose(frames))
    chex.assert_trees_all_equal(exported.rollout(frames, 7), original.rollout(frames, 7))
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("weights.safetensors", "config.json", "evaluation.json", "README.md"),
        *("swap_grid.png", "rollout_strip.png"),
    }


def test_half_precision_is_half_as_large_and_nearly_equal(folder, trained, tmp_path):
    drnet_jax.export(trained, tmp_path / "half")
    sizes = [(f / "weights.safetensors").stat().st_size for f in (folder, tmp_path / "half")]
    assert sizes[1] < 0.75 * sizes[0]  # Of so few numbers, names are a large part.
    half, original = drnet_jax.load(tmp_path / "half"), drnet_jax.load(trained)
    del original.variables["discriminator"]
    chex.assert_trees_all_close(half.variables, original.variables, rtol=1e-3, atol=1e-6)
    assert all(x.dtype == np.float32 for x in jax.tree.leaves(half.variables))


def test_folders_of_this_machine_stay_here(folder, trained):
    assert str(trained.parent) in (trained / "config.json").read_text()
    assert str(trained.parent) not in (folder / "config.json").read_text()
    card = (folder / "README.md").read_text()
    assert str(trained.parent) not in card
    score = json.loads((trained / "evaluation.json").read_text())["swap"]["model"]["psnr"]
    assert f"| swap | {score['mean']:.2f} [" in card


def test_what_cannot_be_exported_is_said(folder, trained, tmp_path):
    with pytest.raises(ValueError, match="is not empty; allowed: a new or an empty folder"):
        drnet_jax.export(trained, folder)
    with pytest.raises(ValueError, match="dtype='int8'; allowed: float16, float32"):
        drnet_jax.export(trained, tmp_path / "new", dtype="int8")
    with pytest.raises(FileNotFoundError, match="nothing has been trained there"):
        drnet_jax.export(tmp_path / "nowhere", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_damaged_weights_are_refused(folder):
    path = folder / "weights.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"weights\.safetensors is damaged"):
        drnet_jax.load(folder)
    arrays = safetensors.numpy.load(whole)
    name = min(arrays)
    metadata = {"steps": "[6, 6]"}
    path.write_bytes(safetensors.numpy.save(arrays | {name: np.zeros(3)}, metadata))
    with pytest.raises(ValueError, match=rf"{name} is \(3,\); the settings need it to be"):
        drnet_jax.load(folder)
    del arrays[name]
    path.write_bytes(safetensors.numpy.save(arrays, metadata))
    with pytest.raises(ValueError, match=rf"{name} is absent; the settings need it to be"):
        drnet_jax.load(folder)


def test_a_repository_of_hugging_face_is_such_a_folder(folder, tmp_path, monkeypatch):
    """As the cache of the Hub has it, without a network."""
    constants = pytest.importorskip("huggingface_hub.constants")
    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = cache / "models--someone--chairs"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0123abc")
    shutil.copytree(folder, repository / "snapshots" / "0123abc")
    model = drnet_jax.load("hf://someone/chairs")
    chex.assert_trees_all_equal(model.variables, drnet_jax.load(folder).variables)
    with pytest.raises(FileNotFoundError, match="hf://someone/toys cannot be fetched"):
        drnet_jax.load("hf://someone/toys")


def test_the_model_that_ships_keeps_what_it_was_not_trained_on(data_dir):
    """Frames of test digits come back; a mean frame would have 17 dB (docs/results.md)."""
    assert set(drnet_jax.pretrained()) == {"mnist"}
    model = drnet_jax.load("mnist")
    found = digits.load("embedded", folder=None, data_dir=data_dir)
    data = model.config.data
    generator = MovingMnist(
        image_size=data.image_size,
        digit_size=data.digit_size,
        num_digits=data.num_digits,
        colored=data.colored,
        speeds=tuple(data.speeds),
        zero_speeds=data.zero_speeds,
        motion=data.motion,
        blending=data.blending,
    )
    images = generator.resize(found.test_images)
    tracks = generator.sample(jax.random.key(0), 100, len(images))
    times = np.broadcast_to(np.arange(2) * 10, (100, 2))
    frames = np.asarray(generator.render(images, tracks, times))
    decoded = model.decode(model.content(frames[:, 0]), model.pose(frames[:, 1]))
    errors = np.mean(np.square(decoded - frames[:, 1] / 255), axis=(1, 2, 3))
    assert -10 * np.log10(errors).mean() > 24
    assert model.scores["swap"]["model"]["psnr"]["mean"] > 24
    assert (sources.PRETRAINED / "mnist" / "weights.safetensors").stat().length < 1e6


def test_an_export_that_did_not_end_is_written_anew(folder, trained, tmp_path, monkeypatch):
    unfinished = tmp_path / "unfinished"

    def fail(*_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(safetensors.numpy, "save", fail)
        drnet_jax.export(trained, unfinished, dtype="float32", formats=["stablehlo"])
    assert (unfinished / "stablehlo").is_dir()
    drnet_jax.export(trained, unfinished, dtype="float32")
    assert {path.name: path.read_bytes() for path in unfinished.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }
