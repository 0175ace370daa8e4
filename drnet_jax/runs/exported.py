"""Trained models as folders to share: weights in safetensors, settings, scores and a card."""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import safetensors.numpy
from etils import epath
from flax.traverse_util import flatten_dict, unflatten_dict

from drnet_jax import __version__
from drnet_jax.base import checked_json, files, templates, wording
from drnet_jax.base.arrays import Tree
from drnet_jax.runs import programs
from drnet_jax.runs.run import Run, create_run, open_trained
from drnet_jax.runs.workdir import stored_settings, trained_settings

WEIGHTS = "weights.safetensors"
PICTURES = ("swap_grid.png", "rollout_strip.png")
DTYPES = ("float16", "float32")

_UNFINISHED = ".unfinished"
"""A file that says that all others in its folder are of an export that did not end."""

_LOCAL = ("data_dir", "folder", "digits_dir")
"""Settings below `config.data` that name folders of one machine."""


def export(source: epath.Path, folder: epath.Path, *, dtype: str, formats: Sequence[str]) -> None:
    """Writes the model in `source`, a workdir or an exported folder; see `drnet_jax.export`."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype={dtype!r}; allowed: {', '.join(DTYPES)}.")
    _check_formats(formats)
    marker = folder / _UNFINISHED
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise ValueError(f"{folder} is not empty; allowed: a new or an empty folder.")
    run, variables, steps = read(source) if is_exported(source) else _trained(source)
    weights = {name: np.asarray(array, dtype) for name, array in _flat(variables).items()}
    settings = run.config.to_dict()
    usual = {"data_dir": "~/tensorflow_datasets"}
    settings["data"] |= {name: usual.get(name, "") for name in _LOCAL if name in settings["data"]}
    scores = _scores(source)
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_bytes(b"")
    for path in folder.iterdir():
        if path.name != marker.name:  # Left by an export that did not end.
            path.rmtree() if path.is_dir() else path.unlink()
    for name in PICTURES:
        for picture in (source / "samples" / name, source / name):
            if picture.exists():
                files.write_atomically(folder / name, picture.read_bytes())
    if formats:
        for name, program in programs.programs(run, variables).items():
            for kind in formats:
                path = folder / kind / f"{name}{programs.SUFFIXES[kind]}"
                files.write_atomically(path, program.serialized(kind))
    card = _card(source.name, settings, scores, steps, folder)
    files.write_atomically(folder / "README.md", card)
    if scores:
        checked_json.write(folder / "evaluation.json", scores)
    checked_json.write(folder / "config.json", settings)
    # Last, as a folder with weights counts as complete.
    metadata = {"steps": json.dumps(steps)}  # Of several entries the order would be random.
    files.write_atomically(folder / WEIGHTS, safetensors.numpy.save(weights, metadata))
    marker.unlink()


def _check_formats(formats: Sequence[str]) -> None:
    """Raises ValueError for unknown formats, and for ONNX without the package."""
    if isinstance(formats, str) or not set(formats) <= set(programs.SUFFIXES):
        known = ", ".join(programs.SUFFIXES)
        raise ValueError(f"formats={formats!r}; allowed: a list of some of {known}.")
    if "onnx" in formats and not importlib.util.find_spec("onnx"):
        raise ValueError("formats='onnx' needs the extra onnx: pip install 'drnet_jax[onnx]'.")


def _trained(workdir: epath.Path) -> tuple[Run, dict[str, Tree], list[int]]:
    """Returns what `read` does, of the newest checkpoints in `workdir`."""
    config = ml_collections.ConfigDict(trained_settings(workdir))
    run, drnet, predictor = open_trained(config, workdir, with_data=False)
    steps = [int(state.step) for state in (drnet, predictor) if state]
    return run, run.variables(drnet, predictor), steps


def is_exported(folder: epath.PathLike) -> bool:
    """Returns whether `folder` was written by `export`."""
    return (epath.Path(folder) / WEIGHTS).exists()


def read(folder: epath.PathLike) -> tuple[Run, dict[str, Tree], list[int]]:
    """Returns the run in an exported folder, its variables by network, and its finished steps.

    Raises:
      ValueError: for damaged files, or weights that do not fit the settings.
    """
    folder = epath.Path(folder)
    settings = stored_settings(folder)
    if settings is None:
        raise ValueError(f"No config.json beside {folder / WEIGHTS}.")
    run = create_run(ml_collections.ConfigDict(settings), folder, with_data=False)
    content = files.read(folder / WEIGHTS)
    try:
        weights = safetensors.numpy.load(content)
        steps = json.loads(_metadata(content)["steps"])
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"{folder / WEIGHTS} is damaged: {error}.") from None
    expected = _flat(run.abstract_variables())
    for name in sorted(expected.keys() | weights.keys()):
        found = weights[name].shape if name in weights else "absent"
        fits = expected[name].shape if name in expected else "absent"
        if found != fits:
            raise ValueError(
                f"{folder / WEIGHTS}: {name} is {found}; the settings need it to be {fits}."
            )
    arrays = {name: jnp.asarray(array, expected[name].dtype) for name, array in weights.items()}
    return run, _tree(arrays, run.abstract_variables()), steps


def _metadata(content: bytes) -> Mapping[str, str]:
    # The format: the length of a JSON header in eight bytes, the header, and the arrays.
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"]


def _flat(variables: Mapping[str, Tree], **options: bool) -> dict[str, Any]:
    """Returns the arrays by path, such as `decoder/params/Dense_0/kernel`.

    The discriminator is left out, as only training needs it.
    """
    used = {name: tree for name, tree in variables.items() if name != "discriminator"}
    return flatten_dict(used, sep="/", **options)


def _tree(arrays: Mapping[str, jax.Array], like: Mapping[str, Tree]) -> dict[str, Tree]:
    """Returns `arrays`, given by their paths, as a tree; `like` has its empty branches as well."""
    branches = _flat(like, keep_empty_nodes=True)
    return unflatten_dict({name: arrays.get(name, x) for name, x in branches.items()}, sep="/")


def _scores(workdir: epath.Path) -> dict[str, Any]:
    path = workdir / "evaluation.json"
    return checked_json.read(path) if path.exists() else {}


def _card(
    name: str,
    settings: Mapping[str, Any],
    scores: Mapping[str, Any],
    steps: list[int],
    folder: epath.Path,
) -> str:
    """Returns the model card in Markdown."""
    known = [("reconstruction", "reconstruction"), ("swap", "swap"), ("prediction", "prediction")]
    rows = []
    for key, words in known:
        part = scores.get(key) or {}
        score = (part.get("model") or part).get("psnr")
        if score:
            rows.append((words, wording.interval(score, 2)))
    return templates.load("drnet_jax.runs", "model_card.md.jinja").render(
        name=name,
        settings=settings,
        data=scores.get("data") or {"note": settings["data"]["name"], "stand_in": False},
        rows=rows,
        steps=steps,
        pictures=[picture for picture in PICTURES if (folder / picture).exists()],
        version=__version__,
    )
