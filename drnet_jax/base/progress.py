"""The progress bar of everything that takes a while."""

import sys

from tqdm import tqdm

from drnet_jax.base import processes


def progress_bar(description: str, total: int, unit: str, *, initial: int = 0) -> tqdm:
    """Returns a progress bar on stderr; use it as a context manager and call its `update`.

    With several processes, only the first one shows it.

    It counts up to `total` from `initial`, where earlier work ended; `unit` is singular: `step`.
    """
    return tqdm(
        total=total,
        initial=initial,
        desc=description,
        unit=unit,
        disable=not processes.is_first(),
        dynamic_ncols=True,
        # A terminal shows a moving bar; a log file would fill up, so it gets two lines a minute.
        mininterval=0.2 if sys.stderr.isatty() else 30,
    )
