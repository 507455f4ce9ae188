"""Clients of 3D services against a real server and its faults, and the watched folder."""

from __future__ import annotations

import base64
import email.utils
import threading
import time

import pytest
import trimesh

from generation import providers
from generation.assets.importing.asset import AssetError
from generation.assets.intake.sandbox import Result
from generation.assets.store import AssetLibrary
from generation.providers import (
    IMAGE,
    PROMPT,
    SEED,
    GradioProvider,
    HunyuanProvider,
    WatchedFolder,
    check_glb,
    generate_asset,
)
from generation.services.fetch import Limits, ProviderError
from tests.asset_samples import glb, sample_asset
from tests.model_server import BOX, serving

QUICK = Limits(total_s=5.0, silence_s=0.3, tries=3, backoff_s=0.01)
PNG = b"\x89PNG and so on"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server():
    with serving() as running:
        yield running


def hunyuan(server, **changes):
    return HunyuanProvider(server.url, limits=changes.pop("limits", QUICK), **changes)


# --------------------------------------------------------------------- Hunyuan3D


def test_a_model_from_a_text_and_from_a_picture(server):
    provider = hunyuan(server, token="secret", face_count=5000)
    (model,) = provider("teapot", "a blue teapot", seed=7)
    assert model.glb == BOX and "seed 7" in model.source
    list(provider("teapot", image=PNG))
    (_, path, first), (_, _, second) = server.seen
    assert path == "/generate" and first["text"] == "a blue teapot" and first["seed"] == 7
    assert first["face_count"] == 5000 and first["type"] == "glb" and "image" not in first
    assert base64.b64decode(second["image"]) == PNG and "text" not in second
    assert server.headers_seen[0]["Authorization"] == "Bearer secret"
    assert "secret" not in repr(provider)


def test_a_queued_job_is_polled_until_it_is_done(server):
    (model,) = hunyuan(server, queued=True, poll_s=0.01)("teapot")
    assert model.glb == BOX
    assert [path for _, path, _ in server.seen] == ["/send"] + ["/status/a-b-c"] * 3


def test_a_job_that_never_ends_is_given_up(server):
    server.polls = 10**9
    limits = Limits(total_s=0.4, backoff_s=0.01)
    with pytest.raises(ProviderError, match=r"did not deliver within 0\.4 s"):
        list(hunyuan(server, queued=True, poll_s=0.05, limits=limits)("teapot"))


@pytest.mark.parametrize("fault", [429, 500, 503, "silence", "truncated", "cut", "drop"])
def test_passing_faults_are_tried_again(server, fault):
    server.faults.extend([fault, fault])
    (model,) = hunyuan(server)("teapot")
    assert model.glb == BOX and len(server.seen) == 3


@pytest.mark.parametrize("fault", [429, 500, "silence", "truncated", "cut", "drop"])
def test_faults_that_stay_are_reported_with_the_number_of_tries(server, fault):
    server.faults.extend([fault] * 5)
    with pytest.raises(ProviderError, match=r"\(3 tries\)") as caught:
        list(hunyuan(server)("teapot"))
    assert "\n" not in str(caught.value) and len(server.seen) == 3


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (404, "answered 404 .*something broke"),
        (401, "answered 401"),
        (302, "answered 302"),
        ("html", "expected a GLB file, got '<html>"),
        ("json", "expected a GLB file, got .*HIGH TRAFFIC"),
        ("endless", "sent more than 256 KiB"),
        ("bomb", "compressed form"),
    ],
)
def test_lasting_faults_are_not_tried_again(server, fault, words):
    server.faults.append(fault)
    limits = Limits(total_s=5.0, max_bytes=1 << 18, tries=3, backoff_s=0.01)
    with pytest.raises(ProviderError, match=words):
        list(hunyuan(server, limits=limits)("teapot"))
    assert len(server.seen) == 1


@pytest.mark.parametrize("fault", ["drip", "dripping headers"])
def test_an_answer_that_drips_does_not_outlast_the_deadline(server, fault):
    server.faults.append(fault)
    begin = time.monotonic()
    with pytest.raises(ProviderError, match=r"did not deliver within 0\.5 s"):
        list(hunyuan(server, limits=Limits(total_s=0.5, silence_s=5.0))("teapot"))
    assert time.monotonic() - begin < 15.0  # the headers alone take 21 s


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_kept_to(server, form):
    date = email.utils.formatdate(time.time() + 2, usegmt=True)
    server.faults.append((429, "0.3" if form == "seconds" else date))
    begin = time.monotonic()
    assert len(list(hunyuan(server)("teapot"))) == 1
    assert time.monotonic() - begin > 0.25


def test_a_wait_beyond_the_deadline_is_refused_at_once(server):
    server.faults.append((429, "3600"))
    begin = time.monotonic()
    with pytest.raises(ProviderError, match=r"asks to wait 3600 s, beyond the limit of 5 s"):
        list(hunyuan(server)("teapot"))
    assert time.monotonic() - begin < 600.0


@pytest.mark.parametrize("fault", ["broken json", "html"])
def test_wrong_json_says_what_came(server, fault):
    server.faults.append(fault)
    with pytest.raises(ProviderError, match="answered no JSON but"):
        list(hunyuan(server, queued=True)("teapot"))
    server.faults.append("json")
    with pytest.raises(ProviderError, match="gave no uid but"):
        list(hunyuan(server, queued=True)("teapot"))


def test_a_server_that_is_not_there():
    limits = Limits(total_s=2.0, tries=2, backoff_s=0.01)
    with pytest.raises(ProviderError, match=r"127\.0\.0\.1:9/generate.*2 tries"):
        list(HunyuanProvider("http://127.0.0.1:9", limits=limits)("teapot"))
    with pytest.raises(ValueError, match="must begin with http"):
        list(HunyuanProvider("localhost:8081")("teapot"))
    with pytest.raises(ValueError, match="tries must be at least 1"):
        Limits(tries=0)


# --------------------------------------------------------------------- Gradio


def gradio(server, **changes):
    inputs = changes.pop("inputs", (PROMPT, SEED, 0.5))
    return GradioProvider(server.url, "/generate", inputs, limits=QUICK, **changes)


def test_a_gradio_endpoint_is_called_followed_and_its_file_fetched(server):
    server.events = [("generating", "[null]"), ("heartbeat", "null")]
    (model,) = gradio(server)("cup", "a green cup", seed=3)
    assert model.glb == BOX
    methods = [(method, path) for method, path, _ in server.seen]
    assert methods == [
        ("POST", "/gradio_api/call/generate"),
        ("GET", "/gradio_api/call/generate/e1"),
        # The file by its path on this server, not from the address that the answer names.
        ("GET", "/gradio_api/file=/tmp/gradio/a%20b/model.glb"),
    ]
    assert server.seen[0][2] == {"data": ["a green cup", 3, 0.5]}


def test_a_gradio_endpoint_that_takes_a_picture(server):
    (model,) = gradio(server, inputs=(IMAGE, SEED))("cup", image=PNG)
    assert model.glb == BOX and server.seen[0][1] == "/gradio_api/upload"
    assert PNG in server.seen[0][2]
    sent = server.seen[1][2]["data"][0]
    assert sent == {"path": "/tmp/gradio/input.png", "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(ProviderError, match="needs a picture"):
        list(gradio(server, inputs=(IMAGE,))("cup"))


def test_gradio_jobs_that_fail_say_so(server):
    server.events = [("error", '"out of memory"')]
    with pytest.raises(ProviderError, match="failed: .*out of memory"):
        list(gradio(server)("cup"))
    server.events, server.outputs = [], ["done", {"value": 3}]
    with pytest.raises(ProviderError, match="delivered no GLB file"):
        list(gradio(server)("cup"))
    server.faults.extend([None, "html"])
    with pytest.raises(ProviderError, match="ended without a result"):
        list(gradio(server)("cup"))


# --------------------------------------------------------------------- folder


def test_a_watched_folder_takes_whole_files_and_each_once(tmp_path):
    other = glb(trimesh.creation.box((0.1, 0.1, 0.1)))
    (tmp_path / "a.glb").write_bytes(BOX)
    (tmp_path / "b.glb").write_bytes(other[:-100])  # still being written
    (tmp_path / "aa.glb").write_bytes(BOX)  # the same under another name
    (tmp_path / "c.glb.part").write_bytes(BOX)
    (tmp_path / ".d.glb").write_bytes(BOX)
    (tmp_path / "e.glb").write_bytes(b"<html>")
    folder = WatchedFolder(tmp_path, timeout_s=0.3, settle_s=0.05, poll_s=0.02)
    models = folder("cup")
    assert next(models).source == "a.glb"

    def finish():
        time.sleep(0.1)
        (tmp_path / "b.glb").write_bytes(other)

    writer = threading.Thread(target=finish)
    writer.start()
    assert next(models).source == "b.glb"
    writer.join()
    with pytest.raises(ProviderError, match=r"no new GLB file .* not complete or no GLB: .*e\.glb"):
        next(models)
    with pytest.raises(ProviderError, match="no new GLB file"):
        next(folder("cup"))


def test_a_folder_that_does_not_exist_yet(tmp_path):
    late = tmp_path / "late"

    def drop():
        time.sleep(0.05)
        late.mkdir()
        (late / "x.GLB").write_bytes(BOX)

    writer = threading.Thread(target=drop)
    writer.start()
    models = WatchedFolder(late, timeout_s=3, settle_s=0.02, poll_s=0.02)("cup")
    assert next(models).glb == BOX
    writer.join()


@pytest.mark.parametrize("cut", [0, 3, 15, 19, 40])
def test_glb_files_are_checked_whole(cut):
    with pytest.raises(ProviderError, match="cut off"):
        check_glb(BOX[:cut])
    assert check_glb(BOX) is BOX


# --------------------------------------------------------------------- assets


def test_a_generated_asset_goes_through_the_import_with_its_licence(server, tmp_path, monkeypatch):
    orders = []

    def run_jobs(jobs, *, bounds=None):
        (job,) = jobs
        orders.append((job, job.path.read_bytes()))
        if len(orders) == 1:
            yield Result(job, 0.1, reason="no triangles in the file")
        else:
            yield Result(job, 0.1, sample_asset("teapot", licence=job.options["licence"]))

    monkeypatch.setattr(providers, "run_jobs", run_jobs)
    server.outputs = [[{"path": "/tmp/a.glb"}, {"path": "/tmp/b.glb"}]]
    library = AssetLibrary(tmp_path)
    provider = gradio(server, licence="tencent-hunyuan3d")
    asset = generate_asset("teapot", provider, library, seed=4, size=0.2)
    assert library.record(asset).training == "forbidden"
    job, content = orders[1]
    assert content == BOX and not job.path.exists()
    assert job.options["noun"] == "teapot" and job.options["size"] == 0.2
    assert job.options["source"].endswith("/generate seed 4")
    orders.clear()
    with pytest.raises(AssetError, match="no usable model of a teapot: no triangles"):
        generate_asset("teapot", hunyuan(server), library)
    server.faults.append(404)
    with pytest.raises(ProviderError, match="404"):
        generate_asset("teapot", hunyuan(server), library)
