"""The whole pipeline at laptop size: sentences → scenes → baseline → PPO → evaluation → report.

Every stage leaves a file when it is done, so a stopped demo continues where it was; within the long
stage, fine-tuning, it continues from the last checkpoint to the bit.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from generation.compile import slot_template
from generation.designer import design
from generation.spec import SceneSpec
from generation.store import load_scenes, save_scenes
from sim.env import Env, EnvConfig
from sim.randomize import Randomization
from sim.scene_batch import SceneBatch
from vla_jax.api import build_batch, build_env
from vla_jax.checkpoint import checkpoint_steps, read_json, write_json
from vla_jax.evaluation import run_evaluation
from vla_jax.imitation import ImitationConfig, pretrain, usual_settings
from vla_jax.models.config import PolicyConfig, get_config
from vla_jax.rl.ppo import PPOConfig
from vla_jax.run import Policy, load_policy
from vla_jax.sharding import MeshConfig
from vla_jax.tokenizers import WordTokenizer
from vla_jax.train import TrainConfig, fine_tune

# The demo's own difficulty: small workspace, one distractor, compact objects.
WORKSPACE = (0.18, 0.36, -0.15, 0.15)

# What the scenes are asked for; the designer fills in objects, colours, layout and wording.
TRAIN_SENTENCES = (
    "put something in a container",
    "place any object onto something",
    "drop a toy into a container",
    "move a vegetable onto a surface",
    "put a drink in a container",
)
HELDOUT_SENTENCES = (
    "put something in a container",
    "lay any object on top of something",
    "get a fruit inside a basket",
    "transfer a toy upon a board",
)


@dataclass(frozen=True)
class DemoConfig:
    """Sizes of the demo."""

    narrow_scenes: int = 32
    train_scenes: int = 1024
    heldout_scenes: int = 64
    episodes: int = 512
    policy: PolicyConfig = get_config("tiny")
    imitation: ImitationConfig = usual_settings(get_config("tiny"))
    # One device: its sizes need not divide among those of the machine.
    train: TrainConfig = TrainConfig(
        iterations=105, ppo=PPOConfig(decay_iterations=105), mesh=MeshConfig(data=1)
    )
    # Where the demonstrations are recorded: few scenes, hardly turned objects.
    narrow: Randomization = Randomization(
        object_xy=0.08, object_yaw=0.5, camera=0.03, workspace=WORKSPACE
    )
    # Where the stills are taken: objects anywhere.
    still: Randomization = Randomization(object_xy=0.15, camera=0.03, workspace=WORKSPACE)
    # Where PPO learns and where both policies are judged.
    wide: Randomization = Randomization(object_xy=0.1, camera=0.03, workspace=WORKSPACE)
    env: EnvConfig = EnvConfig(episode_steps=40, reward="shaped")


Stage = Callable[[str, int], Callable[[int, str], None]]


def silent_stage(name: str, total: int) -> Callable[[int, str], None]:
    """Report no progress."""
    return lambda done, note="": None


def run_demo(
    out: Path,
    seed: int = 0,
    config: DemoConfig = DemoConfig(),
    stage: Stage = silent_stage,
) -> dict[str, Any]:
    """Run or continue the demo in `out`.

    Args:
        out: folder; a finished demo there is returned as it is.
        seed: everything random descends from it.
        config: sizes.
        stage: (name, total) -> update(done, note), to report progress.

    Returns:
        baseline_success, finetuned_success, baseline_ci95, finetuned_ci95, wall_s, report, ...

    Raises:
        ValueError: if `out` holds something else than a demo of this seed and configuration.
    """
    out = Path(out)
    if (out / "demo.json").exists():
        return read_json(out / "demo.json")
    _claim(out, seed, config)
    clock = _Clock(out / "wall.json")
    scenes = _design(out / "scenes", seed, config, stage)
    world = _World(config, scenes)
    clock.mark("design")
    if not (out / "baseline" / "pretrain.json").exists():
        pretrain(
            world.env(config.imitation.num_envs, config.narrow),
            world.batch("narrow"),
            world.env(config.imitation.num_envs, config.still),
            world.batch("train"),
            world.env(1).config,
            world.policy,
            world.tokenizer.words,
            config.imitation,
            seed + 10,
            out / "baseline",
            stage,
        )
    clock.mark("pretrain")
    baseline = load_policy(out / "baseline")
    done = checkpoint_steps(out / "policy")
    update = stage("fine-tuning by PPO", config.train.iterations)
    if not done or done[-1] < config.train.iterations:
        fine_tune(
            world.env(config.train.num_envs),
            world.batch("train"),
            baseline,
            out / "policy",
            config.train,
            seed + 20,
            lambda i, total, note: (update(i, note), clock.mark("train"))[0],
        )
    clock.mark("train")
    results = {}
    for name, policy in (("baseline", baseline), ("finetuned", load_policy(out / "policy"))):
        results[name] = _evaluate(
            out / f"eval_{name}.json", name, policy, world, config, seed, stage
        )
    clock.mark("evaluate")
    _film(out, world, baseline, load_policy(out / "policy"), seed, stage)
    _picture(out, world)
    return _finish(out, results, clock, stage)


def _claim(out: Path, seed: int, config: DemoConfig) -> None:
    """Mark a new folder as this demo's, or check that it is."""
    mine = {"seed": seed, "config": _plain(dataclasses.asdict(config))}
    if not out.exists() or not any(out.iterdir()):
        write_json(out / "config.json", mine | {"kind": "demo"})
        return
    if not (out / "config.json").exists():
        raise ValueError(f"{out} exists and holds no demo: choose another folder with --out")
    found = read_json(out / "config.json")
    if found.get("kind") != "demo" or any(found.get(key) != mine[key] for key in mine):
        raise ValueError(
            f"{out} holds another run (other seed, sizes or kind): "
            "choose another folder with --out, or remove it"
        )


def _plain(data: Any) -> Any:
    """Tuples as lists, as JSON gives them back."""
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    return [_plain(value) for value in data] if isinstance(data, (list, tuple)) else data


class _Clock:
    """Wall time of every stage, summed over interruptions."""

    def __init__(self, path: Path):
        self.path = path
        self.seconds: dict[str, float] = read_json(path) if path.exists() else {}
        self.last = time.perf_counter()

    def mark(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self.last
        self.last = now
        write_json(self.path, self.seconds)


def _design(
    folder: Path, seed: int, config: DemoConfig, stage: Stage
) -> dict[str, list[SceneSpec]]:
    update = stage("designing scenes", 3)
    plans = {
        "narrow": (TRAIN_SENTENCES, config.narrow_scenes, "train", 3),
        "train": (TRAIN_SENTENCES, config.train_scenes, "train", 1),
        "heldout": (HELDOUT_SENTENCES, config.heldout_scenes, "heldout", 2),
    }
    scenes = {}
    for i, (name, (sentences, n, split, offset)) in enumerate(plans.items()):
        if not (folder / name).exists():
            made = design(sentences, n, seed + offset, difficulty="easy", split=split)
            save_scenes(made, folder / name)
        scenes[name] = load_scenes(folder / name)
        update(i + 1, f"{len(scenes[name])} {name} scenes")
    return scenes


class _World:
    """The demo's scenes and environments; all batches share one structure, so programs too."""

    def __init__(self, config: DemoConfig, scenes: dict[str, list[SceneSpec]]):
        self.config, self.scenes = config, scenes
        known = scenes["train"] + scenes["narrow"]
        self.tokenizer = WordTokenizer.from_phrases(p for s in known for p in s.task.paraphrases)
        self.policy = dataclasses.replace(config.policy, vocabulary=self.tokenizer.size)
        self.template = slot_template([s for group in scenes.values() for s in group])

    def batch(self, name: str) -> SceneBatch:
        return build_batch(self.scenes[name], self.tokenizer, template=self.template)

    def env(self, num_envs: int, ranges: Randomization | None = None) -> Env:
        settings = dataclasses.replace(
            self.config.env,
            randomization=ranges or self.config.wide,
            image_size=self.policy.image_size,
            wrist_size=self.policy.wrist_size,
        )
        return build_env(num_envs, settings)


def _evaluate(path, name, policy: Policy, world: _World, config: DemoConfig, seed, stage) -> dict:
    update = stage(f"evaluating the {name} policy", config.episodes)
    if not path.exists():
        result = run_evaluation(
            world.env(min(config.episodes, 256)),
            policy.agent,
            jax.tree.map(jax.numpy.asarray, policy.params),
            world.batch("heldout"),
            world.scenes["heldout"],
            config.episodes,
            seed + 30,
            lambda done, total: update(done, ""),
        )
        write_json(path, result.to_json())
    update(config.episodes, "")
    return read_json(path)


def _film(out, world: _World, before: Policy, after: Policy, seed: int, stage: Stage) -> None:
    """before.gif and after.gif: both policies in the same held-out scenes from the same starts."""
    from vla_jax.film import film_policy

    update = stage("filming", 2)
    count = min(8, len(world.scenes["heldout"]))
    env, batch = world.env(count), world.batch("heldout")
    for i, (name, policy) in enumerate((("before", before), ("after", after))):
        if not (out / f"{name}.gif").exists():
            captions = [s.task.instruction for s in world.scenes["heldout"][:count]]
            path, start = out / f"{name}.gif", np.arange(count)
            film_policy(env, batch, policy, start, captions, seed + 40, path, title=name)
        update(i + 1, name)


def _picture(out: Path, world: _World) -> None:
    """Contact sheets of the first training and held-out scenes."""
    from vla_jax.film import draw_scenes
    from vla_jax.pictures import contact_sheet, save_png

    for name in ("train", "heldout"):
        path = out / f"scenes_{name}.png"
        if not path.exists():
            shown = world.scenes[name][:12]
            images = draw_scenes(world.env(len(shown)), world.batch(name), len(shown))
            save_png(contact_sheet(images, [s.task.instruction for s in shown]), path)


def _finish(out: Path, results: dict[str, dict], clock: _Clock, stage: Stage) -> dict[str, Any]:
    from vla_jax.report import write_report

    update = stage("writing the report", 1)
    clock.mark("report")
    summary = {
        "baseline_success": results["baseline"]["success_rate"],
        "finetuned_success": results["finetuned"]["success_rate"],
        "baseline_ci95": results["baseline"]["ci95"],
        "finetuned_ci95": results["finetuned"]["ci95"],
        "baseline_time_to_success_s": results["baseline"]["mean_time_to_success_s"],
        "finetuned_time_to_success_s": results["finetuned"]["mean_time_to_success_s"],
        "episodes": results["finetuned"]["episodes"],
        "wall_s": round(sum(clock.seconds.values()), 1),
        "stages_s": {name: round(s, 1) for name, s in clock.seconds.items()},
        "report": str(out / "report.html"),
    }
    write_report(out, summary)
    update(1, "")
    write_json(out / "demo.json", summary)
    return summary
