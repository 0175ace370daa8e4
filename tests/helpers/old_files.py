"""Writes the files of this version that later versions have to open, for tests/runs.

python -m tests.helpers.old_files

Run it once for each version that is released, on the commit of its release. The archive
tests/runs/files_VERSION.zip has

  run/       the workdir of a finished run with the settings of `tests.conftest.tiny_config`:
             settings, log, scores, and the checkpoints of steps 4 and 6 of both stages.
  exported/  its model, as `drnet_jax.export` writes it.
  data/      prepared clips of the stand-in for SUNCG chairs.
  made.npz   what this version made of them: a rollout of each model, and all test clips.
"""

import contextlib
import os
import pathlib
import tempfile
import zipfile

import jax
import numpy as np

import drnet_jax
from drnet_jax.base import sharding
from drnet_jax.commands import train
from drnet_jax.data import registry
from tests.conftest import ROOT, load_config, tiny_config

SHOWN = np.random.default_rng(0).integers(0, 256, (2, 5, 16, 16, 3), np.uint8)
"""Frames that models continue."""


def clips_config(data_dir: os.PathLike):
    """Returns the settings of the prepared clips."""
    config = load_config("smoke", "suncg").data
    config.update(image_size=16, data_dir=str(data_dir))
    config.stand_in.update(num_identities=3, num_azimuths=4)
    return config


def clips_of_test(data_dir: os.PathLike) -> np.ndarray:
    """Returns the frames of all test clips; prepares them if they are not there."""
    source = registry.open_source(clips_config(data_dir), 1, sharding.data_mesh())
    return source.frames("test", source.all_clips("test"), np.arange(4))


def main() -> None:
    """Writes the archive."""
    jax.config.update("jax_num_cpu_devices", 2)
    target = ROOT / "tests" / "runs" / f"files_{drnet_jax.__version__}.zip"
    # Settings have no path of this machine if all paths are relative.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        train.run(tiny_config("digits"), "run")
        drnet_jax.export("run", "exported", dtype="float32")
        made = {
            "rollout": drnet_jax.load("run").rollout(SHOWN, 6),
            "exported_rollout": drnet_jax.load("exported").rollout(SHOWN, 6),
            "clips": clips_of_test("data"),
        }
        np.savez_compressed("made.npz", **made)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(pathlib.Path().rglob("*")):
                if path.is_file() and _is_kept(path):
                    archive.write(path)
    print(f"{target}: {target.stat().st_size / 1e3:.0f} kB")


def _is_kept(name: pathlib.Path) -> bool:
    if name.parts[0] == "run":
        kept = {"config.json", "metrics.jsonl", "evaluation.json", "checkpoints"}
        return name.parts[1] in kept and "2" not in name.parts
    return name.parts[0] in ("exported", "data", "made.npz") and name.suffix != ".png"


if __name__ == "__main__":
    main()
