"""What is installed on each system, by the markers in requirements.txt."""

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT
from tests.helpers import command_line

LINES = (ROOT / "requirements.txt").read_text().splitlines()
REQUIREMENTS = [Requirement(line) for line in LINES if line and not line.startswith("#")]

SYSTEMS = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    "macos": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
    "windows": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
}
WITHOUT_WHEELS = {"linux": set(), "macos": set(), "windows": {"array-record"}}
"""Packages that have no wheels for a system. (No marker helps Intel Macs, which lack jaxlib.)"""


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_only_packages_without_wheels_are_left_out(system, python):
    environment = SYSTEMS[system] | {"python_version": python, "python_full_version": f"{python}.0"}
    left_out = {
        requirement.name
        for requirement in REQUIREMENTS
        if requirement.marker and not requirement.marker.evaluate(environment)
    }
    assert left_out == WITHOUT_WHEELS[system]


# As on Windows: an import of this package fails, and grain does without it.
_WITHOUT_ARRAY_RECORD = """
import platform, sys
sys.modules["array_record"] = None
system, platform.system = platform.system, lambda: "Windows"
import grain
platform.system = system
from drnet_jax import api, main
assert api.Model
main.run()
"""


def test_without_array_record_models_load_and_data_are_refused(tmp_path):
    result = command_line.run(
        *("--config=configs/mnist.py:smoke", "--mode=prepare"),
        f"--config.data.data_dir={tmp_path}",
        program=_WITHOUT_ARRAY_RECORD,
    )
    assert result.returncode == 2
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("drnet_jax: Data are kept in ArrayRecord files, which need the package")
    assert not list(tmp_path.iterdir())
