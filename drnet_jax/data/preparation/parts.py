"""Finished jobs of a preparation on disk, so that one that was killed goes on from there."""

import hashlib

from etils import epath

from drnet_jax import __version__
from drnet_jax.base import files
from drnet_jax.data.preparation.builder import Job


class Parts:
    """The records of each finished job, one file per job.

    Only the same version of drnet_jax finds the file again, and only for the same job: records
    that were made in another way are never taken for those that would be made now.
    """

    def __init__(self, folder: epath.Path):
        self.folder = folder

    def path(self, job: Job) -> epath.Path:
        """Returns where the records of `job` are kept."""
        identity = repr((__version__, job.name, job.arguments))
        return self.folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.records"

    def load(self, job: Job) -> list[bytes] | None:
        """Returns the records of `job`, or None when there is no file or it is damaged."""
        return files.read_checked(self.path(job))

    def store(self, job: Job, records: list[bytes]) -> None:
        """Writes the records of `job`, whole or not at all.

        Raises:
          OSError: the file cannot be written.
        """
        files.write_checked(self.path(job), records)

    def delete(self) -> None:
        """Deletes all files."""
        if self.folder.exists():
            self.folder.rmtree()
