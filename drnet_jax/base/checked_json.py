"""JSON whose readers notice that a byte of it has changed: it holds a checksum of the rest.

A record without a checksum is read as it is: earlier versions wrote none, and whoever changes a
file by hand takes the line with it out.
"""

import json
import zlib
from collections.abc import Mapping
from typing import Any

from etils import epath

from drnet_jax.base import files

_KEY = "crc32"


def write(path: epath.PathLike, record: Mapping[str, Any]) -> None:
    """Writes `record` as indented JSON, atomically; raises ValueError for NaN."""
    text = json.dumps(_with_checksum(record), indent=2, allow_nan=False)
    files.write_atomically(path, f"{text}\n")


def line(record: Mapping[str, Any]) -> str:
    """Returns `record` as a line of JSON."""
    return json.dumps(_with_checksum(record)) + "\n"


def read(path: epath.PathLike) -> dict[str, Any]:
    """Returns what `write` wrote to `path`.

    Raises:
      OSError: there is no such file, or it cannot be read.
      ValueError: it is damaged.
    """
    try:
        return parse(files.read(path))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}.") from None


def parse(content: bytes | str) -> dict[str, Any]:
    """Returns the record in `content`, without its checksum; raises ValueError for damage."""
    record = json.loads(content)
    if not isinstance(record, dict):
        raise ValueError(f"expected a JSON object, found {type(record).__name__}")
    found = record.pop(_KEY, None)
    if found is not None and found != _checksum(record):
        raise ValueError(f"its checksum is wrong; if you have changed it, take out {_KEY!r}")
    return record


def _with_checksum(record: Mapping[str, Any]) -> dict[str, Any]:
    return {**record, _KEY: _checksum(record)}


def _checksum(record: Mapping[str, Any]) -> str:
    # Of the values, so that spaces do not matter. Text, since readers take numbers for metrics.
    return f"{zlib.crc32(json.dumps(record).encode()):08x}"
