"""Inputs that occur twice, once to train and once to test, which would make scores too good."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

Digests = Sequence[bytes | None]


def digest(frames: np.ndarray) -> bytes | None:
    """Returns a hash of the frames of a clip, `[time, height, width, channels]`.

    It is None for a clip that stands still, as unrelated videos may begin with black frames.
    """
    if np.all(frames == frames[0]):
        return None
    hashed = hashlib.sha256(repr(frames.shape).encode())
    hashed.update(np.ascontiguousarray(frames))
    return hashed.digest()


def of_training(train: Mapping[str, Digests], test: Mapping[str, Digests]) -> dict[str, str]:
    """Returns a training job for each test job that shares a clip with it, all by name.

    Args:
      train: the digests of the clips of each job to train on.
      test: those of each job to test on.
    """
    first: dict[bytes, str] = {}
    for job, digests in train.items():
        for found in digests:
            if found is not None:
                first.setdefault(found, job)
    shared = {job: [first[d] for d in digests if d in first] for job, digests in test.items()}
    return {job: originals[0] for job, originals in shared.items() if originals}
