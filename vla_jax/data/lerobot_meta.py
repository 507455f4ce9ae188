"""What a LeRobot v3.0 dataset says of itself: `meta/info.json`, tasks and episodes, all checked.

Datasets come from strangers. Nothing here trusts a number, a name or a path before it is compared
with the rest; every complaint is a ValueError that names the file and what to do.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from vla_jax.data.lerobot_layout import (
    ACTION,
    INFO_PATH,
    STATE,
    TASKS_PATH,
    VERSION,
    VIDEO_PATH,
)
from vla_jax.data.parquet import MAX_ROWS, integers, read_table, texts

# Limits of what is believed at all.
_MAX_JSON = 64 * 2**20
_MAX_VECTOR = 4096
_MAX_TEXT = 2000


@dataclass(frozen=True)
class Span:
    """A stretch of a video file."""

    chunk: int
    file: int
    start: float  # s
    end: float  # s


@dataclass(frozen=True)
class EpisodeMeta:
    """Where an episode lies."""

    index: int
    length: int  # frames
    first: int  # global number of its first frame
    chunk: int  # of its data file
    file: int
    spans: dict[str, Span]  # by video key


@dataclass(frozen=True)
class LeRobotDataset:
    """A dataset whose metadata has been checked."""

    root: Path
    fps: float
    data_path: str
    video_path: str | None
    state_size: int
    cameras: dict[str, str]  # key → "video" or "image"; depth maps are left out
    tasks: dict[int, str]
    episodes: tuple[EpisodeMeta, ...]

    @property
    def frames(self) -> int:
        """Frames of all episodes."""
        return sum(episode.length for episode in self.episodes)

    def data_file(self, episode: EpisodeMeta) -> Path:
        """The parquet file with an episode's frames."""
        return self._file(self.data_path, episode.chunk, episode.file)

    def video_file(self, episode: EpisodeMeta, key: str) -> Path:
        """The MP4 file with an episode's pictures of a camera."""
        span = episode.spans[key]
        return self._file(self.video_path or VIDEO_PATH, span.chunk, span.file, key)

    def _file(self, template: str, chunk: int, file: int, key: str = "") -> Path:
        name = template.format(chunk_index=chunk, file_index=file, video_key=key)
        return inside(self.root, name, self.root / INFO_PATH)


def open_dataset(path: str | Path) -> LeRobotDataset:
    """Read and check the metadata of a LeRobot v3.0 dataset.

    Args:
        path: its folder, the one with `meta/info.json`.

    Raises:
        ValueError: something is missing, of another version or size, or disagrees with the rest.
    """
    root = Path(path)
    info_file = root / INFO_PATH
    info = _read_info(info_file)
    features = _field(info, info_file, "features", dict)
    episodes = _read_episodes(root, _videos(features))
    frames = sum(episode.length for episode in episodes)
    for name, found in (("total_frames", frames), ("total_episodes", len(episodes))):
        said = _field(info, info_file, name, int)
        if said != found:
            raise ValueError(
                f"{info_file} says {name} is {said}, meta/episodes holds {found}: the download is "
                "incomplete or damaged; fetch it again"
            )
    action = _vector(features, ACTION, info_file)
    if action != 7:
        raise ValueError(
            f"{info_file}: {ACTION} has {action} numbers, the policy's actions have 7 "
            "(displacement, rotation, gripper): convert the dataset's actions first"
        )
    return LeRobotDataset(
        root=root,
        fps=_fps(info, info_file),
        data_path=_template(info, info_file, "data_path", {"chunk_index", "file_index"}),
        video_path=_template(
            info, info_file, "video_path", {"video_key", "chunk_index", "file_index"}
        )
        if _videos(features)
        else None,
        state_size=_vector(features, STATE, info_file),
        cameras=_cameras(features),
        tasks=_read_tasks(root / TASKS_PATH),
        episodes=episodes,
    )


def inside(root: Path, name: str, source: Path) -> Path:
    """`root / name`, if it stays in the folder; `source` is the file that has the name."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in name or "\0" in name:
        raise ValueError(f"{source} points out of the dataset with {name!r}: do not use it")
    return root / parts


def _read_info(path: Path) -> dict[str, Any]:
    if not path.is_file():
        hint = "choose the folder that holds meta/info.json"
        raise ValueError(f"{path} is missing, so this is no LeRobot v3.0 dataset: {hint}")
    if path.stat().st_size > _MAX_JSON:
        raise ValueError(f"{path} has {path.stat().st_size} bytes: too large to be believed")
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}): fetch it again") from None
    version = info.get("codebase_version") if isinstance(info, dict) else None
    if not isinstance(version, str) or not re.fullmatch(r"v?3\.\d+(\.\d+)?", version):
        raise ValueError(
            f"{path} has codebase_version {version!r}, {VERSION} is read: convert older datasets "
            "with lerobot's convert_dataset_v21_to_v30"
        )
    return info


def _field(info: dict[str, Any], path: Path, name: str, kind: type) -> Any:
    value = info.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{path}: {name} is {value!r:.80}, it must be of type {kind.__name__}")
    return value


def _fps(info: dict[str, Any], path: Path) -> float:
    fps = info.get("fps")
    if not isinstance(fps, (int, float)) or isinstance(fps, bool) or not 0.01 <= fps <= 1000:
        raise ValueError(f"{path}: fps is {fps!r:.80}, it must be frames per second")
    return float(fps)


def _template(info: dict[str, Any], path: Path, name: str, fields: set[str]) -> str:
    """A path with known fields only; formatting a stranger's template could reach anything."""
    template = _field(info, path, name, str)
    found = re.findall(r"{([^{}]*)}", template)
    plain = re.sub(r"{[^{}]*}", "", template)
    good = all(re.fullmatch(r"(\w+)(:0?\d?d)?", f) and f.split(":")[0] in fields for f in found)
    if not good or "{" in plain or "}" in plain or len(template) > _MAX_TEXT:
        raise ValueError(f"{path}: {name} is {template!r:.200}, known fields are {sorted(fields)}")
    return template


def _shape(feature: Any, name: str, path: Path) -> tuple[int, ...]:
    shape = feature.get("shape") if isinstance(feature, dict) else None
    if not isinstance(shape, list) or not all(type(n) is int and 0 < n < 2**16 for n in shape):
        raise ValueError(
            f"{path}: feature {name} has shape {shape!r:.80}, a list of sizes is meant"
        )
    return tuple(shape)


def _vector(features: dict[str, Any], name: str, path: Path) -> int:
    if name not in features:
        raise ValueError(f"{path} has no feature {name!r}: it has {sorted(features)[:20]}")
    shape = _shape(features[name], name, path)
    if len(shape) != 1 or shape[0] > _MAX_VECTOR:
        raise ValueError(f"{path}: feature {name} has shape {list(shape)}, a vector is meant")
    return shape[0]


def _cameras(features: dict[str, Any]) -> dict[str, str]:
    """Keys of the colour cameras and how they are stored."""
    found = {}
    for key, feature in features.items():
        kind = feature.get("dtype") if isinstance(feature, dict) else None
        notes = [feature.get(n) for n in ("info", "video_info")] if kind else []
        depth = any(
            isinstance(note, dict) and (note.get("is_depth_map") or note.get("video.is_depth_map"))
            for note in notes
        )
        if kind in ("video", "image") and not depth:
            found[key] = kind
    return found


def _videos(features: dict[str, Any]) -> list[str]:
    return [key for key, kind in _cameras(features).items() if kind == "video"]


def _read_tasks(path: Path) -> dict[int, str]:
    """Task texts by number. The text is the table's index: pandas names its column in many ways."""
    table = read_table(path)
    named = texts(table)
    if "task_index" not in table.column_names or not named:
        raise ValueError(
            f"{path} has columns {table.column_names}: a text and task_index are meant"
        )
    numbers = integers(table, "task_index", path).tolist()
    words = table.column("task" if "task" in named else named[0]).to_pylist()
    tasks = dict(zip(numbers, words, strict=True))
    if len(tasks) < len(numbers) or any(not t or len(t) > _MAX_TEXT for t in tasks.values()):
        raise ValueError(f"{path} has empty, endless or ambiguous tasks: repair it")
    return tasks


def _read_episodes(root: Path, videos: list[str]) -> tuple[EpisodeMeta, ...]:
    files = sorted((root / "meta" / "episodes").glob("chunk-*/file-*.parquet"))
    if not files:
        raise ValueError(f"{root / 'meta' / 'episodes'} holds no episodes: download all of it")
    episodes = [episode for path in files for episode in _episodes_of(path, videos)]
    episodes.sort(key=lambda episode: episode.index)
    first = 0
    for number, episode in enumerate(episodes):
        if (episode.index, episode.first) != (number, first):
            raise ValueError(
                f"{root / 'meta' / 'episodes'}: episode {episode.index} begins at frame "
                f"{episode.first}, expected episode {number} at {first}: episodes are missing or "
                "doubled; fetch the dataset again"
            )
        first += episode.length
    return tuple(episodes)


def _episodes_of(path: Path, videos: list[str]) -> list[EpisodeMeta]:
    names = ["episode_index", "length", "data/chunk_index", "data/file_index"]
    names += ["dataset_from_index", "dataset_to_index"]
    places = [f"videos/{key}/{part}_index" for key in videos for part in ("chunk", "file")]
    times = [f"videos/{key}/{end}_timestamp" for key in videos for end in ("from", "to")]
    table = read_table(path, names + places + times)
    whole = {name: integers(table, name, path).tolist() for name in names + places}
    seconds = {name: table.column(name).to_pylist() for name in times}
    episodes = []
    for row, (index, length) in enumerate(zip(whole[names[0]], whole["length"], strict=True)):
        first, last = whole["dataset_from_index"][row], whole["dataset_to_index"][row]
        numbers = [whole[name][row] for name in names + places]
        if min(numbers) < 0 or not 0 < length <= MAX_ROWS or last - first != length:
            raise ValueError(
                f"{path}: episode {index} of {length} frames from {first} to {last} makes no sense"
            )
        spans = {}
        for key in videos:
            start, end = (seconds[f"videos/{key}/{name}_timestamp"][row] for name in ("from", "to"))
            if start is None or end is None or not math.isfinite(start + end):
                raise ValueError(f"{path}: episode {index} lies from {start} to {end} s of {key}")
            chunk, file = (whole[f"videos/{key}/{name}_index"][row] for name in ("chunk", "file"))
            spans[key] = Span(chunk, file, start, end)
        chunk, file = whole["data/chunk_index"][row], whole["data/file_index"][row]
        episodes.append(EpisodeMeta(index, length, first, chunk, file, spans))
    return episodes
