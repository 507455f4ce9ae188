"""Writes LeRobot v3.0 datasets without the lerobot package."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from vla_jax.data.episode import Episode
from vla_jax.data.lerobot_layout import (
    ACTION,
    DATA_PATH,
    EPISODES_PATH,
    INDEX_COLUMNS,
    INFO_PATH,
    STATE,
    STATS_PATH,
    TASKS_PATH,
    VERSION,
    VIDEO_PATH,
    stats_columns,
    task_table,
)
from vla_jax.data.optional import need
from vla_jax.data.stats import RunningStats
from vla_jax.data.video import VideoWriter, encode_png

FIXED_CAMERA, WRIST_CAMERA = "observation.images.fixed", "observation.images.wrist"
ACTION_NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
_CHUNK_FILES = 1000  # files of a folder
_STATS_FRAMES = 100  # pictures of an episode that its statistics look at


def write_lerobot(
    path: str | Path,
    episodes: Iterable[Episode],
    fps: int,
    *,
    robot: str = "widowx",
    state_names: tuple[str, ...] | None = None,
    video: bool = True,
    file_frames: int = 20_000,
) -> dict[str, Any]:
    """Write episodes as a dataset; they are taken one by one and not kept.

    Args:
        path: a new or empty folder.
        episodes: all with pictures and states of the same sizes.
        fps: control steps per second.
        robot: its name, for `meta/info.json`.
        state_names: of the numbers of the state.
        video: pictures as MP4 files (small, with losses) or as PNG in the tables (exact).
        file_frames: begin a new data and video file when one holds this many frames.

    Returns:
        `meta/info.json`.

    Raises:
        ValueError: no episodes, an empty one, other shapes than the first one's, numbers that are
            not finite, or sides of pictures that video cannot have.
        FileExistsError: the folder holds something.
    """
    root = Path(path)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise FileExistsError(f"{root} exists and is not empty: choose another folder")
    if int(fps) != fps or fps < 1:
        raise ValueError(f"fps is {fps}: the format has whole frames per second")
    writer = _Writer(root, int(fps), video, file_frames)
    try:
        for episode in episodes:
            writer.add(episode)
    finally:
        writer.close()
    return writer.finish(robot, state_names)


class _Writer:
    """What has been written so far."""

    def __init__(self, root: Path, fps: int, video: bool, file_frames: int):
        self.root, self.fps, self.video, self.file_frames = root, fps, video, file_frames
        self.rows: list[dict[str, Any]] = []  # of meta/episodes
        self.tasks: dict[str, int] = {}
        self.frames = self.files = self.file_length = 0
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.stats: dict[str, RunningStats] = {}
        self.codec = ""
        self._table: Any = None
        self._videos: dict[str, VideoWriter] = {}

    def add(self, episode: Episode) -> None:
        """Write one episode."""
        values = self._check(episode)
        length = len(episode.action)
        if not self.files or self.file_length + length > self.file_frames:
            self._next_file()
        place = dict(zip(("chunk_index", "file_index"), self._place(), strict=True))
        row: dict[str, Any] = {
            "episode_index": len(self.rows),
            "tasks": list(dict.fromkeys(episode.tasks)),
            "length": length,
            "dataset_from_index": self.frames,
            "dataset_to_index": self.frames + length,
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }
        row |= {f"data/{name}": value for name, value in place.items()}
        columns = self._columns(episode, values)
        for key, video in self._videos.items():
            video.append(values[key])
            row |= {f"videos/{key}/{name}": value for name, value in place.items()}
            row[f"videos/{key}/from_timestamp"] = self.file_length / self.fps
            row[f"videos/{key}/to_timestamp"] = (self.file_length + length) / self.fps
        arrow = need("pyarrow")
        table = arrow.Table.from_pydict(columns)
        if self._table is None:
            file = self.root / DATA_PATH.format(**place)
            file.parent.mkdir(parents=True, exist_ok=True)
            self._table = need("pyarrow.parquet").ParquetWriter(file, table.schema)
        self._table.write_table(table)  # one row group per episode
        self.rows.append(row | self._sum_up(values, columns))
        self.frames += length
        self.file_length += length

    def close(self) -> None:
        """Finish the open files."""
        if self._table is not None:
            self._table.close()
        for video in self._videos.values():
            self.codec = video.codec
            video.close()
        self._table, self._videos = None, {}

    def finish(self, robot: str, state_names: tuple[str, ...] | None) -> dict[str, Any]:
        """Write the metadata."""
        if not self.rows:
            raise ValueError(f"no episodes to write to {self.root}")
        arrow, parquet = need("pyarrow"), need("pyarrow.parquet")
        file = self.root / EPISODES_PATH.format(chunk_index=0, file_index=0)
        file.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(arrow.Table.from_pylist(self.rows), file)
        parquet.write_table(task_table(self.tasks), self.root / TASKS_PATH)
        stats = {
            key: stats_columns(running.finish(), running.count, self._is_picture(key))
            for key, running in self.stats.items()
        }
        (self.root / STATS_PATH).write_text(json.dumps(stats, indent=4))
        info = self._info(robot, state_names)
        # Last: a folder without it is no dataset.
        (self.root / INFO_PATH).write_text(json.dumps(info, indent=4))
        return info

    def _place(self) -> tuple[int, int]:
        return divmod(self.files - 1, _CHUNK_FILES)

    def _next_file(self) -> None:
        self.close()
        self.files, self.file_length = self.files + 1, 0
        chunk, file = self._place()
        for key, shape in self.shapes.items():
            if self.video and self._is_picture(key):
                name = VIDEO_PATH.format(video_key=key, chunk_index=chunk, file_index=file)
                self._videos[key] = VideoWriter(self.root / name, self.fps, *shape[:2])

    def _is_picture(self, key: str) -> bool:
        return key in (FIXED_CAMERA, WRIST_CAMERA)

    def _check(self, episode: Episode) -> dict[str, np.ndarray]:
        """An episode's arrays by feature, of the types and sizes that they must have."""
        values = {
            STATE: np.asarray(episode.state, np.float32),
            ACTION: np.asarray(episode.action, np.float32),
            FIXED_CAMERA: np.asarray(episode.image),
            WRIST_CAMERA: np.asarray(episode.wrist),
        }
        number = len(self.rows)
        lengths = {len(value) for value in values.values()} | {len(episode.tasks)}
        if len(lengths) > 1 or not min(lengths):
            raise ValueError(f"episode {number} has {sorted(lengths)} frames in its parts")
        shapes = {key: value.shape[1:] for key, value in values.items()}
        self.shapes = self.shapes or shapes
        if shapes != self.shapes:
            raise ValueError(f"episode {number} has shapes {shapes}, the first one {self.shapes}")
        if not all(np.isfinite(values[key]).all() for key in (STATE, ACTION)):
            raise ValueError(f"episode {number} holds NaN or infinite numbers: leave it out")
        for key in (FIXED_CAMERA, WRIST_CAMERA):
            if values[key].dtype != np.uint8 or shapes[key][2:] != (3,):
                raise ValueError(f"episode {number}: {key} must be u8[T, H, W, 3]")
        return values

    def _columns(self, episode: Episode, values: dict[str, np.ndarray]) -> dict[str, Any]:
        """The frame rows of an episode as arrow arrays."""
        arrow = need("pyarrow")
        frame = np.arange(len(episode.tasks), dtype=np.int64)
        for task in episode.tasks:
            self.tasks.setdefault(task, len(self.tasks))
        columns: dict[str, Any] = {}
        for key in (STATE, ACTION):
            flat = arrow.array(values[key].ravel())
            columns[key] = arrow.FixedSizeListArray.from_arrays(flat, values[key].shape[1])
        if not self.video:
            kind = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
            for key in (FIXED_CAMERA, WRIST_CAMERA):
                pictures = [
                    {"bytes": encode_png(picture), "path": f"frame-{i:06d}.png"}
                    for i, picture in enumerate(values[key])
                ]
                columns[key] = arrow.array(pictures, kind)
        numbers = {
            "timestamp": (frame / self.fps).astype(np.float32),
            "frame_index": frame,
            "episode_index": np.full_like(frame, len(self.rows)),
            "index": self.frames + frame,
            "task_index": np.asarray([self.tasks[task] for task in episode.tasks], np.int64),
        }
        return columns | {key: arrow.array(value) for key, value in numbers.items()}

    def _sum_up(self, values: dict[str, np.ndarray], columns: dict[str, Any]) -> dict[str, Any]:
        """Statistics of an episode as columns of meta/episodes; adds them to the dataset's."""
        found: dict[str, Any] = {}
        rows = dict(values)
        for key in INDEX_COLUMNS:
            rows[key] = columns[key].to_numpy().astype(np.float64)[:, None]
        for key, value in rows.items():
            if self._is_picture(key):
                picked = np.linspace(0, len(value) - 1, min(len(value), _STATS_FRAMES)).astype(int)
                value = value[picked].reshape(-1, 3) / 255.0
            running = RunningStats(value.shape[-1])
            for target in (running, self.stats.setdefault(key, RunningStats(value.shape[-1]))):
                target.update(value)
            stats = stats_columns(running.finish(), running.count, self._is_picture(key))
            found |= {f"stats/{key}/{name}": number for name, number in stats.items()}
        return found

    def _info(self, robot: str, state_names: tuple[str, ...] | None) -> dict[str, Any]:
        features: dict[str, Any] = {}
        names = {STATE: list(state_names) if state_names else None, ACTION: list(ACTION_NAMES)}
        for key, shape in self.shapes.items():
            if self._is_picture(key):
                features[key] = {
                    "dtype": "video" if self.video else "image",
                    "shape": list(shape),
                    "names": ["height", "width", "channels"],
                }
                if self.video:
                    features[key]["info"] = {
                        "video.height": shape[0],
                        "video.width": shape[1],
                        "video.codec": {"libx264": "h264", "libsvtav1": "av1"}.get(
                            self.codec, self.codec
                        ),
                        "video.pix_fmt": "yuv420p",
                        "video.is_depth_map": False,
                        "video.fps": self.fps,
                        "video.channels": 3,
                        "has_audio": False,
                    }
            else:
                features[key] = {"dtype": "float32", "shape": list(shape), "names": names[key]}
        for key, kind in INDEX_COLUMNS.items():
            features[key] = {"dtype": kind, "shape": [1], "names": None}
        return {
            "codebase_version": VERSION,
            "robot_type": robot,
            "total_episodes": len(self.rows),
            "total_frames": self.frames,
            "total_tasks": len(self.tasks),
            "chunks_size": _CHUNK_FILES,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "fps": self.fps,
            "splits": {"train": f"0:{len(self.rows)}"},
            "data_path": DATA_PATH,
            "video_path": VIDEO_PATH if self.video else None,
            "features": features,
        }
