"""All scripts in a row, and the page of their figures."""

import html
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from experiments import run_all
from experiments.shared import figure, page
from tests.conftest import ROOT

TITLES = {name: run_all.title_of(name) for name in run_all.DATA}


@pytest.fixture
def folder(tmp_path):
    """A folder as three scripts leave it: one has two figures, one failed, and one said nothing."""
    rng = np.random.default_rng(0)
    table = figure.Table(("swap", "<PSNR>"), [("model", "24.7")], "A title")
    for name, stand_in in (("one", False), ("two", True)):
        picture = rng.integers(0, 255, (40, 300, 3), np.uint8)
        drawn = figure.Figure(name, picture, f"A <{name}>.", [table], {}, {})
        run = {"workdir": "runs/x", "note": f"data & {name}. 9 training steps."}
        run |= {"stand_in": stand_in, "other_settings": "a is b" if stand_in else None}
        figure.write(tmp_path, drawn, [run, run], "fig3_mnist")
    (tmp_path / "outcomes").mkdir()
    for name, code, line in (("fig3_mnist", 0, "ok"), ("table1_norb", 2, "It <broke>.")):
        outcome = {"name": name, "code": code, "seconds": 1234.4, "last_line": line}
        (tmp_path / "outcomes" / f"{name}.json").write_text(json.dumps(outcome))
        (tmp_path / f"{name}.log").touch()
    (tmp_path / "broken.json").write_text("{")
    return tmp_path


def test_page_has_every_figure_and_what_belongs_to_it(folder):
    path = page.write(folder, TITLES, {"python": "3.x", "data": "", "packages": {"jax": "0.x"}})
    text = path.read_text()
    assert re.findall('<section id="(.+)">', text) == ["fig3_mnist", "table1_norb"]
    images = re.findall('<img .*src="(.+?)".* alt="(.+?)"', text)
    assert images == [("one.png", "A &lt;one&gt;."), ("two.png", "A &lt;two&gt;.")]
    targets = re.findall('href="(.+?)"', text)
    for target in targets:
        name = target.removeprefix("#")
        assert f'id="{name}"' in text if target.startswith("#") else (folder / target).exists()
    for name in ("one", "two"):
        assert {f"{name}.{kind}" for kind in ("png", "npz", "json")} <= set(targets)
    assert text.count('<tr><th scope="row">model</th><td>24.7</td></tr>') == 2
    assert text.count('<th scope="col">&lt;PSNR&gt;</th>') == 2
    assert text.count("Stand-in data") == text.count('class="tag warning"') == 1
    for words in (
        "A title",
        "data & two. 9 training steps.",
        "1,234 s",
        "runs/x has its own settings: a is b.",
        "Failed; the results below may be older: It <broke>.",
        "Figure 3 of the paper",
        "3.x",
        "0.x",
    ):
        assert html.escape(words) in text
    (folder / "two.png").unlink()
    text = page.write(folder, TITLES, {}).read_text()
    assert "<code>two.png</code> cannot be opened." in text
    assert 'href="two.npz"' not in text and 'src="one.png"' in text


def test_output_of_a_script_is_shown_and_kept(tmp_path, capfdbinary):
    code = "import sys; print('out'); print('50%', end='\\r'); sys.exit('err')"
    outcome = run_all.run_script("name", [sys.executable, "-c", code], tmp_path / "name.log")
    assert (outcome["code"], outcome["last_line"]) == (1, "err")
    assert outcome["seconds"] > 0
    assert (tmp_path / "name.log").read_bytes() == b"out\n50%\rerr\n"
    assert capfdbinary.readouterr().out == b"out\n50%\rerr\n"


def fake_command(name, *, out, **settings):
    """Returns a command that draws nothing, and fails for one name."""
    if name == "fig4_norb_adversarial":
        return [sys.executable, "-c", "import sys; print('a'); sys.exit('No such data.')"]
    return [sys.executable, "-c", f"print({name!r}, {settings!r})"]


def test_a_script_that_fails_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_all, "command_of", fake_command)
    names = ["fig3_mnist", "fig4_norb_adversarial", "table1_norb"]
    settings = dict(preset="smoke", runs="runs", data_dir=None)
    assert run_all.make(names, tmp_path / "new", **settings) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "fig4_norb_adversarial failed: No such data."
    assert any(line.startswith("[3/3] table1_norb: done, ") for line in lines)
    assert any(line.startswith("[3/3] table1_norb, about 0 min to go") for line in lines)
    assert (tmp_path / "new" / "index.html").exists()
    assert run_all.make(["fig3_mnist"], tmp_path / "new", **settings) == 0
    # The page still shows the earlier failure.
    assert "No such data." in (tmp_path / "new" / "index.html").read_text()


STOPPED = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
from experiments import run_all
child = '''
import pathlib, signal, sys, time
def stop(*_):
    pathlib.Path("saved").write_text("")
    sys.exit(130)
signal.signal(signal.SIGINT, stop)
print("running")
time.sleep(60)
'''
run_all.command_of = lambda name, **_: [sys.executable, "-c", child]
runpy.run_module("experiments.all", run_name="__main__")
"""


def test_ctrl_c_stops_the_script_and_then_all(tmp_path):
    """By the former name of the command, and with SIGINT ignored at first, as by `nohup ... &`."""
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
    assert rest.strip() == "Stopped. The same command continues from there."
    assert (tmp_path / "saved").exists()


def test_scripts_are_chosen_in_the_order_of_the_paper():
    assert run_all.chosen([]) == list(run_all.DATA)
    assert run_all.chosen(["table1_norb", "fig3_mnist"]) == ["fig3_mnist", "table1_norb"]
    with pytest.raises(ValueError, match=r"^--only=fig99; allowed: fig3_mnist, fig4_norb_adv"):
        run_all.chosen(["fig3_mnist", "fig99"])


@pytest.mark.parametrize("name", run_all.DATA)
def test_every_script_exists_and_takes_its_data_by_default(name):
    source = (ROOT / "experiments" / f"{name}.py").read_text()
    assert f'    script.start(draw, "{run_all.DATA[name]}"' in source
    assert f"python -m experiments.{name} " in source


def test_commands_name_the_run():
    given = dict(preset="quick", out="o", runs="r", data_dir="d")
    command = run_all.command_of("fig5_interpolation", **given)
    expected = "-m experiments.fig5_interpolation --preset=quick --out=o --data=suncg"
    assert command[1:] == [*expected.split(), "--workdir=r/suncg_quick", "--data_dir=d"]
    assert "--data_dir" not in str(run_all.command_of("baselines", **given | {"data_dir": None}))
