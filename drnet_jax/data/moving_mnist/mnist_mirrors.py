"""Downloads MNIST from its public mirrors and verifies what arrives."""

import http.client
import queue
import threading
import time
import urllib.request
import uuid

import tqdm
from absl import logging
from etils import epath

from drnet_jax.data.moving_mnist import idx

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
# MD5 of each file once decompressed: how it was compressed does not matter.
CHECKSUMS = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}

_PROBE_SECONDS = 8.0  # To find a mirror; a caller may promise its user an answer within 10.
_STALL_SECONDS = 10.0  # Silence after which a connection counts as dead.
_PROBE_FILE = "t10k-labels-idx1-ubyte"  # 5 kB.
_FAILURES = (OSError, ValueError, http.client.HTTPException)


def find_mirror() -> str:
    """Returns the first mirror to hand over a small file intact.

    Raises:
      ConnectionError: none did so within `_PROBE_SECONDS`.
    """
    # Threads that nobody waits for, because a socket's timeout does not bound the name look-up.
    answers: queue.SimpleQueue[tuple[str, Exception | None]] = queue.SimpleQueue()
    for mirror in MIRRORS:
        threading.Thread(target=_probe, args=(mirror, answers), daemon=True).start()
    deadline = time.monotonic() + _PROBE_SECONDS
    failures = []
    for _ in MIRRORS:
        try:
            mirror, failure = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            failures.append(f"no answer in {_PROBE_SECONDS:g} s")
            break
        if failure is None:
            return mirror
        failures.append(f"{mirror}: {failure}")
    raise ConnectionError("; ".join(failures))


def download(folder: epath.Path, first: str) -> None:
    """Puts the four gzipped files of MNIST into `folder`, keeping intact ones already there.

    Args:
      folder: where to; made if missing.
      first: the mirror to ask first; the others follow when it fails.

    Raises:
      ConnectionError: a file came intact from no mirror.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mirrors = sorted(MIRRORS, key=lambda mirror: mirror != first)
    for name in CHECKSUMS:
        path = folder / f"{name}.gz"
        if path.exists() and _is_intact(path.read_bytes(), name):
            continue
        content = _fetch_from_any(mirrors, name)
        # Under a name of its own, then renamed: nobody ever sees half a file.
        part = folder / f"{path.name}.{uuid.uuid4().hex}.part"
        part.write_bytes(content)
        part.replace(path)


def _probe(mirror: str, answers: queue.SimpleQueue) -> None:
    try:
        _fetch(mirror, _PROBE_FILE, quiet=True)
    except _FAILURES as failure:
        answers.put((mirror, failure))
    else:
        answers.put((mirror, None))


def _fetch_from_any(mirrors: list[str], name: str) -> bytes:
    failures = []
    for mirror in mirrors:
        logging.info("Downloading %s%s.gz", mirror, name)
        try:
            return _fetch(mirror, name, quiet=False)
        except _FAILURES as failure:
            failures.append(f"{mirror}: {failure}")
    raise ConnectionError("; ".join(failures))


def _fetch(mirror: str, name: str, *, quiet: bool) -> bytes:
    """Returns the gzipped file `name` of `mirror`; raises one of `_FAILURES` unless intact."""
    chunks = []
    with urllib.request.urlopen(f"{mirror}{name}.gz", timeout=_STALL_SECONDS) as response:
        size = int(response.headers.get("Content-Length") or 0) or None
        # The bar appears after a second, so on a slow line only.
        settings = {"desc": name, "unit": "B", "unit_scale": True, "delay": 1, "disable": quiet}
        with tqdm.tqdm(total=size, **settings) as progress:
            while chunk := response.read(1 << 16):
                chunks.append(chunk)
                progress.update(len(chunk))
    content = b"".join(chunks)
    if not _is_intact(content, name):
        raise ValueError(f"{name}.gz arrived damaged (checksum mismatch)")
    return content


def _is_intact(content: bytes, name: str) -> bool:
    try:
        return idx.md5(idx.decompress(content, name)) == CHECKSUMS[name]
    except ValueError:
        return False
