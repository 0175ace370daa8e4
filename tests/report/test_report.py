import base64
import hashlib
import itertools
import json
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from drnet_jax import report
from drnet_jax.report import inputs, plot
from drnet_jax.runs import renamed


@pytest.fixture(scope="module", autouse=True)
def plots_drawn_once():
    """Plots of the same values are drawn once for all tests, as most tests change a single one."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("curve", "over_steps", "rows"):
            patch.setattr(plot, name, _memoized(getattr(plot, name)))
        yield


def _memoized(draw):
    drawn = {}

    def memoized(*args, **options):
        key = repr((args, options))
        if key not in drawn:
            drawn[key] = draw(*args, **options)
        return drawn[key]

    return memoized


FOLDER = pathlib.Path(__file__).parent

SCORES = json.loads((FOLDER / "evaluation.json").read_text())
"""What every run is scored by, and from "judge" on what only some are."""

BASIC = dict(itertools.takewhile(lambda item: item[0] != "judge", SCORES.items()))
LONG = {key: SCORES[key] for key in SCORES.keys() - BASIC.keys()}


def _write_picture(path, color, kind="png"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), color, np.uint8)).save(path, format=kind)


@pytest.fixture
def workdir(tmp_path):
    workdir = tmp_path / "my run"
    workdir.mkdir()
    (workdir / "evaluation.json").write_text(json.dumps(BASIC))
    config = {"seed": 1, "data": {"name": "moving_mnist", "speeds": [-4, 3]}}
    (workdir / "config.json").write_text(json.dumps(config))
    environment = {"command": ["python", "-m", "drnet_jax.main"], "versions": {"jax": "0.10.2"}}
    (workdir / "environment.json").write_text(json.dumps(environment))
    lines = [
        {"stage": "drnet", "step": step, "reconstruction": 1 / step, "discriminator_accuracy": 0.6}
        for step in range(1, 401)
    ]
    lines += [{"stage": "predictor", "step": 50, "prediction": 0.0125}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (workdir / "metrics.jsonl").write_text(text + '{"stage": "predictor", "st')
    _write_picture(workdir / "samples/swap_grid.png", 10)
    _write_picture(workdir / "samples/rollout_strip.png", 20)
    _write_picture(workdir / "samples/rollout.gif", 30, "gif")
    for step in range(500, 4000, 500):
        _write_picture(workdir / f"samples/drnet/step_{step:07d}.png", step // 100)
    return workdir


def _read(workdir, **scores):
    """Returns the page of a report and the words on it, for other `scores` if there are any."""
    if scores:
        (workdir / "evaluation.json").write_text(json.dumps(BASIC | scores))
    path = report.write(workdir)
    assert path.name == "report.html"
    # A page is also well-formed XML: every tag is closed where it should be.
    page = ET.fromstring(path.read_text())
    for tag in ("style", "script"):
        next(page.iter(tag)).text = ""
    return page, " ".join("".join(page.itertext()).split())


def _count(page, tag):
    return len(list(page.iter(tag)))


def test_a_page_shows_the_run_and_needs_nothing_from_outside(workdir):
    page, words = _read(workdir)
    text = (workdir / "report.html").read_text()
    assert "http://" not in text and "https://" not in text and "url(" not in text
    assert not any(_count(page, tag) for tag in ("link", "iframe"))
    # One script, which stands in the page, and a policy that allows no other.
    [script] = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    [policy] = [meta.get("content") for meta in page.iter("meta") if meta.get("http-equiv")]
    assert policy.startswith("default-src 'none';") and f"script-src 'sha256-{digest}'" in policy
    images = list(page.iter("img"))
    assert all(image.get("src").startswith("data:image/") for image in images)
    assert all(image.get("alt") for image in images)
    # First, last and two between them of seven.
    names = ["swap_grid.png", "rollout.gif", "rollout_strip.png"]
    names += [f"drnet/step_{step:07d}.png" for step in (500, 1500, 2500, 3500)]
    shown = [base64.b64decode(image.get("src").split(",")[1]) for image in images]
    assert shown == [(workdir / "samples" / name).read_bytes() for name in names]
    # Two charts of scores, three of metrics.
    assert _count(page, "svg") == 5 and _count(page, "details")
    for expected in (
        *("24.87 dB", "27.42 dB", "0.523", "Pose prediction loss", "0.0125", "-4, 3"),
        # 24.871 - 15.64: copying the pose frame is the best of the trivial answers here.
        *("+9.23 dB", "best trivial answer: copy pose frame", "python -m drnet_jax.main"),
        "Chance: 0.5",
    ):
        assert expected in words
    assert words.index("5,000 digits that ship") < words.index("Swap PSNR")


def test_a_model_worse_than_trivial_is_called_so(workdir):
    _, words = _read(workdir, swap=BASIC["swap"] | {"model": {"psnr": {"mean": 15.0}}})
    assert "\N{MINUS SIGN}0.64 dB" in words and "worse than the best trivial" in words


@pytest.mark.parametrize(("stand_in", "tag"), [(True, "Stand-in data"), (False, "Data")])
def test_stand_in_data_are_called_so(workdir, stand_in, tag):
    _, words = _read(workdir, data=BASIC["data"] | {"stand_in": stand_in})
    assert f" {tag} moving_mnist" in words


def test_empty_folder_says_what_is_missing(tmp_path):
    page, words = _read(tmp_path)
    for name in ("evaluation.json", "metrics.jsonl", "config.json", "environment.json"):
        assert name in words
    assert not _count(page, "img") and not _count(page, "svg")


def test_too_few_clips_and_scores_without_intervals_are_told(workdir):
    words = _read(
        workdir,
        num_clips=3,
        num_samples=20,
        num_independent=2,
        warnings=["Only 2 independent clips."],
        swap={"model": {"psnr": {"mean": 21.5, "low": None, "high": None}}},
    )[1]
    assert "Only 2 independent clips." in words
    assert "3 held-out clips (20 samples in 2 independent groups)" in words
    assert "21.50 no interval" in words


def test_a_collapse_is_told(workdir):
    assert "ollapse" not in _read(workdir)[1]
    collapse = {
        "warnings": ["all clips have the same content."],
        "content_spread": 0.004,
        "frames_over_contents": {"model": 0.0123, "truth": 0.2},
        "frames_over_poses": {"model": 0.1, "truth": 0.15},
    }
    words = _read(workdir, collapse=collapse)[1]
    assert "This model has collapsed: all clips have the same content." in words
    assert (
        "decoded frames deviate from their mean by 0.012 over contents (real frames: 0.200) and by "
        "0.100 over poses (0.150), contents by 0% of their size."
    ) in words
    words = _read(workdir, collapse=collapse | {"warnings": [], "content_spread": None})[1]
    assert "has collapsed" not in words and "over poses (0.150)." in words
    for broken in (3, {"warnings": 3}, {"warnings": None, "frames_over_poses": "x"}):
        assert "ollapse" not in _read(workdir, collapse=broken)[1]


@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "environment.json", "evaluation.json", "metrics.jsonl"),
        *("samples/swap_grid.png", "samples/rollout.gif", "samples/rollout_strip.png"),
        "samples/rollout.npz",
    ],
)
def test_any_file_may_be_missing_or_broken(workdir, name):
    _play(workdir)
    assert _sheet(_read(workdir)[0]) is not None
    (workdir / name).unlink()
    _read(workdir)
    for content in (b"", b"{", b"[1]", b"null", b"\xff"):
        (workdir / name).write_bytes(content)
        _read(workdir)


def _play(workdir):
    """Writes what it takes to play a rollout: its arrays and the number of observed frames."""
    frames = np.random.default_rng(1).integers(0, 256, (3, 12, 8, 8, 3), np.uint8)
    np.savez_compressed(workdir / "samples" / "rollout.npz", frames=frames, truth=frames)
    config = json.loads((workdir / "config.json").read_text())
    (workdir / "config.json").write_text(json.dumps(config | {"predictor": {"num_observed": 5}}))


def _sheet(page):
    [found] = [f for f in page.iter("figure") if f.get("data-sheet")] or [None]
    return found


def test_contents_lead_to_every_section(workdir):
    page, _ = _read(workdir)
    [contents] = page.iter("nav")
    links = [link.get("href") for link in contents.iter("a")]
    assert links == [f"#{heading.get('id')}" for heading in page.iter("h2")] and len(links) == 8


def test_long_rollouts_judged_swaps_and_leakage(workdir):
    page, words = _read(workdir, **LONG)
    # Four charts over steps, two of probes and three of actions more than without them.
    assert _count(page, "svg") == 14
    for expected in (
        *("loses track of an object after 37 steps; 25% of rollouts never do", "0.854", "97.1%"),
        *("at least 90% visible", "0.620", "disentanglement 0.95", "1.2% of the generated"),
        *("95.3% of real, unseen clips", "0.061", "0.095", "20,000 training frames"),
        *("Rollouts of 100 held-out clips", "turn 1, 2 are off by 15, 25 degrees on average"),
        *(
            "over 40 clips",
            "Prediction, t+10: this model 18.25 18.10 to 18.40 0.750 0.700 to 0.800",
        ),
        *("Prediction, t+10: copy last frame 11.99", "Swap, t+95: this model 16.75"),
    ):
        assert expected in words


def test_one_of_a_kind_is_in_the_singular(workdir):
    rollout = LONG["rollout"] | {"num_clips": 1, "lost_at": {"mean": 1.0}}
    _, words = _read(workdir, rollout=rollout, num_clips=1)
    for expected in (
        "Means over 1 held-out clip;",
        "Rollouts of 1 held-out clip ",
        "after 1 step;",
    ):
        assert expected in words


def test_scores_of_older_versions_are_shown(workdir):
    text = json.dumps(LONG)
    for old_name, name in renamed.SCORES.items():
        text = text.replace(f'"{name}":', f'"{old_name}":')
    old = json.loads(text)
    assert {"neighbours", "few_shot"} <= old.keys() and "neighbors" not in old
    assert ET.tostring(_read(workdir, **old)[0]) == ET.tostring(_read(workdir, **LONG)[0])


def test_matplotlib_is_imported_only_to_write_a_report():
    script = "import sys, drnet_jax.report; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=FOLDER.parent.parent, check=True)


def _broken(node):
    """Yields copies of a nested record, each with one part of it replaced by rubbish."""
    if isinstance(node, dict | list):
        for key in node if isinstance(node, dict) else range(len(node)):
            for value in (None, {}, "<b>", [1]):
                copy = dict(node) if isinstance(node, dict) else list(node)
                copy[key] = value
                yield copy


@pytest.mark.parametrize("key", SCORES)
def test_any_score_may_be_missing_or_broken(workdir, key):
    nodes = [None, {}, 3]
    if key in LONG:
        nodes += _broken(LONG[key])
        for name, part in LONG[key].items():
            nodes += [LONG[key] | {name: copy} for copy in _broken(part)]
    for node in nodes:
        page, _ = _read(workdir, **(LONG if key in LONG else {}) | {key: node})
        assert not _count(page, "b")


def test_hostile_strings_stay_text(workdir):
    evil = "<script>alert('x')</script>\"><img src=x onerror=y> {{ title }}"
    config = {evil: evil, "data": {evil: [evil]}, "nested": {evil: {evil: 1}}}
    (workdir / "config.json").write_text(json.dumps(config))
    environment = {evil: evil, "command": evil, "git_revision": evil}
    (workdir / "environment.json").write_text(json.dumps(environment))
    data = {"name": evil, "note": evil, "split": evil}
    discriminator = {"accuracy": {"mean": 0.5}, "chance": evil}
    line = {"stage": evil, "step": 1, evil: 2.0}
    (workdir / "metrics.jsonl").write_text(json.dumps(line))
    page, words = _read(workdir, data=data, num_clips=evil, discriminator=discriminator)
    assert _count(page, "script") == 1 and not _count(page, "script[@src]")
    assert all(image.get("src").startswith("data:") for image in page.iter("img"))
    assert words.count(evil) > 8


def test_large_pictures_stay_out(workdir, monkeypatch):
    monkeypatch.setattr(inputs, "MOST_PICTURE_BYTES", 10)
    page, _ = _read(workdir)
    assert not _count(page, "img")


def test_no_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="nowhere' is not a folder"):
        report.write(tmp_path / "nowhere")
