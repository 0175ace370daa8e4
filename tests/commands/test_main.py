"""The command line as a user starts it, in a separate process."""

import itertools
import json
import signal
import time

import chex
import pytest

import drnet_jax
from drnet_jax import main
from drnet_jax.runs.run import create_run
from tests.conftest import TINY, tiny_config
from tests.helpers import command_line

SMOKE = "--config=configs/mnist.py:smoke"

MISTAKES = {
    (): "--config is missing; give a settings file, such as --config=configs/mnist.py:quick.",
    (
        SMOKE,
        "--mode=draw",
    ): "should be one of <train|evaluate|generate|swap|embed|",
    (SMOKE, "--wokdir=x"): "Unknown command line flag 'wokdir'. Did you mean: workdir",
    (SMOKE, "more"): "Unexpected arguments: more.",
    ("--config=configs/nist.py",): "There is no file 'configs/nist.py'",
    ("--config=nist:quick",): "There is no file 'configs/nist.py'",
    ("--config=mnist:fast",): "Unknown variant 'fast' of configs/mnist.py; known:",
    ("--config=configs/mnist.py:fast",): "Unknown variant 'fast' of configs/mnist.py; known:",
    (SMOKE, "--config.drnet.steps=3"): "there is no 'steps'; known: adversarial_weight, batch",
    (SMOKE, "--config.model.width.x=3"): "there is no 'x'; known: none below",
    (SMOKE, "--config.drnet.num_steps=many"): (
        "config.drnet.num_steps='many'; allowed: whole numbers, such as 1000, 1_000 or 1e3."
    ),
    (SMOKE, "--config.drnet.num_steps=0"): (
        "config.drnet.num_steps=0; allowed: whole numbers from 1 to 2,000,000,000."
    ),
    (SMOKE, "--config.drnet.num_steps=1.5"): "num_steps='1.5'; allowed: whole numbers",
    (SMOKE, "--config.drnet=3"): "config.drnet is a section; allowed: --config.drnet.<name>=...",
    (SMOKE, "--config.data.name=cifar"): (
        "config.data.name='cifar'; allowed: moving_mnist, kth, norb, suncg, video_folder, or "
    ),
    (SMOKE, "--config.data.name=kth"): (
        "The settings have no data.source, which the data 'kth' need: use their settings file."
    ),
    (SMOKE, "--workdir="): "--workdir is empty; give a folder, as in --workdir=runs/quick.",
    ("--mode=evaluate", "--workdir="): "--workdir is empty; give a folder",
    (SMOKE, "--mode=demo"): "--config with --mode=demo; allowed: the settings of --workdir.",
    ("--mode=demo", "--port=70000"): "70000 is not an integer in the range [1, 65535]",
    (SMOKE, "--mode=generate"): "nothing has been trained there",
    ("--mode=export", "--output=x"): "nothing has been trained there",
    (SMOKE, "--mode=export"): "--output is missing; give a new folder, as in --output=exported.",
    (SMOKE, "--mode=swap", "--pose=a.mp4"): "--content is missing; give a video, as in --content=",
    ("--mode=swap", "--content=a", "--pose=b"): "nothing has been trained there",
    ("--mode=evaluate",): "nothing has been trained there",
    ("--mode=evaluate", "--config=configs/stored.py:x"): "No config.json in x: nothing has been",
    ("--mode=import_torch",): "--torch_checkpoint is missing",
    ("--config=configs/video_folder.py:smoke", "--config.data.folder=no where"): (
        "There is no folder no where: set config.data.folder to the files."
    ),
    ("--config=configs/video_folder.py:smoke", "--config.data.folder=x", "--mode=prepare"): (
        "There is no folder x: set config.data.folder to the files."
    ),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """How the command line answers each of `MISTAKES`, and the workdir that was named."""
    workdir = tmp_path_factory.mktemp("mistakes") / "run"
    commands = [[f"--workdir={workdir}", *arguments] for arguments in MISTAKES]
    return dict(zip(MISTAKES, command_line.run_each(commands), strict=True)), workdir


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_mistake_is_one_line_and_exit_code_2(answers, arguments):
    answers, workdir = answers
    status, _, stderr = answers[arguments]
    assert status == 2
    (line,) = stderr.strip().splitlines()
    assert line.startswith("drnet_jax: ")
    assert MISTAKES[arguments] in line
    assert not workdir.exists()


BEYOND = {
    "data.image_size=100000": "image_size=100000; allowed: whole numbers from 11 to 1,024",
    "drnet.learning_rate=inf": "config.drnet.learning_rate=inf; allowed: finite numbers above 0.",
    "drnet.num_steps=99999999999999999999": "num_steps=99999999999999999999; allowed: whole",
    "drnet.batch_size=1000000": "batch_size=1000000; allowed: whole numbers from 2 to 100,000",
    "rollout.num_steps=1000000000": "num_steps=1000000000; allowed: whole numbers from 1 to",
    "model.pose_encoder=resnet50": "pose_encoder='resnet50'; allowed: attention, dcgan, resnet",
    "model.content_dim=0": "content_dim=0 with content encoder 'dcgan'; allowed: above 0.",
}


def test_impossible_settings_are_refused_in_every_mode(trained, tmp_path):
    modes = {
        "prepare": [f"--config.data.data_dir={tmp_path / 'data'}", SMOKE],
        "train": [f"--config.data.data_dir={tmp_path / 'data'}", SMOKE],
        "evaluate": [],
        "generate": [],
    }
    # All in one mode, and in the others one after the other: each command takes seconds.
    others = itertools.cycle(["train", "evaluate", "generate"])
    cases = [(mode, setting) for setting in BEYOND for mode in ("prepare", next(others))]
    commands = {
        (mode, setting): [
            *(f"--mode={mode}", f"--workdir={tmp_path / 'run' if modes[mode] else trained}"),
            *(*modes[mode], f"--config.{setting}"),
        ]
        for mode, setting in cases
    }
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    answers = zip(commands, command_line.run_each(list(commands.values())), strict=True)
    for (mode, setting), (status, _, stderr) in answers:
        assert status == 2, (mode, setting, stderr)
        (line,) = stderr.strip().splitlines()
        assert BEYOND[setting] in line, mode
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("flag", ["-h", "--help", "--helpfull"])
def test_help_names_every_flag_and_is_quick(flag):
    started = time.monotonic()
    result = command_line.run(flag)
    assert time.monotonic() - started < 10
    assert (result.returncode, result.stderr) == (0, "")
    assert "Trains, evaluates and samples DrNET models." in result.stdout
    for text in ("--config:", "--mode:", "--workdir:", "configs/mnist.py:quick"):
        assert text in result.stdout
    assert "{}" not in result.stdout


def test_version_is_one_line():
    result = command_line.run("--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"drnet_jax {drnet_jax.__version__}\n"


def test_data_are_prepared_ahead_once_from_any_folder(tmp_path):
    arguments = (
        *("--config=configs/suncg.py:smoke", "--mode", "prepare", "--config.data.image_size=16"),
        *("--config.data.procedural.num_identities=2", "--config.data.stand_in.num_azimuths=2"),
        f"--config.data.data_dir={tmp_path / 'data'}",
    )
    result = command_line.run(*arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "STAND-IN" in result.stderr
    files = [tmp_path / line.strip() for line in result.stdout.splitlines() if line[:2] == "  "]
    assert [path.name for path in files] == ["card.md", "contact_sheet.png"]
    before = {path: path.stat().st_mtime_ns for path in files[0].parent.iterdir()}
    result = command_line.run(*arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert before == {path: path.stat().st_mtime_ns for path in files[0].parent.iterdir()}


def test_flags_of_a_file_come_before_those_of_the_command(tmp_path):
    lines = ["# Mine.", SMOKE, "--mode=prepare", "--config.drnet.num_steps=1e1"]
    (tmp_path / "mine.flags").write_text("\n".join(lines))
    result = command_line.run(f"--flagfile={tmp_path / 'mine.flags'}", "--config.drnet.num_steps=0")
    assert result.returncode == 2
    assert result.stderr == (
        "drnet_jax: config.drnet.num_steps=0; allowed: whole numbers from 1 to 2,000,000,000.\n"
    )


def test_a_settings_file_of_version_0_1_is_read_under_todays_names(tmp_path):
    path = tmp_path / "old.py"
    path.write_text(
        "from drnet_jax import defaults\n\n\n"
        "def get_config():\n"
        "    config = defaults.settings()\n"
        "    config.data = defaults.clips(name='kth', max_step=5, coloured=False)\n"
        "    config.data.procedural = dict(num_people=2)\n"
        "    defaults.shrink(config)\n"
        "    return config\n"
    )
    data = main._load_config({"config": str(path)}).data
    assert (data.max_frame_gap, data.colored, data.stand_in.num_people) == (5, False, 2)
    assert not {"max_step", "coloured", "procedural"} & set(data)


@pytest.mark.slow
def test_a_killed_run_started_again_equals_one_that_was_not(trained, tmp_path, data_dir):
    """`kill -9` in each stage, then the same command: the same parameters, bit for bit."""
    tiny = [f"--config.{name}={value}" for name, value in TINY.items()]
    command = (f"--workdir={tmp_path}", SMOKE, *tiny, f"--config.data.data_dir={data_dir}")
    for stage in ("drnet", "predictor"):
        result = command_line.run(stage, "4", "9", *command, program=command_line.SIGNALED_IN_STEP)
        assert result.returncode == -9, result.stderr
    result = command_line.run(*command)
    assert result.returncode == 0, result.stderr
    assert "Resuming predictor after step" in result.stdout
    config = tiny_config(data_dir)
    states = [create_run(config, workdir).restore() for workdir in (tmp_path, trained)]
    chex.assert_trees_all_equal(*states)
    records = [(w / "evaluation.json").read_text() for w in (tmp_path, trained)]
    assert records[0] == records[1]
    recorded = json.loads((tmp_path / "environment.json").read_text())["command"]
    assert recorded.startswith(f"python -m drnet_jax.main --workdir={tmp_path} --config=")


@pytest.mark.slow
def test_a_signal_in_any_phase_is_one_line_and_the_same_command_goes_on(tmp_path, data_dir):
    """One run, stopped in each phase and started again until it is finished."""
    tiny = [f"--config.{name}={value}" for name, value in TINY.items()]
    command = (f"--workdir={tmp_path}", SMOKE, *tiny, f"--config.data.data_dir={data_dir}")
    kept = "; the trained model is saved"
    in_phase, in_step = command_line.SIGNALED_IN_PHASE, command_line.SIGNALED_IN_STEP
    stops = [
        (in_phase, ["opening the data"], signal.SIGTERM, "while opening the data"),
        (in_step, ["drnet", "2"], signal.SIGTERM, "after step 3 of drnet, which is saved"),
        (in_step, ["predictor", "2"], signal.SIGINT, "after step 3 of predictor, which is saved"),
        (in_phase, ["scoring: rollouts"], signal.SIGTERM, f"while scoring: rollouts{kept}"),
        (in_phase, ["generating"], signal.SIGINT, f"while generating{kept}"),
        (in_phase, ["writing the report"], signal.SIGTERM, f"while writing the report{kept}"),
    ]
    for program, moment, number, line in stops:
        result = command_line.run(*moment, str(int(number)), *command, program=program)
        assert result.returncode == 128 + number, result.stderr
        line = f"Stopped {line}. The same command resumes from there."
        assert line in (result.stdout.splitlines() + result.stderr.splitlines())
        assert "Traceback" not in result.stderr
    result = command_line.run(*command)
    assert result.returncode == 0, result.stderr
    assert "Stopped" not in result.stdout and (tmp_path / "report.html").exists()


# The test is about losses, so scores, pictures and rollouts are left out.
_ONLY_TRAIN = """
from drnet_jax import main
from drnet_jax.commands import train

train.evaluate.write = train.generate.write = train.generate.write_sample = lambda *args: None
train.score.begin = lambda *args: None
main.run()
"""


@pytest.mark.slow
def test_one_device_and_eight_have_the_same_losses(tmp_path, data_dir):
    steps = ("--config.drnet.num_steps=5", "--config.predictor.num_steps=5")
    batches = ("--config.drnet.batch_size=8", "--config.predictor.batch_size=8")
    tiny = [f"--config.{name}={value}" for name, value in TINY.items()]
    settings = (SMOKE, *tiny, *steps, *batches, "--config.log_every_steps=1")
    settings += (f"--config.data.data_dir={data_dir}",)
    losses = []
    for devices in ("1", "8"):
        workdir = tmp_path / devices
        result = command_line.run(
            f"--workdir={workdir}",
            *settings,
            program=_ONLY_TRAIN,
            JAX_NUM_CPU_DEVICES=devices,
        )
        assert result.returncode == 0, result.stderr
        assert json.loads((workdir / "environment.json").read_text())["devices"][0] == devices
        rows = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
        losses.append([row | {"stage": 0, "steps_per_second": 0, "crc32": 0} for row in rows])
    assert len(losses[0]) == 10
    chex.assert_trees_all_close(losses[1], losses[0], rtol=1e-4, atol=1e-5)
