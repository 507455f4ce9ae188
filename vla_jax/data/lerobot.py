"""Reads LeRobot v3.0 datasets without the lerobot package: episodes, and samples for imitation.

Pictures are shrunk to the policy's size as they are decoded, one episode at a time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from sim.types import Observation
from vla_jax.data.demonstrations import UNKNOWN_PLACE, Demonstrations
from vla_jax.data.episode import Episode, action_chunks
from vla_jax.data.lerobot_layout import ACTION, INDEX_COLUMNS, STATE
from vla_jax.data.lerobot_meta import EpisodeMeta, LeRobotDataset, inside, open_dataset
from vla_jax.data.optional import need
from vla_jax.data.parquet import integers, open_parquet, read_table, vectors
from vla_jax.data.video import VideoReader, decode_image
from vla_jax.tokenizers import Tokenizer, task_words

__all__ = ["LeRobotDataset", "load_demonstrations", "open_dataset", "read_episodes", "task_words"]

# What a camera that a dataset lacks shows: grey, which the policy's eye maps to about zero.
GREY = 128
_MAX_BYTES = 16 * 2**30  # of samples in memory
_MAX_IMAGE = 64 * 2**20  # bytes of one encoded picture

Cameras = tuple[str, str | None]


def choose_cameras(dataset: LeRobotDataset, cameras: Cameras | None = None) -> Cameras:
    """Keys of the fixed and of the wrist camera (None: the dataset has none).

    Args:
        dataset: gives the keys.
        cameras: what the caller wants; None chooses by the names.

    Raises:
        ValueError: a key is unknown, or the names leave it open which camera is which.
    """
    known = sorted(dataset.cameras)
    if cameras is not None:
        if unknown := [key for key in cameras if key is not None and key not in known]:
            raise ValueError(f"{dataset.root} has no camera {unknown[0]!r}: it has {known}")
        return cameras
    wrist = [key for key in known if re.search("wrist|hand|gripper", key.rpartition(".")[2])]
    fixed = [key for key in known if key not in wrist]
    if len(fixed) != 1 or len(wrist) > 1:
        raise ValueError(
            f"{dataset.root} has the cameras {known}: say which is the fixed one and which the "
            "wrist's"
        )
    return fixed[0], wrist[0] if wrist else None


def read_episodes(
    dataset: LeRobotDataset, image_size: int, wrist_size: int, cameras: Cameras | None = None
) -> Iterator[Episode]:
    """All episodes in order, one in memory at a time.

    Args:
        dataset: from `open_dataset`.
        image_size: side of the fixed camera's square pictures, pixels.
        wrist_size: side of the wrist camera's, all grey if the dataset has none.
        cameras: keys of the two cameras, see `choose_cameras`.

    Raises:
        ValueError: a file is missing, damaged or disagrees with the metadata.
    """
    sizes = zip(choose_cameras(dataset, cameras), (image_size, wrist_size), strict=True)
    readers = [_Camera(dataset, key, size) for key, size in sizes]
    try:
        for path, group in groupby(dataset.episodes, key=dataset.data_file):
            episodes = list(group)
            for episode, (tasks, state, action) in _numbers(dataset, path, episodes):
                image, wrist = (reader.read(path, episode) for reader in readers)
                yield Episode(tasks, image, wrist, state, action)
    finally:
        for reader in readers:
            reader.close()


def _numbers(dataset: LeRobotDataset, path: Path, episodes: Sequence[EpisodeMeta]):
    """Tasks, states and actions of the episodes of one data file."""
    table = read_table(path, [STATE, ACTION, *INDEX_COLUMNS])
    first, rows = episodes[0].first, sum(episode.length for episode in episodes)
    index = integers(table, "index", path)
    if len(index) != rows or (index != first + np.arange(rows)).any():
        raise ValueError(
            f"{path} has {len(index)} frames from {index[:1].tolist()} on, the metadata expects "
            f"{rows} from {first} on: fetch both from one version of the dataset"
        )
    state = vectors(table, STATE, dataset.state_size, path)
    action = vectors(table, ACTION, 7, path)
    time = vectors(table, "timestamp", 1, path)[:, 0]
    task, frame, number = (
        integers(table, name, path) for name in ("task_index", "frame_index", "episode_index")
    )
    if unknown := sorted(set(task.tolist()) - set(dataset.tasks)):
        raise ValueError(f"{path} has tasks {unknown[:5]} that meta/tasks.parquet does not know")
    for episode in episodes:
        part = slice(episode.first - first, episode.first - first + episode.length)
        count = np.arange(episode.length)
        if (number[part] != episode.index).any() or (frame[part] != count).any():
            raise ValueError(f"{path}: frames of episode {episode.index} are mixed up: repair them")
        if (np.abs(time[part] * dataset.fps - count) > 0.1).any():
            raise ValueError(
                f"{path}: timestamps of episode {episode.index} do not follow {dataset.fps:g} "
                "frames a second: repair meta/info.json or the timestamps"
            )
        tasks = tuple(dataset.tasks[i] for i in task[part].tolist())
        yield episode, (tasks, state[part], action[part])


class _Camera:
    """One camera's pictures, episode by episode in order, however they are stored."""

    def __init__(self, dataset: LeRobotDataset, key: str | None, size: int):
        self.dataset, self.key, self.size = dataset, key, size
        self._video = VideoReader(size, dataset.fps)
        self._path: Path | None = None
        self._rows: Iterator[np.ndarray] = iter(())

    def read(self, path: Path, episode: EpisodeMeta) -> np.ndarray:
        """Pictures u8[T, size, size, 3] of an episode whose frames are in the data file `path`."""
        shape = (episode.length, self.size, self.size, 3)
        if self.key is None:
            return np.full(shape, GREY, np.uint8)
        if self.dataset.cameras[self.key] == "video":
            span = episode.spans[self.key]
            file = self.dataset.video_file(episode, self.key)
            return self._video.read(file, span.start, episode.length)
        if path != self._path:
            self._path, self._rows = path, self._images(path, self.key)
        return np.stack([next(self._rows) for _ in range(episode.length)])

    def close(self) -> None:
        self._video.close()

    def _images(self, path: Path, key: str) -> Iterator[np.ndarray]:
        """Decoded pictures of a column, row by row."""
        file = open_parquet(path)
        if key not in file.schema_arrow.names:
            raise ValueError(f"{path} lacks the column {key} that meta/info.json promises")
        arrow = need("pyarrow")
        try:
            for batch in file.iter_batches(batch_size=16, columns=[key]):
                for row in batch.column(0).to_pylist():
                    yield decode_image(self._bytes(row, path), self.size, f"a picture in {path}")
        except (arrow.ArrowException, OSError) as error:
            raise ValueError(f"{path} is damaged ({error}): fetch it again") from None

    def _bytes(self, row: Any, path: Path) -> bytes:
        """The encoded picture of a row: in it, or in a file of the dataset that it names."""
        row = row if isinstance(row, dict) else {"bytes": row}
        data, name = row.get("bytes"), row.get("path")
        if isinstance(data, bytes) and len(data) <= _MAX_IMAGE:
            return data
        if data is not None or not isinstance(name, str):
            raise ValueError(f"{path}: {self.key} holds no pictures of bearable size")
        file = inside(self.dataset.root, name, path)
        if not file.is_file() or os.path.getsize(file) > _MAX_IMAGE:
            raise ValueError(f"{file}, named in {path}, is missing or too large: fetch it again")
        return file.read_bytes()


def load_demonstrations(
    dataset: LeRobotDataset,
    tokenizer: Tokenizer,
    *,
    image_size: int,
    wrist_size: int,
    chunk: int,
    instruction_length: int,
    cameras: Cameras | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Demonstrations:
    """One sample for every frame of a dataset.

    A chunk that reaches beyond its episode's end repeats the last action and counts by its real
    steps (`has_action` is their share). Where things are is unknown.

    Args:
        dataset: from `open_dataset`.
        tokenizer: reads the tasks, as they are.
        image_size, wrist_size: sides of the policy's pictures, pixels.
        chunk: C, actions of a chunk.
        instruction_length: L, words that the policy reads.
        cameras: keys of the fixed and the wrist camera, see `choose_cameras`.
        progress: called with (frames so far, frames).

    Raises:
        ValueError: what `read_episodes` raises, too many frames for the memory, a task of too many
            words, or actions out of the policy's range [-1, 1].
    """
    total = dataset.frames
    picture = 3 * (image_size**2 + wrist_size**2)
    size = total * (picture + 4 * (dataset.state_size + 7 * chunk + instruction_length + 20))
    if size > _MAX_BYTES:
        raise ValueError(
            f"{dataset.root}: {total} frames need {size / 2**30:.0f} GiB of memory, at most "
            f"{_MAX_BYTES / 2**30:.0f} are used: split it or choose a policy of smaller pictures"
        )
    words = {t: tokenizer.encode(t, instruction_length) for t in dataset.tasks.values()}
    obs: dict[str, Any] = {
        "image": np.zeros((total, image_size, image_size, 3), np.uint8),
        "wrist": np.zeros((total, wrist_size, wrist_size, 3), np.uint8),
        "proprio": np.zeros((total, dataset.state_size), np.float32),
        "instruction": np.zeros((total, instruction_length), np.int32),
    }
    action = np.zeros((total, chunk, 7), np.float32)
    weight, source = np.zeros(total, np.float32), np.zeros((total, 2), np.int32)
    done = 0
    for number, episode in enumerate(read_episodes(dataset, image_size, wrist_size, cameras)):
        _check_range(episode.action, number, dataset.root)
        part = slice(done, done + len(episode.action))
        obs["image"][part], obs["wrist"][part] = episode.image, episode.wrist
        obs["proprio"][part] = episode.state
        obs["instruction"][part] = [words[task] for task in episode.tasks]
        action[part], padded = action_chunks(episode.action, chunk)
        weight[part], source[part] = 1.0 - padded.mean(1), number
        done += len(episode.action)
        progress(done, total)
    located = np.full((total, 16), UNKNOWN_PLACE, np.float32)
    return Demonstrations(Observation(**obs), action, located, weight, source)


def _check_range(action: np.ndarray, number: int, root: Path) -> None:
    if (most := float(np.abs(action).max())) > 1.001:
        raise ValueError(
            f"{root}: actions of episode {number} reach {most:.4g}, the policy's are in [-1, 1]: "
            "rescale them (vla_jax.data.stats has the statistics for it)"
        )
