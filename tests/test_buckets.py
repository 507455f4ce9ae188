"""Buckets: every scene finds its place, padding shrinks, and each bucket compiles once."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vla_jax as vj
from generation import SceneSpec
from generation.compile import geom_parts, slot_template
from sim.buckets import Bucket, bucket_scenes, find_bucket
from sim.episode import draw_episode
from vla_jax.api import build_batch, build_env
from vla_jax.tokenizers import WordTokenizer

pytestmark = pytest.mark.usefixtures("quick_compilation")


def shortened(scene: SceneSpec, objects: int) -> SceneSpec:
    """The scene with its first objects only."""
    return scene.model_copy(update={"objects": scene.objects[:objects]})


@pytest.fixture(scope="module")
def scenes() -> list[SceneSpec]:
    """Twelve scenes of two or three objects, of many shapes."""
    designed = vj.design("put something in a container", n=12, seed=11)
    return [shortened(scene, 2 + i % 2) for i, scene in enumerate(designed)]


def padded_geoms(buckets: tuple[Bucket, ...]) -> int:
    return sum(len(b.scenes) * sum(len(slot) for slot in b.template.slots) for b in buckets)


def test_every_scene_is_in_one_bucket_that_it_fits(scenes):
    buckets = bucket_scenes(scenes, buckets=3)
    assert len(buckets) <= 3
    assert sorted(i for bucket in buckets for i in bucket.scenes) == list(range(len(scenes)))
    for bucket in buckets:
        for i in bucket.scenes:
            slots = bucket.template.slots
            assert len(scenes[i].objects) <= len(slots)
            for thing, keys in zip(scenes[i].objects, slots, strict=False):
                geom_parts(thing.parts, keys)  # raises if a part finds no place


def test_more_buckets_pad_less(scenes):
    """From one template for all down to no padding at all."""
    sizes = [padded_geoms(bucket_scenes(scenes, buckets=b)) for b in (1, 2, 4, 12)]
    assert sizes[0] == len(scenes) * sum(len(slot) for slot in slot_template(scenes).slots)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[1] > sizes[-1]


def test_a_new_scene_finds_the_smallest_bucket(scenes):
    buckets = bucket_scenes(scenes, buckets=2)
    for bucket in buckets:
        for i in bucket.scenes:
            assert find_bucket(scenes[i], buckets) <= buckets.index(bucket)
    big = scenes[1]
    crowded = big.model_copy(update={"objects": big.objects + big.objects})
    with pytest.raises(ValueError, match=f"scene {crowded.id} fits no bucket"):
        find_bucket(crowded, buckets)


def test_budgets_are_kept(scenes):
    with pytest.raises(ValueError, match="no scenes"):
        bucket_scenes([])
    with pytest.raises(ValueError, match=f"scene {scenes[1].id} has 3 objects, the slot budget"):
        bucket_scenes(scenes, max_objects=2)
    with pytest.raises(ValueError, match="parts .* the budget is 5"):
        bucket_scenes(scenes, max_geoms=5)
    with pytest.raises(ValueError, match="buckets is 0"):
        bucket_scenes(scenes, buckets=0)


def test_rows_that_only_make_room_are_never_drawn(scenes):
    own = scenes[:3]
    tokenizer = WordTokenizer.from_phrases(p for s in own for p in s.task.paraphrases)
    batch = build_batch(own, tokenizer, backend="native", rows=16)
    assert batch.num_scenes == 16 and int(batch.count) == 3
    keys = jax.random.split(jax.random.key(0), 64)
    rig = build_env(1, vj.EnvConfig()).rig
    ranges = vj.Randomization(textures=1.0)
    episode = jax.jit(lambda b, k: draw_episode(rig, b, ranges, k))(batch, keys)
    assert sorted(set(np.asarray(episode.scene).tolist())) == [0, 1, 2]
    assert np.asarray(episode.backdrop).max() <= 2
    assert (np.asarray(episode.backdrop) != np.asarray(episode.scene)).all()
    with pytest.raises(ValueError, match="room for 2 scenes, but the batch has 3"):
        build_batch(own, tokenizer, backend="native", rows=2)


@pytest.mark.slow
def test_each_bucket_is_traced_once_whatever_scenes_come(scenes):
    """New scenes, swaps by index and resets under scan on the device trace nothing further."""
    tokenizer = WordTokenizer.from_phrases(p for s in scenes for p in s.task.paraphrases)
    buckets = bucket_scenes(scenes, buckets=2)
    assert len(buckets) == 2
    settings = vj.EnvConfig(episode_steps=4, image_size=16, wrist_size=16)
    env = build_env(2, settings, backend="native")
    traces = []

    @jax.jit
    def play(batch, key, scene):
        traces.append(len(batch.template))
        state, _ = env.reset_to(batch, key, scene)

        def step(state, _):
            state, out = env.step(batch, state, jnp.zeros((2, 7)))
            return state, (state.scene, out.truncated)

        return jax.lax.scan(step, state, length=9)[1]  # through two automatic resets

    for bucket in buckets:
        for part in (bucket.scenes[:2], bucket.scenes[-3:]):
            own = [scenes[i] for i in part]
            shared = {"template": bucket.template, "rows": 4}
            batch = build_batch(own, tokenizer, backend="native", **shared)
            for seed, index in ((0, [0, 1]), (1, [1, 1])):
                scene, over = play(batch, jax.random.key(seed), jnp.array(index, jnp.int32))
                assert np.asarray(over).sum() == 4
                assert np.asarray(scene).max() < len(own)
    assert len(traces) == 2
