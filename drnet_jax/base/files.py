"""Writing files whole or not at all."""

from etils import epath


def write_atomically(path: epath.PathLike, data: bytes | str) -> epath.Path:
    """Writes `data` to `path`, of which no reader ever sees one half.

    Args:
      path: local or `gs://` path; missing parent folders are made.
      data: text is stored as UTF-8.

    Returns:
      The path written.
    """
    path = epath.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    # Renaming happens at once, writing does not.
    part.write_bytes(data.encode() if isinstance(data, str) else data)
    return part.replace(path)
