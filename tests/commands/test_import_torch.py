"""From a file of the authors' code to a workdir; reading the files is tested in test_interop."""

import pathlib
import pickle

import jax
import ml_collections
import numpy as np
import pytest

import drnet_jax
from drnet_jax.base.errors import InputError
from drnet_jax.commands import evaluate, generate, import_torch
from drnet_jax.runs.workdir import stored_settings
from tests.golden.reader import Golden
from tests.helpers.torch_files import Tensor, write
from tests.interop.test_interop import create_checkpoint

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
SAMPLES = sorted(GOLDEN.glob("checkpoint_small*.pth"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_imported_workdir_gives_the_recorded_numbers(config, tmp_path, path):
    import_torch.run(config, tmp_path / "run", path, None)
    model = drnet_jax.load(tmp_path / "run")
    golden = Golden(GOLDEN / "checkpoint_small.npz")
    frames = {name: np.moveaxis(array, 1, -1) for name, array in golden.inputs().items()}
    content, pose = model.content(frames["x_content"]), model.pose(frames["x_pose"])
    np.testing.assert_allclose(content.vector, golden["eval/content"][..., 0, 0], atol=1e-5)
    np.testing.assert_allclose(pose, golden["eval/pose"][..., 0, 0], atol=1e-5)
    decoded = np.moveaxis(np.asarray(model.decode(content, pose)), -1, 1)
    np.testing.assert_allclose(decoded[:1], golden["eval/rec"], atol=1e-5)
    with pytest.raises(ValueError, match=r"imported without a predictor"):
        model.rollout(frames["x_pose"][:, None], 3)


def as_tensor(array):
    array = np.asarray(array, order="C")
    return Tensor(array, strides=tuple(n // array.itemsize for n in array.strides))


def write_small(path, *names):
    """Writes networks of 16 x 16 frames by their names in the file; returns all variables."""
    _, _, variables, file = create_checkpoint("dcgan", "dcgan", "dcgan", 16, channels=3)
    tensors = {name: {key: as_tensor(a) for key, a in file[name].items()} for name in names}
    write(path, tensors | {"opt": file["opt"]})
    return variables


def test_imported_workdir_is_evaluated_and_drawn(config, tmp_path):
    write_small(tmp_path / "model.pth", "netEC", "netEP", "netD")
    workdir = tmp_path / "run"
    import_torch.run(config, workdir, tmp_path / "model.pth", None)
    stored = ml_collections.ConfigDict(stored_settings(workdir))
    evaluate.run(stored, workdir)
    generate.run(stored, workdir)
    assert (workdir / "evaluation.json").exists()
    assert {p.name for p in (workdir / "samples").iterdir()} == {"swap_grid.png"}


def test_the_lstm_of_its_own_file_joins_the_model(config, tmp_path):
    variables = write_small(tmp_path / "model.pth", "netEC", "netEP", "netD", "netC")
    write_small(tmp_path / "lstm.pth", "lstm")
    import_torch.run(config, tmp_path / "run", tmp_path / "model.pth", tmp_path / "lstm.pth")
    model = drnet_jax.load(tmp_path / "run")
    for name, expected in variables.items():
        actual = {kind: model.variables[name][kind] for kind in expected}
        jax.tree.map(np.testing.assert_array_equal, actual, expected)
    frames = np.random.default_rng(0).random((2, 4, 16, 16, 3), np.float32)
    assert model.rollout(frames, 7).shape == (2, 7, 16, 16, 3)
    with pytest.raises(ValueError, match=r"model.pth holds no 'lstm'"):
        import_torch.run(config, tmp_path / "other", tmp_path / "model.pth", tmp_path / "model.pth")


class Hostile:
    """Pickles to a call that leaves a trace."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return pathlib.Path.touch, (self.trace,)


def test_hostile_and_broken_files_leave_no_trace(config, tmp_path):
    trace, workdir = tmp_path / "trace", tmp_path / "run"
    hostile = tmp_path / "hostile.pth"
    hostile.write_bytes(pickle.dumps({"netEC": Hostile(trace)}))
    broken = tmp_path / "broken.pth"
    broken.write_bytes(SAMPLES[0].read_bytes()[:5000])
    for path in (hostile, broken):
        with pytest.raises(ValueError, match=path.name):
            import_torch.run(config, workdir, path, None)
    with pytest.raises(InputError, match=r"absent\.pth"):
        import_torch.run(config, workdir, tmp_path / "absent.pth", None)
    assert not trace.exists()
    assert not workdir.exists()


def test_a_workdir_in_use_is_refused(trained, config):
    with pytest.raises(ValueError, match=r"holds a run already; allowed: a new folder"):
        import_torch.run(config, trained, SAMPLES[0], None)
