"""Changed bytes of finished runs and prepared data: each is noticed, or changes nothing."""

import json
import shutil

import pytest

from tests.helpers import command_line


@pytest.mark.slow
def test_no_changed_byte_gives_another_number(trained, tmp_path):
    """In a process of its own, as Orbax leaves coroutines behind when one of them fails."""
    shutil.copytree(trained, tmp_path / "run")
    program = "import json, pathlib, sys; from tests.chaos.damage import damage; "
    program += "print(json.dumps(damage(pathlib.Path(sys.argv[1]), num=30)))"
    result = command_line.run(str(tmp_path / "run"), program=program)
    assert result.returncode == 0, result.stderr
    counts = json.loads(result.stdout.splitlines()[-1])
    ends = {end for ends in counts.values() for end in ends}
    assert ends == {"noticed", "harmless"}, result.stderr
