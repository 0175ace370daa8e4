"""A trained model as a folder to share, and as programs for other runtimes."""

from collections.abc import Sequence

from etils import epath

from drnet_jax import api
from drnet_jax.base import processes
from drnet_jax.base.errors import InputError, input_errors


def run(workdir: epath.PathLike, folder: epath.PathLike, formats: Sequence[str]) -> None:
    """Writes the model of `workdir` to the new `folder`; arguments as of `drnet_jax.export`.

    Raises:
      InputError: when it cannot be exported, or as `drnet_jax.export` says.
    """
    if processes.count() > 1:
        raise InputError(f"--mode=export by {processes.count()} processes; allowed: one.")
    with input_errors():
        api.export(workdir, folder, formats=formats)
    kinds = ["weights", *formats]
    print(f"{folder} holds the model: {', '.join(kinds)}.")
