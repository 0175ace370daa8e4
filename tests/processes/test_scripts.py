"""The scripts and commands of docs/tpu.md."""

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT, TINY
from tests.helpers.command_line import environment
from tests.helpers.process_group import free_port

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="scripts for bash")


def bash(script, cwd, **variables):
    return subprocess.run(
        ["bash", "-c", script],
        cwd=cwd,
        env=os.environ | {"PAUSE": "0"} | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    ("codes", "expected"), [([143, 134, 0], 0), ([143, 2], 2), ([130, 0], 130), ([1, 0], 1)]
)
def test_a_command_is_restarted_where_that_helps(codes, expected, tmp_path):
    (tmp_path / "codes").write_text("\n".join(map(str, codes)) + "\n")
    program = 'code=$(head -n 1 codes); sed -i 1d codes; echo "$@" >> calls; exit $code'
    result = bash(f"{ROOT}/docs/restart.sh bash -c '{program}' bash 'a b' c", tmp_path)
    assert result.returncode == expected
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == ["a b c"] * (codes.index(expected) + 1)


GCLOUD = """#!/bin/bash
# Stands in for gcloud: the first TPU is taken away while it runs, the second is not.
echo "$@" >> $LOG
case "$*" in
  *" describe "*) cat $TPU/state 2>/dev/null ;;
  *" create "*) echo ACTIVE > $TPU/state ;;
  *" delete "*) rm $TPU/state ;;
  *" ssh "*)
    [ -e $TPU/taken ] && exit $CODE
    touch $TPU/taken
    echo SUSPENDED > $TPU/state
    exit 255 ;;
esac
"""


@pytest.mark.parametrize("code", ["0", "2"])
def test_a_spot_tpu_that_is_taken_away_is_replaced(code, tmp_path):
    (tmp_path / "gcloud").write_text(GCLOUD)
    (tmp_path / "gcloud").chmod(0o755)
    log = tmp_path / "log"
    result = bash(
        f"{ROOT}/docs/spot_tpu.sh drnet zone v5litepod-16 --workdir=gs://bucket/run '--config=a b'",
        tmp_path,
        PATH=f"{tmp_path}:{os.environ['PATH']}",
        REPOSITORY="somewhere",
        TPU=str(tmp_path),
        LOG=str(log),
        CODE=code,
    )
    assert result.returncode == int(code), result.stderr
    verbs = re.findall(r"^compute tpus \S+ (create|ssh|delete)", log.read_text(), re.MULTILINE)
    assert verbs == ["create", "ssh", "delete"] * 2
    assert "--worker=all" in log.read_text()
    assert "-m drnet_jax.main '--workdir=gs://bucket/run' '--config=a b'" in log.read_text()
    assert not (tmp_path / "state").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are connected by Gloo")
def test_two_processes_on_one_machine(tmp_path, data_dir):
    """As shown in the document, with the smallest networks."""
    text = (ROOT / "docs" / "tpu.md").read_text()
    script = next(b for b in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) if "localhost" in b)
    tiny = " ".join(f"--config.{name}={value}" for name, value in TINY.items())
    tiny = tiny.replace("(-2, 2)", "'(-2,2)'") + f" --config.data.data_dir={data_dir}"
    script = script.replace("drnet_jax.main", f"drnet_jax.main {tiny}")
    script = script.replace("python", sys.executable).replace("8476", str(free_port()))
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    variables = environment() | {"PYTHONPATH": str(ROOT)}
    result = bash(script, tmp_path, **variables)
    assert result.returncode == 0, result.stderr
    assert "Process 1 of 2" in result.stdout
    assert "2 of 4 devices" in result.stdout
    assert (tmp_path / "runs" / "two" / "report.html").exists()
