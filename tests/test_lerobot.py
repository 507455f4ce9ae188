"""LeRobot datasets: what is written is read back, and what does not add up is refused by name."""

from __future__ import annotations

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from vla_jax.data import optional, video
from vla_jax.data.episode import Episode, action_chunks

arrow = pytest.importorskip("pyarrow")
pytest.importorskip("av")

import pyarrow.parquet as parquet  # noqa: E402

from vla_jax.data.lerobot import load_demonstrations, open_dataset, read_episodes  # noqa: E402
from vla_jax.data.lerobot_write import FIXED_CAMERA, WRIST_CAMERA, write_lerobot  # noqa: E402
from vla_jax.data.video import VideoReader, fit  # noqa: E402
from vla_jax.tokenizers import WordTokenizer  # noqa: E402

DATA = "data/chunk-000/file-000.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"


def make_episodes() -> list[Episode]:
    """Four episodes of smooth, moving pictures; the last changes its task on the way."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32]
    episodes = []
    for number, length in enumerate((5, 7, 3, 6)):
        time = np.arange(length)[:, None, None]
        layers = [3 * x + 10 * time, 4 * y + 8 * time, x + y + 30 * number + 0 * time]
        image = np.clip(np.stack(layers, -1), 0, 255).astype(np.uint8)
        tasks = ["Put the cup in the bowl."] * length
        if number == 3:
            tasks[3:] = ["lift it"] * 3
        state = rng.normal(size=(length, 5)).astype(np.float32)
        action = rng.uniform(-1.0, 1.0, (length, 7)).astype(np.float32)
        episodes.append(Episode(tuple(tasks), image, image[:, ::2, ::2], state, action))
    return episodes


@pytest.fixture(scope="module")
def episodes():
    return make_episodes()


@pytest.fixture(scope="module", params=["video", "image"])
def written(request, episodes, tmp_path_factory):
    """A dataset in two data files, and whether its pictures are exact."""
    root = tmp_path_factory.mktemp("lerobot") / "set"
    write_lerobot(root, episodes, 5, video=request.param == "video", file_frames=12)
    return root, request.param == "image"


@pytest.fixture
def copy(written, tmp_path):
    """A copy of the dataset to damage."""
    return shutil.copytree(written[0], tmp_path / "copy")


def edit_info(root, **changes) -> None:
    info = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps(info | changes))


def edit_table(path, name, change) -> None:
    """Replace a column of a parquet file by change(list of its values)."""
    table = parquet.read_table(path)
    values = arrow.array(change(table.column(name).to_pylist()))
    index = table.column_names.index(name)
    parquet.write_table(table.set_column(index, name, values), path)


# --------------------------------------------------------------------- round trip


def test_round_trip(written, episodes):
    root, exact = written
    dataset = open_dataset(root)
    assert (dataset.fps, dataset.state_size, dataset.frames) == (5.0, 5, 21)
    assert len(list((root / "data").rglob("*.parquet"))) == 2
    found = list(read_episodes(dataset, 32, 16))
    assert [e.tasks for e in found] == [e.tasks for e in episodes]
    for before, after in zip(episodes, found, strict=True):
        np.testing.assert_array_equal(after.state, before.state)
        np.testing.assert_array_equal(after.action, before.action)
        for name in ("image", "wrist"):
            was, now = (getattr(e, name).astype(int) for e in (before, after))
            if exact:
                np.testing.assert_array_equal(now, was)
            else:
                # A frame off by one would differ by 6 and more.
                assert np.abs(now - was).mean() < 3.0


def test_metadata_has_what_lerobot_reads(written):
    """The column names and shapes of LeRobot's own files."""
    root, exact = written
    info = json.loads((root / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0" and info["splits"] == {"train": "0:4"}
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (4, 21, 2)
    assert info["features"][FIXED_CAMERA]["dtype"] == ("image" if exact else "video")
    rows = parquet.read_table(root / EPISODES).to_pylist()
    assert [row["length"] for row in rows] == [5, 7, 3, 6]
    assert [row["dataset_from_index"] for row in rows] == [0, 5, 12, 15]
    assert [row["data/file_index"] for row in rows] == [0, 0, 1, 1]
    assert rows[3]["tasks"] == ["Put the cup in the bowl.", "lift it"]
    if not exact:
        assert rows[1][f"videos/{WRIST_CAMERA}/from_timestamp"] == 1.0
        assert rows[3][f"videos/{WRIST_CAMERA}/from_timestamp"] == pytest.approx(0.6)
        assert rows[3][f"videos/{WRIST_CAMERA}/to_timestamp"] == pytest.approx(1.8)
    stats = json.loads((root / "meta/stats.json").read_text())
    actions = np.concatenate([e.action for e in make_episodes()])
    np.testing.assert_allclose(stats["action"]["mean"], actions.mean(0), atol=1e-6)
    np.testing.assert_allclose(stats["action"]["std"], actions.std(0), atol=1e-6)
    assert np.asarray(stats[FIXED_CAMERA]["mean"]).shape == (3, 1, 1)
    assert np.asarray(rows[0][f"stats/{FIXED_CAMERA}/max"]).shape == (3, 1, 1)


def test_tasks_are_the_index_for_pandas(written):
    pandas = pytest.importorskip("pandas")
    tasks = pandas.read_parquet(written[0] / "meta/tasks.parquet")
    assert tasks.loc["lift it"].task_index == 1 and list(tasks.columns) == ["task_index"]


def test_demonstrations(written, episodes):
    """One sample a frame; chunks go on within the episode and then repeat its last action."""
    tokenizer = WordTokenizer.from_phrases(["put the cup in the bowl", "lift it"])
    dataset = open_dataset(written[0])
    sizes = {"image_size": 16, "wrist_size": 8, "chunk": 4, "instruction_length": 8}
    data = load_demonstrations(dataset, tokenizer, **sizes)
    assert data.obs.image.shape == (21, 16, 16, 3) and data.obs.wrist.shape == (21, 8, 8, 3)
    np.testing.assert_array_equal(data.action[1], episodes[0].action[1:5])
    np.testing.assert_array_equal(data.action[3, 1:], np.stack([episodes[0].action[4]] * 3))
    np.testing.assert_allclose(data.has_action[:5], [1.0, 1.0, 0.75, 0.5, 0.25])
    assert data.source[:, 1].tolist() == [0] * 5 + [1] * 7 + [2] * 3 + [3] * 6
    expected = tokenizer.encode("lift it", 8)
    np.testing.assert_array_equal(data.obs.instruction[-1], expected)
    assert (
        data.obs.instruction[0].tolist() == tokenizer.encode("put the cup in the bowl", 8).tolist()
    )
    with pytest.raises(ValueError, match="has 6 words"):
        load_demonstrations(dataset, tokenizer, **sizes | {"instruction_length": 5})


def test_tokenizers_get_the_tasks_as_they_are(written):
    """SentencePiece tells cases and punctuation apart; what to leave out is the tokenizer's."""
    given = set()

    class Spy(WordTokenizer):
        def encode(self, phrase, length):
            given.add(phrase)
            return super().encode(phrase, length)

    sizes = {"image_size": 8, "wrist_size": 8, "chunk": 2, "instruction_length": 8}
    load_demonstrations(open_dataset(written[0]), Spy(()), **sizes)
    assert given == {"Put the cup in the bowl.", "lift it"}


def test_chunks_of_two_frames():
    chunks, padded = action_chunks(np.array([[1.0], [2.0]]), 3)
    assert chunks[..., 0].tolist() == [[1, 2, 2], [2, 2, 2]]
    assert padded.tolist() == [[False, False, True], [False, True, True]]


def test_one_camera_leaves_the_wrist_grey(written):
    dataset = open_dataset(written[0])
    episode = next(iter(read_episodes(dataset, 32, 16, (WRIST_CAMERA, None))))
    assert (episode.wrist == 128).all() and episode.image.std() > 10.0
    with pytest.raises(ValueError, match="no camera 'left'"):
        next(iter(read_episodes(dataset, 32, 16, ("left", None))))


def test_video_out_of_order(episodes, tmp_path):
    """Jumping back and forth in a file finds the same frames as reading on."""
    write_lerobot(tmp_path / "set", episodes, 5)
    path = tmp_path / "set" / f"videos/{FIXED_CAMERA}/chunk-000/file-000.mp4"
    reader = VideoReader(32, 5.0)
    whole = reader.read(path, 0.0, 21)
    np.testing.assert_array_equal(reader.read(path, 3.0, 4), whole[15:19])
    np.testing.assert_array_equal(reader.read(path, 1.0, 7), whole[5:12])
    np.testing.assert_array_equal(reader.read(path, 2.4, 3), whole[12:15])
    with pytest.raises(ValueError, match="no frame at 4.200 s"):
        reader.read(path, 4.0, 3)
    reader.close()


def test_fit_keeps_proportions():
    found = fit(Image.new("RGB", (40, 20), (200, 100, 50)), 20)
    assert (found[:5] == 0).all() and (found[15:] == 0).all()
    assert (found[5:15] == (200, 100, 50)).all()


# --------------------------------------------------------------------- refusals


def everything(root) -> None:
    for _ in read_episodes(open_dataset(root), 16, 8):
        pass


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"codebase_version": "v2.1"}, "convert_dataset_v21_to_v30"),
        ({"codebase_version": None}, "codebase_version None"),
        ({"fps": 0}, "fps is 0"),
        ({"total_frames": 22}, "total_frames is 22, meta/episodes holds 21"),
        ({"total_episodes": True}, "total_episodes is True"),
        ({"data_path": "{chunk_index.__class__}"}, "data_path"),
        ({"data_path": "../../{file_index}"}, "points out of the dataset"),
        ({"data_path": "/etc/passwd"}, "points out of the dataset"),
        ({"data_path": "data/{file_index:999999999d}"}, "data_path"),
        ({"features": []}, "features"),
        ({"features": {}}, "no feature 'action'"),
    ],
)
def test_bad_info(copy, changes, hint):
    edit_info(copy, **changes)
    with pytest.raises(ValueError, match=hint):
        everything(copy)


def test_bad_shapes(copy):
    info = json.loads((copy / "meta/info.json").read_text())
    for shape, hint in (([6], "have 7"), ([7, 1], "a vector"), ([-7], "list of sizes")):
        info["features"]["action"]["shape"] = shape
        edit_info(copy, features=info["features"])
        with pytest.raises(ValueError, match=hint):
            open_dataset(copy)


@pytest.mark.parametrize(
    "name",
    ["meta/info.json", "meta/tasks.parquet", EPISODES, DATA, "data/chunk-000/file-001.parquet"],
)
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_missing_and_damaged_files(copy, name, damage):
    if damage == "missing":
        (copy / name).unlink()
    else:
        (copy / name).write_bytes((copy / name).read_bytes()[:-9])
    with pytest.raises(ValueError, match="is missing|no readable|damaged|meta/episodes holds"):
        everything(copy)


@pytest.mark.parametrize(
    ("name", "column", "change", "hint"),
    [
        (EPISODES, "length", lambda v: [v[0] + 1, *v[1:]], "makes no sense"),
        (EPISODES, "episode_index", lambda v: [0, 0, 2, 3], "expected episode 1"),
        (EPISODES, "dataset_from_index", lambda v: [-5, *v[1:]], "makes no sense"),
        (EPISODES, "data/file_index", lambda v: [0, 0, 0, 1], "the metadata expects 15"),
        (DATA, "index", lambda v: [9, *v[1:]], "the metadata expects 12"),
        (DATA, "episode_index", lambda v: v[::-1], "mixed up"),
        (DATA, "timestamp", lambda v: [t * 2 for t in v], "5 frames a second"),
        (DATA, "task_index", lambda v: [7] * len(v), "does not know"),
        (DATA, "task_index", lambda v: [0.5] * len(v), "whole numbers"),
        (DATA, "action", lambda v: [[1.0] * 6, *v[1:]], "do not have 7"),
        (DATA, "action", lambda v: ["up"] * len(v), "7 numbers a row"),
        (DATA, "observation.state", lambda v: [[float("nan")] * 5, *v[1:]], "row 0 is not finite"),
    ],
)
def test_tables_that_disagree(copy, name, column, change, hint):
    edit_table(copy / name, column, change)
    with pytest.raises(ValueError, match=hint):
        everything(copy)


def test_actions_out_of_range(episodes, tmp_path):
    wild = episodes[0]._replace(action=3.0 * np.ones((5, 7), np.float32))
    write_lerobot(tmp_path / "set", [wild], 5, video=False)
    with pytest.raises(ValueError, match="reach 3"):
        load_demonstrations(
            open_dataset(tmp_path / "set"),
            WordTokenizer(()),
            image_size=8,
            wrist_size=8,
            chunk=2,
            instruction_length=8,
        )


@pytest.mark.parametrize("written", ["video"], indirect=True)
def test_video_that_lacks_frames(copy):
    path = copy / f"videos/{FIXED_CAMERA}/chunk-000/file-001.mp4"
    other = copy / f"videos/{WRIST_CAMERA}/chunk-000/file-000.mp4"
    edit_table(
        copy / EPISODES, f"videos/{FIXED_CAMERA}/from_timestamp", lambda v: [0.0, 1.0, 0, 90.0]
    )
    with pytest.raises(ValueError, match="no frame at 90"):
        everything(copy)
    path.write_text("no video")
    with pytest.raises(ValueError, match="cannot be read as a video"):
        everything(copy)
    other.unlink()
    with pytest.raises(ValueError, match="is missing"):
        everything(copy)


@pytest.mark.parametrize("written", ["image"], indirect=True)
def test_pictures_in_tables(copy):
    """Files that a row names instead of bytes are read, within the folder only."""
    rows = parquet.read_table(copy / DATA).column(FIXED_CAMERA).to_pylist()
    (copy / "shot.png").write_bytes(rows[0]["bytes"])
    for path, hint in (("shot.png", None), ("../shot.png", "points out"), ("no.png", "is missing")):
        named = [{"bytes": None, "path": path}] * len(rows)
        edit_table(copy / DATA, FIXED_CAMERA, lambda _, named=named: named)
        if hint is None:
            everything(copy)
        else:
            with pytest.raises(ValueError, match=hint):
                everything(copy)
    junk = [{"bytes": b"junk", "path": None}] * len(rows)
    edit_table(copy / DATA, FIXED_CAMERA, lambda _: junk)
    with pytest.raises(ValueError, match="no readable picture"):
        everything(copy)


def test_huge_picture_is_not_decoded(monkeypatch):
    monkeypatch.setattr(video, "MAX_PIXELS", 99)
    with pytest.raises(ValueError, match="10 x 10 pixels"):
        video.decode_image(video.encode_png(np.zeros((10, 10, 3), np.uint8)), 8, "a picture")


def test_other_formats_are_not_decoded():
    """Pictures are strangers': only what datasets hold is let near a decoder."""
    picture, data = Image.new("RGB", (8, 8), (9, 9, 9)), {}
    for name in ("PNG", "JPEG", "WEBP", "BMP", "TIFF"):
        picture.save(out := io.BytesIO(), name)
        data[name] = out.getvalue()
    for name in ("PNG", "JPEG", "WEBP"):
        assert video.decode_image(data[name], 8, "a picture").shape == (8, 8, 3)
    for name in ("BMP", "TIFF"):
        with pytest.raises(ValueError, match="a picture is no readable picture"):
            video.decode_image(data[name], 8, "a picture")


def test_missing_package_is_named(monkeypatch):
    def fail(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(optional.importlib, "import_module", fail)
    with pytest.raises(ValueError, match=r"pip install 'vla-jax\[lerobot\]'"):
        optional.need("av")


def test_writer_refuses(episodes, tmp_path):
    first = episodes[0]
    cases = [
        ([], "no episodes"),
        ([first._replace(state=first.state[:3])], "frames in its parts"),
        ([first, first._replace(state=first.state[:, :3])], "has shapes"),
        ([first._replace(action=np.full((5, 7), np.nan))], "NaN"),
        ([first._replace(image=first.image[:, :31])], "sides are even"),
    ]
    for number, (given, hint) in enumerate(cases):
        with pytest.raises(ValueError, match=hint):
            write_lerobot(tmp_path / str(number), given, 5)
        assert not (tmp_path / str(number) / "meta/info.json").exists()
    with pytest.raises(ValueError, match=r"fps is 2.5"):
        write_lerobot(tmp_path / "x", [first], 2.5)  # type: ignore[arg-type]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    with pytest.raises(FileExistsError, match="not empty"):
        write_lerobot(tmp_path / "full", [first], 5)
