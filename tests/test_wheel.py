"""The built wheel and source archive, used without a checkout."""

import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

import pytest

from tests.conftest import ROOT, TINY
from tests.helpers import command_line, videos

pytestmark = pytest.mark.slow

SOURCES = ("drnet_jax", "configs", "tests", "pyproject.toml", "setup.py", "requirements.txt")
SOURCES += ("README.md", "LICENSE", "MANIFEST.in", "CHANGELOG.md", "CITATION.cff")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A copy of the sources, since setuptools writes into the folder that it builds."""
    folder = tmp_path_factory.mktemp("sources")
    compiled = shutil.ignore_patterns("__pycache__")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=compiled)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def call(*command: object, cwd: pathlib.Path, **variables: str) -> str:
    result = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env=command_line.environment() | variables,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_wheel_runs_from_any_folder(sources, tmp_path, data_dir):
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    elsewhere.mkdir()
    offline = ("--no-deps", "--no-index", "--disable-pip-version-check", "--quiet")
    build = ("-m", "pip", "wheel", *offline, "--no-build-isolation", "-w", tmp_path, ".")
    call(*build, cwd=sources)
    [wheel] = tmp_path.glob("*.whl")
    call("-m", "pip", "install", *offline, "--target", target, wheel, cwd=elsewhere)

    def run(*arguments: str) -> str:
        # The console script that pip has made.
        script = target / "bin" / "drnet-jax"
        return call(script, *arguments, cwd=elsewhere, PYTHONPATH=os.fspath(target))

    assert run("--version").startswith("drnet_jax ")
    tiny = [f"--config.{name}={value}" for name, value in TINY.items()]
    run("--config=mnist:smoke", "--workdir=run", *tiny, f"--config.data.data_dir={data_dir}")
    assert (elsewhere / "run" / "report.html").exists()
    run("--mode=generate", "--workdir=run", "--config.rollout.num_steps=3")
    videos.write_video(elsewhere / "clip.mkv", videos.clip(1))
    run("--mode=embed", "--workdir=run", "--input=clip.mkv")
    assert (elsewhere / "run" / "embeddings" / "clip" / "00000.parquet").exists()
    where = call(
        "-c",
        "import drnet_jax; print(drnet_jax.__file__)",
        cwd=elsewhere,
        PYTHONPATH=os.fspath(target),
    )
    assert pathlib.Path(where.strip()).is_relative_to(target)
    assert (target / "drnet_jax" / "py.typed").exists()


def test_the_source_archive_has_tests_and_settings(sources, tmp_path):
    code = f"import setuptools.build_meta as b; b.build_sdist({str(tmp_path)!r})"
    call("-c", code, cwd=sources)
    [path] = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"configs/mnist.py", "tests/conftest.py", "tests/test_wheel.py"} <= names
    assert {"setup.py", "requirements.txt", "drnet_jax/py.typed"} <= names
    assert any(name.startswith("tests/golden/") for name in names)
