"""Changes single bytes of finished runs and prepared data, and counts what comes of it.

A change is `noticed` if there is an error or a warning, `harmless` if everything that is read is
what it was, and else `silent`.
"""

import argparse
import collections
import hashlib
import json
import logging
import pathlib
import random
import re
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

import drnet_jax
from drnet_jax.base import checked_json
from drnet_jax.data.clip_store import ClipStore
from drnet_jax.data.moving_mnist import digits
from drnet_jax.report import inputs
from drnet_jax.runs import workdir as workdir_lib
from tests.helpers import toy_clips

Read = Callable[[], Any]


class _Warnings(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


def flip(paths: Sequence[pathlib.Path], read: Read, num: int, rng: random.Random) -> dict[str, int]:
    """Returns how often which came of changing one of the bytes of `paths`, `num` times.

    A file is chosen first, then a byte. Files are as before at the end.
    """
    counts, whole = collections.Counter(), read()
    heard = _Warnings()
    logging.getLogger("absl").addHandler(heard)
    for _ in range(num):
        path = rng.choice(paths)
        content = path.read_bytes()
        changed = bytearray(content)
        # Records are padded with thousands of zeros, which nobody reads.
        place = rng.choice(np.flatnonzero(np.frombuffer(content, np.uint8)).tolist())
        changed[place] ^= rng.randrange(1, 256)
        path.write_bytes(changed)
        heard.count, end = 0, "noticed"
        try:
            found = read()
            if not heard.count:
                end = "harmless" if found == whole else "silent"
        except Exception as error:
            if not isinstance(error, ValueError | OSError) or len(str(error).splitlines()) != 1:
                end = "noticed, not in a line"
                print(f"{path}, byte {place}: {error!r}", file=sys.stderr)
        if end == "silent":
            print(f"SILENT: {path}, byte {place}", file=sys.stderr)
        counts[end] += 1
        path.write_bytes(content)
    logging.getLogger("absl").removeHandler(heard)
    return dict(counts)


def _files(folder: pathlib.Path, pattern: str = "*") -> list[pathlib.Path]:
    found = (path for path in sorted(folder.rglob(pattern)) if path.is_file())
    return [path for path in found if path.stat().st_size and not path.name.endswith(".lock")]


def _digest(tree: Any) -> list[str]:
    return [
        hashlib.sha256(np.asarray(leaf).tobytes()).hexdigest()
        for leaf in jax.tree.leaves(jax.device_get(tree))
    ]


def of_run(workdir: pathlib.Path) -> dict[str, tuple[list[pathlib.Path], Read]]:
    """Returns files of a finished run and what reads them, by name."""

    def load():
        model = drnet_jax.load(workdir)
        return model.config.to_json(), _digest(model.variables)

    def arrays():
        try:
            with np.load(workdir / "samples" / "rollout.npz") as found:
                return {name: _digest(found[name]) for name in found.files}
        except (zipfile.BadZipFile, zlib.error) as error:  # Of NumPy, with which people read it.
            raise ValueError(error) from error

    # Those of the newest checkpoints; damage to others is noticed when they are needed.
    folders = [max((workdir / "checkpoints" / s).glob("[0-9]")) for s in workdir_lib.STAGES]
    return {
        "checkpoints": ([path for folder in folders for path in _files(folder)], load),
        "config.json": (
            [workdir / "config.json"],
            lambda: _known(workdir_lib.trained_settings(workdir)),
        ),
        "evaluation.json": (
            [workdir / "evaluation.json"],
            lambda: _known(checked_json.read(workdir / "evaluation.json")),
        ),
        "metrics.jsonl": (
            [workdir / "metrics.jsonl"],
            lambda: inputs.read_curves(workdir / "metrics.jsonl"),
        ),
        "rollout.npz": ([workdir / "samples" / "rollout.npz"], arrays),
    }


def _known(record: dict[str, Any]) -> dict[str, Any]:
    """Returns a record without the entry that a changed name of its checksum leaves."""
    checksum = re.compile("[0-9a-f]{8}")
    return {
        name: value
        for name, value in record.items()
        if not (isinstance(value, str) and checksum.fullmatch(value))
    }


def of_data(folder: pathlib.Path) -> dict[str, tuple[list[pathlib.Path], Read]]:
    """Returns files of prepared data and what reads them, by name; prepares them in `folder`."""
    place = pathlib.Path(toy_clips.create(folder).data_path)

    def read(max_bytes: float):
        # Anew, as a program that starts would.
        builder = toy_clips.Toy(
            config=toy_clips.ToyConfig(name=place.parent.name, image_size=8, lengths=(3, 5, 8, 4)),
            data_dir=folder,
        )
        stores = [ClipStore(builder, split, max_bytes) for split in ("train", "test")]
        return [
            (
                store.names,
                store.lengths.tolist(),
                str(store.factors),
                [_digest(store.gather(np.array([i]), np.arange(n)[None])) for i, n in
                 enumerate(store.lengths)],
            )
            for store in stores
        ]  # fmt: skip

    read(0)  # Unpacks the frames.
    unpacked = _files(place, "*.frames") + _files(place, "*.index")
    return {
        "frames file and index": (unpacked, lambda: read(0)),
        "array records": (_files(place, "*array_record*"), lambda: _without(unpacked, read)),
        "dataset_info.json, features.json": (_files(place, "*.json"), lambda: read(1e9)),
    }


def _without(unpacked: Sequence[pathlib.Path], read: Callable[[float], Any]) -> Any:
    """Reads the records themselves, which are not read where they are unpacked."""
    for path in unpacked:
        path.unlink(missing_ok=True)
    return read(1e9)


def of_digits(folder: pathlib.Path) -> dict[str, tuple[list[pathlib.Path], Read]]:
    """Returns files of prepared digits and what reads them; prepares them in `folder`."""

    def read():
        found = digits.load("embedded", folder=None, data_dir=folder)
        return found.note, _digest([found.train_images, found.train_labels, found.test_images])

    read()
    return {"digits": (_files(folder), read)}


def damage(workdir: pathlib.Path, num: int, seed: int = 0) -> dict[str, dict[str, int]]:
    """Returns counts for each kind of file, of `num` changes in all, with one of 10 to digits.

    `workdir` is a finished run, whose files are as before at the end.
    """
    rng, counts = random.Random(seed), {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        kinds = of_run(workdir) | of_data(folder / "toys") | of_digits(folder / "digits")
        shares = {"checkpoints": 0.3, "digits": 0.05}
        rest = (1 - sum(shares.values())) / (len(kinds) - len(shares))
        for kind, (paths, read) in kinds.items():
            share = max(1, round(num * shares.get(kind, rest)))
            counts[kind] = flip(paths, read, share, rng)
    return counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workdir", type=pathlib.Path, help="a finished run of tests.conftest.TINY")
    parser.add_argument("num", type=int, help="number of changes")
    given = parser.parse_args()
    print(json.dumps(damage(given.workdir, given.num)))
