import json
import shutil

import numpy as np
import pyarrow.parquet
import pytest

import drnet_jax
from drnet_jax import main
from drnet_jax.base.errors import InputError
from drnet_jax.commands import embed
from tests.helpers import videos


@pytest.fixture
def workdir(trained, tmp_path):
    """A copy of the trained run, to write into."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def folder(tmp_path):
    """Two videos, a folder of pictures, a damaged video, and a file that is no clip."""
    folder = tmp_path / "my videos"
    videos.write_video(folder / "a.mkv", videos.clip(1, num_frames=9), rate=10)
    (folder / "b.mp4").parent.mkdir(exist_ok=True)
    (folder / "b.mp4").write_bytes(b"no video")
    videos.write_pictures(folder / "c", videos.clip(3, num_frames=4))
    videos.write_video(folder / "d.mkv", videos.clip(4, num_frames=7), rate=25)
    (folder / "notes.txt").write_text("")
    return folder


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(embed, "SHARD_FRAMES", 6)
    monkeypatch.setattr(embed, "BATCH_FRAMES", 3)


EXPECTED = {"a.mkv": (1, 9, 0.1), "c": (3, 4, np.nan), "d.mkv": (4, 7, 0.04)}
"""By clip: its seed, its number of frames, and the seconds between two."""


def test_every_frame_has_its_vectors(config, workdir, folder, small_shards, capsys):
    embed.run(config, workdir, str(folder))
    shards = workdir / "embeddings" / "my videos"
    tables = [pyarrow.parquet.read_table(path) for path in sorted(shards.glob("*.parquet"))]
    assert [len(table) for table in tables] == [6, 6, 6, 2]
    rows = [row for table in tables for row in table.to_pylist()]
    model = drnet_jax.load(workdir)
    expected = []
    for name, (seed, num_frames, _) in EXPECTED.items():
        frames = videos.clip(seed, num_frames=num_frames)
        vectors = np.asarray(model.content(frames).vector), np.asarray(model.pose(frames))
        expected += ((name, i, *both) for i, both in enumerate(zip(*vectors, strict=True)))
    assert len(expected) == len(rows)
    for row, (name, number, content, pose) in zip(rows, expected, strict=True):
        assert (row["clip"], row["frame"]) == (name, number)
        seconds = number * EXPECTED[name][2]
        assert row["seconds"] == (None if np.isnan(seconds) else pytest.approx(seconds, abs=1e-3))
        np.testing.assert_allclose(row["content"], content, atol=1e-5)
        np.testing.assert_allclose(row["pose"], pose, atol=1e-5)
    for path, table in zip(sorted(shards.glob("*.npz")), tables, strict=True):
        with np.load(path) as arrays:
            np.testing.assert_array_equal(arrays["pose"], np.stack(table["pose"].to_pylist()))
            np.testing.assert_array_equal(arrays["clip"], table["clip"].to_pylist())
            assert arrays["content"].dtype == np.float32
    summary = json.loads((shards / "summary.json").read_text())
    assert (summary["frames"], summary["shards"], summary["clips"]) == (20, 4, 4)
    assert summary["ignored"] == {"notes.txt": "neither a video nor a picture"}
    assert list(summary["skipped"]) == ["b.mp4"]
    assert "b.mp4 is not a readable video" in summary["skipped"]["b.mp4"]
    assert "1 skipped, 1 other file ignored" in capsys.readouterr().out


def test_clips_of_a_data_set_are_named_by_split(tmp_path):
    for seed, name in enumerate(("train/a", "test/b")):
        videos.write_video(tmp_path / f"{name}.mkv", videos.clip(seed, num_frames=5))
    config = main._load_config({"config": "configs/video_folder.py:smoke"})
    config.data.update(folder=str(tmp_path), data_dir=str(tmp_path / "data"), image_size=16)
    clips = embed._clips_of(config)
    assert list(clips.readers) == ["train/train/a.mkv#0.0", "test/test/b.mkv#0.0"]
    for seed, read in enumerate(clips.readers.values()):
        times, frames = zip(*read(), strict=True)
        assert times == (None,) * 5
        np.testing.assert_array_equal(frames, videos.clip(seed, num_frames=5))


def test_an_interrupted_embedding_continues(config, workdir, folder, small_shards, monkeypatch):
    embed.run(config, workdir, str(folder))
    shards = workdir / "embeddings" / "my videos"
    whole = {path.name: path.read_bytes() for path in shards.iterdir()}
    shutil.rmtree(shards)
    write = embed._write_shard

    def stop_at_third(folder, key, position, *args):
        if position.shards == 2:
            raise KeyboardInterrupt
        return write(folder, key, position, *args)

    monkeypatch.setattr(embed, "_write_shard", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        embed.run(config, workdir, str(folder))
    kept = {path.name: path.stat().st_mtime_ns for path in shards.glob("*.parquet")}
    assert sorted(kept) == ["00000.parquet", "00001.parquet"]
    monkeypatch.setattr(embed, "_write_shard", write)
    for _ in range(2):  # The second time there is nothing left to do.
        embed.run(config, workdir, str(folder))
        assert kept.items() <= {p.name: p.stat().st_mtime_ns for p in shards.iterdir()}.items()
        assert set(whole) == {path.name for path in shards.iterdir()}
        for name in whole:
            if not name.endswith("npz"):  # Zip files hold the time.
                assert whole[name] == (shards / name).read_bytes(), name


def test_videos_are_read_a_batch_at_a_time(config, workdir, folder, small_shards, monkeypatch):
    """Memory does not grow with a video: nothing is read ahead of what has been encoded."""
    read, encoded = [0], [0]
    vectors, rows = embed._vectors, embed._rows

    def counted(*args):
        for row in rows(*args):
            read[0] += 1
            assert read[0] - encoded[0] <= 3
            yield row

    def count(model, batch):
        encoded[0] += len(batch)
        return vectors(model, batch)

    monkeypatch.setattr(embed, "_rows", counted)
    monkeypatch.setattr(embed, "_vectors", count)
    embed.run(config, workdir, str(folder / "a.mkv"))
    assert read == encoded == [9]


def test_what_cannot_be_embedded_is_refused(config, workdir, folder, tmp_path):
    with pytest.raises(InputError, match=r"There is no .*nowhere; allowed: videos, arrays in"):
        embed.run(config, workdir, str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"Moving MNIST has clips without end; give your own vid"):
        embed.run(config, workdir, None)
    with pytest.raises(InputError, match=r"Nothing could be read: b\.mp4 is not a readable video"):
        embed.run(config, workdir, str(folder / "b.mp4"))
    embed.run(config, workdir, str(folder / "a.mkv"))
    videos.write_video(folder / "a.mkv", videos.clip(1, num_frames=5))
    with pytest.raises(InputError, match=r"embeddings/a holds vectors of other frames or of ano"):
        embed.run(config, workdir, str(folder / "a.mkv"))
