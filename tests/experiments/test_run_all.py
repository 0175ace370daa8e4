"""All scripts in a row, and the page of what they left."""

import ast
import html.parser
import json
import os
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest

from experiments import run_all as all_scripts
from experiments.shared import figure, page
from tests.conftest import ROOT

SCRIPTS = ROOT / "experiments"


def stand_in_run(note, *, stand_in):
    """Returns what `figure.write` asks of a run."""
    source = types.SimpleNamespace(stand_in=stand_in)
    record = {"workdir": "runs/x", "data": note, "stand_in": stand_in}
    return types.SimpleNamespace(
        run=types.SimpleNamespace(source=source), note=f"{note}. 9 training steps.", record=record
    )


@pytest.fixture
def folder(tmp_path, capsys):
    """A folder as two scripts leave it: one with two figures, and one that failed."""
    print("Data: of training\ndrnet: 10%\rdrnet: 100%\nruns/x has settings of its own: a is b.")
    print("Open runs/x/report.html\nW1122 20:20:05.4096 13 registry.py:70] STAND-IN: chairs.")
    print("swap  <PSNR>\nmodel  24.7")
    rng = np.random.default_rng(0)
    for name, stand_in in (("one", False), ("two", True)):
        picture = rng.integers(0, 255, (40, 300, 3), np.uint8)
        run = stand_in_run(f"data & {name}", stand_in=stand_in)
        figure.write(tmp_path, name, picture, f"A <{name}>.", [run], arrays={}, numbers={})
    (tmp_path / "fig3_mnist.log").write_text(capsys.readouterr().out)
    (tmp_path / "table1_norb.log").write_text("first\nIt broke.\n\n")
    (tmp_path / "outcomes").mkdir()
    for name, code in (("fig3_mnist", 0), ("table1_norb", 2)):
        outcome = all_scripts.Outcome(name, "command", code, 1234.4)
        (tmp_path / "outcomes" / f"{name}.json").write_text(json.dumps(vars(outcome)))
    return tmp_path


class Tags(html.parser.HTMLParser):
    """Collects the attributes of some tags, and the text."""

    def __init__(self, text):
        super().__init__()
        self.found, self.text = {"img": [], "a": [], "section": []}, ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.get(tag, []).append(dict(attrs))

    def handle_data(self, data):
        self.text += data


def test_page_has_every_figure_and_what_belongs_to_it(folder):
    path = page.write(folder, list(all_scripts.DATA), {"python": "3.x", "packages": {"jax": "1"}})
    text = path.read_text()
    tags = Tags(text)
    assert [section.get("id") for section in tags.found["section"]] == [
        "fig3_mnist",
        "table1_norb",
        None,
    ]
    assert [(image["src"], image["alt"]) for image in tags.found["img"]] == [
        ("one.png", "A <one>."),
        ("two.png", "A <two>."),
    ]
    targets = [link["href"] for link in tags.found["a"]]
    for target in targets:
        name = target.removeprefix("#")
        assert f'id="{name}"' in text if target.startswith("#") else (folder / target).exists()
    for name in ("one", "two"):
        assert {f"{name}.{kind}" for kind in ("png", "npz", "json")} <= set(targets)
    assert "swap  <PSNR>\nmodel  24.7" in tags.text
    assert text.count("Stand-in data") == 1
    assert "data & two" in tags.text
    assert "1,234 s" in tags.text
    assert "runs/x has settings of its own: a is b." in tags.text
    assert "Failed, what is here may be older: It broke." in tags.text
    assert "Figure 3 of the paper" in tags.text
    assert "drnet: 100%" not in tags.text
    assert "3.x" in tags.text


def test_what_a_script_printed_is_taken_apart(folder):
    printed = page.read_log(folder / "fig3_mnist.log")
    assert printed.figures == ["one", "two"]
    assert printed.tables == "swap  <PSNR>\nmodel  24.7"
    assert printed.warnings == ["runs/x has settings of its own: a is b."]


def test_a_figure_that_is_gone_is_named(folder):
    (folder / "two.png").unlink()
    assert "two</code>.png" not in page.write(folder, ["fig3_mnist"], {}).read_text()
    text = (folder / "index.html").read_text()
    assert "<code>two.png</code> cannot be opened." in text


def test_what_a_script_says_is_shown_and_kept(tmp_path, capfdbinary):
    command = [sys.executable, "-c", "import sys; print('out'); sys.exit('err')"]
    outcome = all_scripts.run_script("name", command, tmp_path / "name.log")
    assert outcome.code == 1
    assert outcome.seconds > 0
    assert (tmp_path / "name.log").read_bytes() == b"out\nerr\n"
    assert capfdbinary.readouterr().out == b"out\nerr\n"


def fake_command(name, *, out, **settings):
    """Returns a command that draws nothing, and fails for one name."""
    if name == "fig4_norb_adversarial":
        return [sys.executable, "-c", "import sys; print('a'); sys.exit('No such data.')"]
    return [sys.executable, "-c", f"print({name!r}, {settings!r})"]


def test_a_script_that_fails_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(all_scripts, "command_of", fake_command)
    names = ["fig3_mnist", "fig4_norb_adversarial", "table1_norb"]
    settings = dict(preset="smoke", runs="runs", data_dir=None)
    assert all_scripts.make(names, tmp_path / "new", **settings) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "fig4_norb_adversarial failed: No such data."
    assert any(line.startswith("[3/3] table1_norb: done, ") for line in lines)
    assert any(line.startswith("[3/3] table1_norb, about 0 min to go") for line in lines)
    assert (tmp_path / "new" / "index.html").exists()
    assert all_scripts.make(["fig3_mnist"], tmp_path / "new", **settings) == 0
    # What failed before is still there.
    assert "No such data." in (tmp_path / "new" / "index.html").read_text()


STOPPED = """
import pathlib, sys
from experiments import all as all_scripts
child = '''
import pathlib, signal, sys, time
def stop(*_):
    pathlib.Path("saved").write_text("")
    sys.exit(130)
signal.signal(signal.SIGINT, stop)
print("running")
time.sleep(60)
'''
all_scripts.command_of = lambda name, **_: [sys.executable, "-c", child]
all_scripts._define_flags()
all_scripts.app.run(all_scripts.main)
"""


def test_ctrl_c_stops_the_script_and_then_all(tmp_path):
    (tmp_path / "stopped.py").write_text(STOPPED)
    process = subprocess.Popen(
        [sys.executable, "stopped.py", f"--out={tmp_path / 'out'}"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout.readline().startswith("[1/12] fig3_mnist")
    assert process.stdout.readline() == "running\n"
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    rest, _ = process.communicate(timeout=30)
    assert time.monotonic() - started < 10
    assert process.returncode == 130
    assert rest.strip() == "Stopped. The same command goes on from there."
    assert (tmp_path / "saved").exists()


def test_unknown_scripts_are_refused_in_a_line():
    command = [sys.executable, "-m", "experiments.run_all", "--only=fig3_mnist,fig99"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("--only=fig99; allowed: fig3_mnist, fig4_norb_adversarial, ")
    assert len(done.stderr.splitlines()) == 1


def test_scripts_come_in_the_papers_order():
    assert all_scripts.chosen([]) == list(all_scripts.DATA)
    assert all_scripts.chosen(["table1_norb", "fig3_mnist"]) == ["fig3_mnist", "table1_norb"]


@pytest.mark.parametrize("name", all_scripts.DATA)
def test_every_script_is_there_and_takes_its_data(name):
    """The data that a script is given are those that it takes by default."""
    calls = [
        node
        for node in ast.walk(ast.parse((SCRIPTS / f"{name}.py").read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "runs.start"
    ]
    assert [call.args[1].value for call in calls] == [all_scripts.DATA[name]]


def test_commands_say_which_run():
    given = dict(preset="quick", out="o", runs="r", data_dir="d")
    command = all_scripts.command_of("fig5_interpolation", **given)
    assert command[1:] == [
        "-m",
        "experiments.fig5_interpolation",
        "--preset=quick",
        "--out=o",
        "--data=suncg",
        "--workdir=r/suncg_quick",
        "--data_dir=d",
    ]
    assert "--data_dir" not in str(
        all_scripts.command_of("baselines", **given | {"data_dir": None})
    )
