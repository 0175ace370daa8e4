import base64
import html.parser
import json
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from drnet_jax import report
from drnet_jax.report import charts, inputs, markup


class _Page(html.parser.HTMLParser):
    """Collects tags and checks that each is closed where it should be."""

    VOID = frozenset({"img", "meta", "br", "link"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text, self.svgs = [], [], "", 0
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def _interval(mean, half=0.1):
    return {"mean": mean, "low": mean - half, "high": mean + half}


def _answer(psnr, ssim):
    return {"psnr": _interval(psnr), "ssim": _interval(ssim, 0.01)}


EVALUATION = {
    "schema_version": 1,
    "data": {"name": "moving_mnist", "note": "5,000 digits that ship", "split": "test"},
    "num_clips": 500,
    "seed": 1,
    "reconstruction": _answer(27.418, 0.951),
    "swap": {
        "horizon": 10,
        "model": _answer(24.871, 0.921),
        "copy_content_frame": _answer(12.31, 0.402),
        "copy_pose_frame": _answer(15.64, 0.511),
        "mean_frame": _answer(14.02, 0.301),
    },
    "discriminator": {"accuracy": _interval(0.5234, 0.031), "chance": 0.5},
}

STEPS = [1, 2, 10, 50]


def _over_steps(*means):
    columns = {"mean": list(means), "low": [m - 0.1 for m in means], "high": list(means)}
    return columns


def _probe(factor, code, kind, mean):
    score = _interval(mean) | {"chance": 0.1}
    names = {"factor": factor, "code": code, "probe": kind}
    return names | {"held_out_clips": score, "held_out_objects": None}


LONG = {
    "judge": {"accuracy": _interval(0.971), "chance": 0.11, "in_view": 0.9},
    "swap_judge": {
        name: {
            "accuracy_kept": _interval(kept),
            "accuracy_replaced": _interval(0.105),
            "inception_score": _interval(6.5),
        }
        for name, kept in (("model", 0.854), ("truth", 0.965))
    }
    | {"chance": 0.1},
    "rollout": {
        "num_clips": 100,
        "steps": STEPS,
        "psnr": {"model": _over_steps(25, 24, 20, 18), "mean_frame": _over_steps(19, 19, 19, 19)},
        "identity": {"model": _over_steps(0.9, 0.9, 0.8, 0.7), "chance": 0.11},
        "sharpness": {"model": _over_steps(1, 1, 0.5, 0.5)},
        "position_error": None,
        "lost_at": _interval(37.0),
        "never_lost": _interval(0.25),
        "frozen_rate": {"model": _interval(0.0123)},
    },
    "leakage": {
        "probes": [
            _probe(factor, code, kind, mean)
            for kind in ("linear", "mlp")
            for factor, code, mean in (
                ("digit", "content", 0.8),
                ("digit", "pose", 0.1),
                ("place", "content", -0.1),
                ("place", "pose", 0.99),
            )
        ],
        "discriminator": {"same_clip": _interval(0.62), "same_objects": None},
    },
    "actions": {
        "judge": {"accuracy": _interval(0.953), "chance": 0.17},
        "steps": [5, 6, 7],
        "model": {
            "inception_score": _over_steps(4, 3, 2),
            "accuracy": _over_steps(0.6, 0.5, 0.4),
        },
        "truth": {"inception_score": _over_steps(5, 5, 5)},
    },
    "few_shot": {
        "pose": _over_steps(0.3, 0.5) | {"num_labeled": [1, 7.5], "chance": 0.17},
        "content": None,
    },
    "neighbors": {
        "num_training_frames": 20000,
        "generated": {"median": _interval(0.0613)},
        "real": {"median": _interval(0.0947)},
    },
    "blocks": {"mig": 0.177, "disentanglement": 0.951, "completeness": 0.94},
}


def _write_picture(path, color, kind="png"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), color, np.uint8)).save(path, format=kind)


@pytest.fixture
def workdir(tmp_path):
    workdir = tmp_path / "my run"
    workdir.mkdir()
    (workdir / "evaluation.json").write_text(json.dumps(EVALUATION))
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


def _read(workdir):
    path = report.write(workdir)
    assert path.name == "report.html"
    text = path.read_text()
    return text, _Page(text)


def test_needs_nothing_from_outside(workdir):
    text, page = _read(workdir)
    assert "http://" not in text and "https://" not in text and "url(" not in text
    assert not page.all("script") and not page.all("link") and not page.all("iframe")
    assert all(image["src"].startswith("data:image/") for image in page.all("img"))
    assert all(image["alt"] for image in page.all("img"))


def test_pictures_are_the_ones_of_the_run(workdir):
    _, page = _read(workdir)
    shown = [base64.b64decode(image["src"].split(",")[1]) for image in page.all("img")]
    # First, last and two between them of seven.
    names = ["swap_grid.png", "rollout.gif", "rollout_strip.png"]
    names += [f"drnet/step_{step:07d}.png" for step in (500, 1500, 2500, 3500)]
    assert shown == [(workdir / "samples" / name).read_bytes() for name in names]


def test_headline_numbers(workdir):
    _, page = _read(workdir)
    assert "24.87 dB" in page.text and "27.42 dB" in page.text and "0.523" in page.text
    # 24.871 - 15.64: copying the pose frame is the best of the trivial answers here.
    assert "+9.23 dB" in page.text and "best trivial answer: copy pose frame" in page.text
    assert page.text.index("5,000 digits that ship") < page.text.index("Swap PSNR")


def test_a_model_worse_than_trivial_is_called_so(workdir):
    record = EVALUATION | {"swap": EVALUATION["swap"] | {"model": _answer(15.0, 0.3)}}
    (workdir / "evaluation.json").write_text(json.dumps(record))
    _, page = _read(workdir)
    assert "\N{MINUS SIGN}0.64 dB" in page.text and "worse than the best trivial" in page.text


def test_curves_and_settings(workdir):
    text, page = _read(workdir)
    # Two charts of scores, three of metrics.
    assert len(page.all("svg")) == 5
    assert "Pose prediction loss" in page.text and "0.0125" in page.text
    assert page.all("details") and "-4, 3" in page.text
    assert "python -m drnet_jax.main" in page.text
    for part in text.split("<svg")[1:]:
        ET.fromstring("<svg" + part.split("</svg>")[0] + "</svg>")


def test_empty_folder_says_what_is_missing(tmp_path):
    _, page = _read(tmp_path)
    for name in ("evaluation.json", "metrics.jsonl", "config.json", "environment.json"):
        assert name in page.text
    assert not page.all("img") and not page.all("svg")


@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "environment.json", "evaluation.json", "metrics.jsonl"),
        *("samples/swap_grid.png", "samples/rollout.gif", "samples/rollout_strip.png"),
    ],
)
@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"null", b"\xff"])
def test_any_file_may_be_missing_or_broken(workdir, name, content):
    (workdir / name).unlink()
    if content is not None:
        (workdir / name).write_bytes(content)
    _read(workdir)


@pytest.mark.parametrize("key", list(EVALUATION))
def test_any_score_may_be_missing_or_empty(workdir, key):
    for value in (None, {}, 3):
        (workdir / "evaluation.json").write_text(json.dumps(EVALUATION | {key: value}))
        _read(workdir)


def test_long_rollouts_judged_swaps_and_leakage(workdir):
    (workdir / "evaluation.json").write_text(json.dumps(EVALUATION | LONG))
    text, page = _read(workdir)
    # Three charts over steps, two of probes and three of actions more than without them.
    assert len(page.all("svg")) == 13
    assert "lost after 37 steps" in page.text and "25% never are" in page.text
    assert "0.854" in page.text and "97.1%" in page.text and "0.620" in page.text
    assert "disentanglement 0.95" in page.text
    assert "95.3% of real, unseen clips" in page.text
    assert "0.061" in page.text and "0.095" in page.text and "20,000 training" in page.text
    for part in text.split("<svg")[1:]:
        ET.fromstring("<svg" + part.split("</svg>")[0] + "</svg>")


def _broken(node):
    """Yields copies of a nested record, each with one part of it replaced by rubbish."""
    if isinstance(node, dict | list):
        for key in node if isinstance(node, dict) else range(len(node)):
            for value in (None, {}, "<b>", [1]):
                copy = dict(node) if isinstance(node, dict) else list(node)
                copy[key] = value
                yield copy


@pytest.mark.parametrize("key", list(LONG))
def test_any_long_score_may_be_missing_or_broken(workdir, key):
    nodes = [None, {}, 3, *_broken(LONG[key])]
    for name, part in LONG[key].items():
        nodes += [LONG[key] | {name: copy} for copy in _broken(part)]
    for node in nodes:
        (workdir / "evaluation.json").write_text(json.dumps(EVALUATION | LONG | {key: node}))
        text, _ = _read(workdir)
        assert "<b>" not in text


def test_hostile_strings_stay_text(workdir):
    evil = "<script>alert('x')</script>\"><img src=x onerror=y> $title"
    config = {evil: evil, "data": {evil: [evil]}, "nested": {evil: {evil: 1}}}
    (workdir / "config.json").write_text(json.dumps(config))
    environment = {evil: evil, "command": evil, "git_revision": evil}
    (workdir / "environment.json").write_text(json.dumps(environment))
    data = {"name": evil, "note": evil, "split": evil}
    discriminator = {"accuracy": _interval(0.5), "chance": evil}
    record = EVALUATION | {"data": data, "num_clips": evil, "discriminator": discriminator}
    (workdir / "evaluation.json").write_text(json.dumps(record))
    line = {"stage": evil, "step": 1, evil: 2.0}
    (workdir / "metrics.jsonl").write_text(json.dumps(line))
    _, page = _read(workdir)
    assert not page.all("script")
    assert all(image["src"].startswith("data:") for image in page.all("img"))
    assert page.text.count(evil) > 8


def test_large_pictures_stay_out(workdir, monkeypatch):
    monkeypatch.setattr(inputs, "_MOST_PICTURE_BYTES", 10)
    _, page = _read(workdir)
    assert not page.all("img")


def test_no_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="nowhere' is not a folder"):
        report.write(tmp_path / "nowhere")


def test_read_curves_sorts_and_skips(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"stage": "a", "step": 2, "loss": 5.0}\n'
        "\n[]\n7\n"
        '{"stage": "a", "step": 1, "loss": 3, "note": "text", "flag": true}\n'
        '{"stage": "a", "step": 2, "loss": 4.0}\n'
        '{"stage": "a", "step": 3, "loss": NaN}\n'
        '{"stage": "a", "loss": 9.0}\n'
        '{"stage": "a", "ste'
    )
    assert inputs.read_curves(path) == {"a": {"loss": [(1, 3.0), (2, 4.0)]}}


@pytest.mark.parametrize(
    ("count", "expected"), [(0, []), (3, [0, 1, 2]), (4, [0, 1, 2, 3]), (10, [0, 3, 6, 9])]
)
def test_spread_keeps_both_ends(count, expected):
    assert inputs.spread(range(count), 4) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((0, "0"), (0.010213, "0.0102"), (31.24, "31.2"), (0.5, "0.500"), (1234.5, "1234")),
        *((-0.25, "\N{MINUS SIGN}0.250"), (0.0000123, "1.23e\N{MINUS SIGN}5")),
    ],
)
def test_number(value, expected):
    assert markup.number(value) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 12000, [0, 5000, 10000]),
        (0.13, 0.51, [0.2, 0.3, 0.4, 0.5]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_linear_ticks(low, high, expected):
    assert charts.linear_ticks(low, high, 4) == expected


def test_log_ticks():
    np.testing.assert_allclose(charts.log_ticks(0.0009, 2), [0.001, 0.01, 0.1, 1])
    np.testing.assert_allclose(charts.log_ticks(0.03, 1.5), [0.05, 0.1, 0.2, 0.5, 1])


def _points(svg, css):
    svg = ET.fromstring(svg)
    (line,) = (e for e in svg.iter("polyline") if css in e.get("class"))
    return np.array([list(map(float, p.split(","))) for p in line.get("points").split()])


def test_lines_are_straight_where_they_should_be():
    linear = _points(charts.lines([(s, 2.0 + s) for s in range(11)], "", "first"), "raw")
    np.testing.assert_allclose(np.diff(linear[:, 0]), np.diff(linear[:, 0])[0], atol=0.11)
    np.testing.assert_allclose(np.diff(linear[:, 1]), np.diff(linear[:, 1])[0], atol=0.11)
    # Halving each step is a straight line on a logarithmic axis, falling to the bottom right.
    log = _points(charts.lines([(s, math.exp(-s)) for s in range(11)], "", "first"), "raw")
    slopes = np.diff(log[:, 1])
    assert (slopes > 0).all()
    np.testing.assert_allclose(slopes, slopes[0], atol=0.11)


@pytest.mark.parametrize("values", [[3.0], [0.0], [-2.0, -2.0], [1e-9] * 5, [0.0, 1e6], [1, 1e12]])
def test_lines_stay_inside_the_chart(values):
    svg = charts.lines(list(enumerate(values)), "", "first")
    points = _points(svg, "smooth")
    assert np.isfinite(points).all()
    assert (points >= 0).all() and (points[:, 0] <= 340).all() and (points[:, 1] <= 190).all()


def test_lines_average_many_points():
    svg = charts.lines([(s, 5.0 * s) for s in range(1, 10_001)], "", "first", limits=(0, 50_000))
    raw, smooth = _points(svg, "raw"), _points(svg, "smooth")
    assert len(raw) == len(smooth) == 300
    # Averages of a straight line lie on it, but for the ends, where there are fewer to average.
    inside = slice(10, -10)
    np.testing.assert_allclose(smooth[inside], raw[inside], atol=0.11)
    assert np.abs(smooth - raw).max() < 3


def test_dots_stand_in_the_order_of_their_means():
    scores = {"a": _interval(3.0), "b": _interval(1.0), "c": _interval(2.0)}
    svg = ET.fromstring(charts.dots(scores, "", 2))
    a, b, c = (float(circle.get("cx")) for circle in svg.iter("circle"))
    assert b < c < a
    np.testing.assert_allclose(c, (a + b) / 2, atol=0.11)


def test_a_score_over_steps_lies_in_its_band_on_a_logarithmic_axis():
    score = {"mean": [3, 2, 1], "low": [2, 1, 0], "high": [4, 3, 2]}
    svg = charts.over_steps([1, 10, 100], {"model": ("first", score)}, "", reference=(1, "chance"))
    line = _points(svg, "smooth")
    np.testing.assert_allclose(np.diff(line[:, 0]), np.diff(line[:, 0])[0], atol=0.11)
    (band,) = ET.fromstring(svg).iter("polygon")
    corners = np.array([list(map(float, p.split(","))) for p in band.get("points").split()])
    np.testing.assert_allclose(corners[:3, 0], corners[5:2:-1, 0])
    assert np.all(corners[:3, 1] < line[:, 1]) and np.all(line[:, 1] < corners[5:2:-1, 1])


def test_probes_stand_between_nothing_and_all():
    rows = {"digit": [("first", _interval(0.5)), ("second", _interval(-3.0))]}
    svg = ET.fromstring(charts.probes(rows, {"digit": 0.25}, ""))
    (disc,), (square,) = svg.iter("circle"), svg.iter("rect")
    (chance,) = (float(e.get("x1")) for e in svg.iter("line") if e.get("class") == "chance")
    nothing = float(square.get("x")) + 4
    np.testing.assert_allclose(chance - nothing, (float(disc.get("cx")) - nothing) / 2, atol=0.1)
