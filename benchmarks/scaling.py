"""How speed and compile time grow: `python -m benchmarks.scaling [--quick] [--json] [--save]`.

- `scaling.envs`: control steps a second of the whole environment with both cameras over the number
  of parallel environments, on 64 different scenes (accelerator: 64 to 16,384; CPU: 16 to 1,024).
- `scaling.scenes`: seconds to compile that program for batches of more and more scenes, all padded
  to one template: it must not grow.
- `scaling.slots`: the same for scenes of two, three and four object slots.
"""

from __future__ import annotations

from typing import Any

import jax

import vla_jax as vj
from benchmarks import common
from benchmarks.env import UNIT, make_world, ours
from generation.compile import SlotTemplate, slot_template
from generation.spec import SceneSpec
from sim.env import Env
from sim.scene_batch import SceneBatch
from vla_jax.api import build_batch, build_env
from vla_jax.demo import TRAIN_SENTENCES
from vla_jax.tokenizers import WordTokenizer

ON_CPU = jax.default_backend() == "cpu"
ENVS = (16, 64, 256, 1024) if ON_CPU else (64, 256, 1024, 4096, 16384)
SCENES = (8, 32, 128)
SLOTS = (2, 3, 4)
COMPILE_ENVS = 64 if ON_CPU else 1024
STEPS = 4


def rows(quick: bool = False) -> list[common.Row]:
    """All three kinds of rows."""
    return [*envs_rows(quick), *scenes_rows(quick), *slots_rows(quick)]


def envs_rows(quick: bool) -> list[common.Row]:
    """Control steps a second over the number of environments."""
    result = []
    for num_envs in ENVS[:2] if quick else ENVS:
        env, batch = make_world(num_envs, 8 if quick else 64)
        call, compile_s = ours(env, batch, STEPS)
        timing = common.measure(call, common.QUICK_RUNS)
        row = common.make_row(
            "scaling.envs",
            UNIT,
            num_envs * STEPS,
            timing,
            compile_s=compile_s,
            num_envs=num_envs,
            num_scenes=batch.num_scenes,
            backend=env.physics.name,
        )
        result.append(row)
    return result


def scenes_rows(quick: bool) -> list[common.Row]:
    """Seconds to compile over the number of scenes."""
    counts = SCENES[:2] if quick else SCENES
    scenes = vj.design(list(TRAIN_SENTENCES), n=counts[-1], seed=1)
    template = slot_template(scenes)
    return [
        _compile_row("scaling.scenes", scenes[:count], template, num_scenes=count)
        for count in counts
    ]


def slots_rows(quick: bool) -> list[common.Row]:
    """Seconds to compile over the number of object slots, each like the distractors' slot."""
    scenes = vj.design(list(TRAIN_SENTENCES), n=8, seed=1)
    slots = slot_template(scenes).slots
    result = []
    for count in SLOTS[:2] if quick else SLOTS:
        template = SlotTemplate((*slots, *(slots[-1],) * count)[:count])
        cut = [s.model_copy(update={"objects": s.objects[:count]}) for s in scenes]
        result.append(_compile_row("scaling.slots", cut, template, slots=count))
    return result


def _compile_row(
    name: str, scenes: list[SceneSpec], template: SlotTemplate, **more: Any
) -> common.Row:
    env, batch = _world(scenes, template)
    call, compile_s = ours(env, batch, STEPS)
    timing = common.measure(call, 3)
    return common.make_row(
        name,
        UNIT,
        COMPILE_ENVS * STEPS,
        timing,
        compile_s=compile_s,
        num_envs=COMPILE_ENVS,
        geoms=len(batch.geom_types),
        backend=env.physics.name,
        **more,
    )


def _world(scenes: list[SceneSpec], template: SlotTemplate) -> tuple[Env, SceneBatch]:
    tokenizer = WordTokenizer.from_phrases(p for s in scenes for p in s.task.paraphrases)
    env = build_env(COMPILE_ENVS, vj.EnvConfig())
    return env, build_batch(scenes, tokenizer, template=template)


if __name__ == "__main__":
    common.main("scaling", rows, (__doc__ or "").splitlines()[0])
