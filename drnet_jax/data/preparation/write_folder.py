"""Writes a complete data set, or none: records as tfds lays them out, a card, a contact sheet."""

import math
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds
from etils import epath

from drnet_jax.base import progress
from drnet_jax.data.preparation import card, contact_sheet
from drnet_jax.data.preparation.builder import ClipBuilder

FORMAT = "array_record"
_FILE_BYTES = 256 * 2**20  # Of unpacked frames; files up to this size are easy to copy.

Records = dict[str, Iterator[bytes]]


def write(builder: ClipBuilder, records: Records, contents: card.Contents) -> None:
    """Writes all files into a folder that gets its final name when it is complete.

    `contents` says what the records of each split hold, in the same order.

    Raises:
      OSError, RuntimeError: something cannot be written, for example because the disk is full.
    """
    folder = builder.data_path
    # Killed processes leave folders behind.
    for stale in folder.parent.glob(f"incomplete.*_{folder.name}"):
        stale.rmtree()
    unfinished = folder.with_name(f"incomplete.drnet_jax_{folder.name}")
    unfinished.mkdir()
    try:
        shown = _write_records(builder, records, contents, unfinished)
        # Names of files need not be UTF-8.
        text = card.text(builder, contents).encode(errors="backslashreplace")
        (unfinished / "card.md").write_bytes(text)
        sheet = contact_sheet.png(builder, contents, shown)
        (unfinished / "contact_sheet.png").write_bytes(sheet)
        for path in unfinished.iterdir():
            # Written to the disk, in case the power fails after the folder is renamed.
            with pathlib.Path(path).open("rb") as file:
                os.fsync(file.fileno())
        unfinished.rename(folder)
    except BaseException:
        unfinished.rmtree()  # It may have filled the disk.
        raise


def _write_records(
    builder: ClipBuilder,
    records: Records,
    contents: card.Contents,
    folder: epath.Path,
) -> dict[str, list[dict[str, Any]]]:
    """Writes the records and what tfds notes about them; returns those to draw, decoded."""
    # Not at the top: Windows lacks it, where trained models can still be used.
    from array_record.python import array_record_module

    builder.info.set_file_format(FORMAT, override=True)
    infos, shown = [], {split: [] for split in records}
    num_clips = sum(len(clips) for clips in contents.splits.values())
    with progress.progress_bar("Writing", num_clips, "clip") as bar:
        for split, clips in contents.splits.items():
            chosen = contact_sheet.spread(len(clips), contact_sheet.NUM_CLIPS)
            template = tfds.core.ShardedFileTemplate(
                folder, dataset_name=builder.name, split=split, filetype_suffix=FORMAT
            )
            by_file = _numbers_by_file(builder, [clip["length"] for clip in clips])
            paths = template.sharded_filepaths(len(by_file))
            for path, numbers in zip(paths, by_file, strict=True):
                # Groups of one record, as tfds writes them: reading one unpacks no other.
                writer = array_record_module.ArrayRecordWriter(os.fspath(path), "group_size:1")
                for number in numbers:
                    record = next(records[split])
                    writer.write(record)
                    if number in chosen:
                        shown[split].append(builder.deserialize(record))
                    bar.update()
                writer.close()
            num_bytes = sum(path.stat().length for path in paths)
            infos.append(tfds.core.SplitInfo(split, list(map(len, by_file)), num_bytes, template))
    builder.info.set_splits(tfds.core.SplitDict(infos))
    builder.info.write_to_directory(folder)
    return shown


def _numbers_by_file(builder: ClipBuilder, lengths: list[int]) -> list[list[int]]:
    """Returns the numbers of the clips in each file of records, given their lengths in frames."""
    frame_bytes = math.prod(builder.info.features["frames"].shape[1:])
    by_file: list[list[int]] = [[]]
    num_bytes = 0
    for number, length in enumerate(lengths):
        if by_file[-1] and num_bytes + length * frame_bytes > _FILE_BYTES:
            by_file.append([])
            num_bytes = 0
        by_file[-1].append(number)
        num_bytes += length * frame_bytes
    return by_file
