"""Two fake devices for every test, a tiny configuration, and one run trained with it."""

import importlib.util
import itertools
import os
import pathlib
import sys

import filelock
import fsspec
import jax
import pytest
from etils import epath

from tests.helpers import browser as browser_lib
from tests.helpers import bucket as bucket_lib

ROOT = pathlib.Path(__file__).parent.parent

jax.config.update("jax_num_cpu_devices", 2)
# Tests compile far more than they compute, so they take half the time without optimization. No
# test depends on it.
_FLAGS = "--xla_backend_optimization_level=0"
# Eight devices on two busy cores may keep each other waiting for more than 40 seconds.
_FLAGS += " --xla_cpu_collective_call_terminate_timeout_seconds=300"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_FLAGS}"


def pytest_configure(config):
    """Makes all workers, and all test runs of this checkout, share what they compile."""
    folder = config.rootpath / ".pytest_cache" / "d" / "programs"  # --cache-clear deletes it.
    # Without a limit of its size: JAX would look at every file in it to write one more, which for
    # thousands of small programs takes longer than to compile them.
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    # Not the user's own.
    os.environ["XDG_CACHE_HOME"] = str(config.rootpath / ".pytest_cache" / "d" / "cache")


def pytest_collection_modifyitems(items):
    """Starts the files with slow tests first, so that no worker ends with one alone.

    Those that need the trained run come last of these, and of the others, so that one worker trains
    while the other has different work. pyproject.toml keeps xdist from sorting files by the number
    of their tests.
    """
    slow = {item.path for item in items if "slow" in item.keywords}
    waiting = {item.path for item in items if "trained" in item.fixturenames}
    items.sort(key=lambda item: (item.path not in slow, item.path in waiting))


def load_config(variant: str, name: str = "mnist"):
    """Returns the settings of `configs/<name>.py`, as the command line loads them."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "configs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(variant)


@pytest.fixture(scope="session")
def shared_dir(tmp_path_factory, worker_id):
    """A folder that all workers of this test run have in common."""
    folder = tmp_path_factory.getbasetemp()
    return folder if worker_id == "master" else folder.parent


@pytest.fixture(scope="session")
def data_dir(shared_dir):
    """A folder for prepared digits, shared by all tests."""
    return shared_dir / "data"


TINY = {
    "data.image_size": 16,
    "data.digit_size": 8,
    "data.speeds": (-2, 2),
    "model.width": 2,
    "model.content_dim": 4,
    "model.pose_dim": 3,
    "model.discriminator_width": 8,
    "drnet.batch_size": 4,
    "drnet.num_steps": 6,
    "predictor.batch_size": 4,
    "predictor.num_steps": 6,
    "predictor.hidden_dim": 8,
    "evaluation.num_clips": 10,
    "evaluation.batch_size": 8,
    "rollout.num_clips": 2,
    "rollout.num_steps": 12,
    "rollout.frames_at_once": 10,
    "log_every_steps": 2,
    "sample_every_steps": 3,
    "checkpoint_every_steps": 2,
}
"""Changes to `configs/mnist.py:smoke` that make it a run of a few seconds."""


def tiny_config(data_dir):
    """Returns settings of a run of a few seconds: 16 x 16 frames, six steps a stage."""
    config = load_config("smoke")
    config.update_from_flattened_dict(TINY | {"data.data_dir": str(data_dir)})
    return config


@pytest.fixture
def config(data_dir):
    """Settings that a test may change."""
    return tiny_config(data_dir)


@pytest.fixture
def training_only(monkeypatch):
    """Has `train.run` end after training, for tests that look at nothing else: a third of a run."""
    from drnet_jax.commands import train

    for command in (train.evaluate, train.generate):
        monkeypatch.setattr(command, "write", lambda *args: None)
    monkeypatch.setattr(train.score, "begin", lambda *args: None)


@pytest.fixture(scope="session")
def trained(shared_dir, data_dir):
    """A workdir with a finished tiny run; tests only read it, or copy it first."""
    from drnet_jax.commands import train

    workdir = shared_dir / "trained"
    with filelock.FileLock(shared_dir / "trained.lock"):  # The first worker trains it.
        train.run(tiny_config(data_dir), workdir)
    return workdir


@pytest.fixture(scope="module")
def browser():
    """A Chromium without a window, for the tests of a file."""
    if browser_lib.missing():
        pytest.skip(f"There is no {browser_lib.missing()} on this machine.")
    with browser_lib.running() as driver:
        yield driver


_numbers = itertools.count()


@pytest.fixture(scope="session")
def bucket_server():
    """Leads this process, and those that it starts, to a fake server of buckets."""
    if sys.platform != "linux":
        pytest.skip("The fake server is only used on Linux.")
    with bucket_lib.serving() as variables, pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        fsspec.config.set_conf_env(fsspec.config.conf)  # Else read only when it is imported.
        yield


@pytest.fixture
def bucket(bucket_server):
    """An empty folder in a bucket, `gs://...`."""
    return epath.Path(f"gs://{bucket_lib.NAME}/test_{next(_numbers)}")


@pytest.fixture(params=["disk", "bucket"])
def folder(request, tmp_path):
    """A new folder, on a disk and in a bucket."""
    if request.param == "disk":
        return epath.Path(tmp_path)
    return request.getfixturevalue("bucket")
