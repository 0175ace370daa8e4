"""Records of what is finished, kept beside the figures so that the next command reuses them."""

import json
from collections.abc import Mapping
from typing import Any

from etils import epath

from drnet_jax.runs import checks


def read(path: epath.Path) -> dict[str, Any] | None:
    """Returns the record in a JSON file, or None if there is no such file.

    Raises:
      ValueError: if the file is damaged.
    """
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged: {error}.") from None


def check_question(path: epath.Path, kept: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raises ValueError if the record at `path`, with settings `kept`, is not what is `asked`."""
    if difference := checks.difference(kept, asked):
        difference = difference.removeprefix("config.")
        raise ValueError(f"{path} answers another question, choose another --out: {difference}.")
