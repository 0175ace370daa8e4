"""Clips whose motion has a name: which data have such."""

from drnet_jax.data.recorded import RecordedSource
from drnet_jax.runs.run import Run


def known(run: Run, num_frames: int) -> bool:
    """Returns whether motions have two names or more, and either split clips of `num_frames`."""
    if not isinstance(run.source, RecordedSource):
        return False
    for split in ("train", "test"):
        clips = run.source.all_clips(split, num_frames)
        labels = run.source.labels(split, clips)
        if labels is None or len(labels[1]) < 2 or not len(labels[0]):
            return False
    return True
