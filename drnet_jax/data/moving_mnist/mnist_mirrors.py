"""Downloads MNIST from its public mirrors and verifies every file."""

import queue
import tempfile
import threading
import time

import pooch
import requests
from absl import logging
from etils import epath

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
# SHA-256 of each file as both mirrors serve it, gzipped.
DOWNLOADS = {
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}

_PROBE_FILE = "t10k-labels-idx1-ubyte"  # The smallest: 5 kB.
_PROBE_SECONDS = 8.0  # Leaves 2 of the 10 seconds in which `digits.load` promises an answer.
_STALL_SECONDS = 10.0  # A connection that is silent for this long counts as dead.


def find_mirror() -> str:
    """Returns the first mirror that delivers a small file intact.

    Raises:
      ConnectionError: none did within `_PROBE_SECONDS`.
    """
    # Daemon threads, because no timeout of a connection covers the name look-up before it: a
    # thread that hangs there is left behind.
    answers: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
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
        if not failure:
            return mirror
        failures.append(failure)
    raise ConnectionError("; ".join(failures))


def download(folder: epath.Path, first: str) -> None:
    """Puts the four gzipped files of MNIST into `folder`, keeping intact ones already there.

    The folder is created if missing. When the mirror `first` fails, the others follow in order.

    Raises:
      ConnectionError: no mirror delivered some file intact.
    """
    mirrors = sorted(MIRRORS, key=lambda mirror: mirror != first)
    for name in DOWNLOADS:
        failures = []
        for mirror in mirrors:
            logging.info("Fetching %s%s.gz", mirror, name)
            failure = _fetch(mirror, name, folder, progress=True)
            if not failure:
                break
            failures.append(failure)
        else:
            raise ConnectionError("; ".join(failures))


def _probe(mirror: str, answers: queue.SimpleQueue) -> None:
    with tempfile.TemporaryDirectory() as folder:
        answers.put((mirror, _fetch(mirror, _PROBE_FILE, folder, progress=False)))


def _fetch(mirror: str, name: str, folder: epath.PathLike, *, progress: bool) -> str:
    """Puts a file into `folder` unless it is there; returns why that failed, or an empty string."""
    pooch.get_logger().setLevel("WARNING")  # Else it prints a line for each probe.
    try:
        # pooch writes to a temporary file and renames it once the checksum is right.
        pooch.retrieve(
            f"{mirror}{name}.gz",
            known_hash=DOWNLOADS[name],
            fname=f"{name}.gz",
            path=folder,
            downloader=pooch.HTTPDownloader(
                progressbar=progress, chunk_size=1 << 16, timeout=_STALL_SECONDS
            ),
        )
    except ValueError:
        return f"{mirror}: {name}.gz arrived damaged (checksum mismatch)"
    except requests.RequestException as error:
        return f"{mirror}: {error}"
    return ""
