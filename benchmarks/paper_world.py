"""The worlds of the paper's experiment: scenes, environments and sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from generation.compile import slot_template
from generation.designer import design
from generation.spec import SceneSpec
from generation.store import load_scenes, save_scenes
from sim.env import Env, EnvConfig
from sim.randomize import Randomization
from sim.scene_batch import SceneBatch
from sim.transfer import TransferConfig
from vla_jax.api import build_batch, build_env
from vla_jax.demo import HELDOUT_SENTENCES, TRAIN_SENTENCES, WORKSPACE
from vla_jax.imitation import ImitationConfig
from vla_jax.models.config import PolicyConfig, get_config
from vla_jax.tokenizers import WordTokenizer

# What training may draw: nothing but where the objects lie; the paper's list (arXiv 2603.18532);
# and everything that a real camera and arm would change.
_PLACES = {"object_xy": 0.1, "workspace": WORKSPACE}
DOMAINS = {
    "none": dataclasses.replace(Randomization.none(), object_yaw=3.14159265, **_PLACES),
    "paper": Randomization(camera=0.05, **_PLACES),
    # (Delays as long as 5 control steps a second allow.)
    "full": dataclasses.replace(
        Randomization.full(), camera=0.05, latency=0.08, delay=0.12, **_PLACES
    ),
}


def _open(*names: str) -> TransferConfig:
    """The transfer domain with these gaps alone."""
    sizes = {name: getattr(TransferConfig(), name) for name in names}
    return dataclasses.replace(TransferConfig.none(), **sizes)


# The transfer domain in parts; all of them together are the whole.
_PHYSICS = ("hulls", "solver", "timestep", "contact_time", "torsion")
GAPS = {
    "renderer": TransferConfig.none(),
    "physics": _open(*_PHYSICS, "mass", "friction", "stiffness", "damping"),
    "timing": _open("latency", "delay"),
    "cameras": _open("camera", "camera_turn", "camera_fov"),
    "surfaces and light": _open("surfaces", "lights", "gloss", "haze"),
    "sensor": _open("gamma", "white_balance", "blur", "noise", "jpeg"),
    "all": TransferConfig(),
}


@dataclass(frozen=True)
class Size:
    """How large the experiment is."""

    preset: str = "tiny"
    num_envs: int = 256
    # Chunks an environment plays in an iteration.
    length: int = 12
    minibatches: int = 3
    # Iterations of the main run, and of each run that is compared with others.
    iterations: int = 180
    short: int = 40
    # Training scenes: of the main run, and of the runs on scene diversity; and their seeds.
    train_scenes: int = 100
    counts: tuple[int, ...] = (1, 10, 25, 50, 100)
    seeds: tuple[int, ...] = (0, 1)
    # Scenes of each test set; episodes of an evaluation, and of one in the transfer domain.
    test_scenes: int = 64
    episodes: int = 1024
    transfer_episodes: int = 256
    # Scenes of the demonstrations, and of the stills that stand for vision-language pretraining.
    narrow_scenes: int = 32
    still_scenes: int = 1024
    imitation: ImitationConfig = ImitationConfig(stills=48_000, steps=3500, learning_rate=5e-3)
    difficulty: str = "easy"
    episode_steps: int = 40

    @property
    def many_scenes(self) -> int:
        """Scenes of the larger training set."""
        return 10 * self.train_scenes


SIZES = {
    # Does it run at all: minutes.
    "smoke": Size(
        num_envs=16,
        length=6,
        iterations=3,
        short=2,
        train_scenes=4,
        counts=(1, 4),
        seeds=(0,),
        test_scenes=4,
        episodes=16,
        transfer_episodes=8,
        narrow_scenes=2,
        still_scenes=4,
        imitation=ImitationConfig(chunks=200, stills=64, steps=20, num_envs=16),
        episode_steps=40,
    ),
    # Two cores, hours.
    "cpu": Size(),
    # One large GPU: the paper's episode (nearly: chunks of 2, 4 and 8 divide it), and enough
    # iterations for its scenes.
    "gpu": Size(
        preset="small",
        num_envs=2048,
        length=20,
        minibatches=10,
        iterations=300,
        short=100,
        imitation=ImitationConfig(chunks=100_000, stills=100_000, steps=6000, num_envs=1024),
        difficulty="full",
        episode_steps=96,
    ),
}


@dataclass(frozen=True)
class Scenes:
    """All scenes of the experiment, by set."""

    sets: dict[str, list[SceneSpec]]

    @staticmethod
    def design(folder: Path, size: Size, seed: int) -> Scenes:
        """Design the sets that `folder` lacks, and load all.

        `train` is what RL trains on, `many` ten times as many others; `unseen_scenes` has the same
        kinds of objects in other scenes, `unseen_objects` kinds, pairs of colours and wordings that
        no training scene has.
        """
        plans = {
            "narrow": (TRAIN_SENTENCES, size.narrow_scenes, "train", 1),
            "stills": (TRAIN_SENTENCES, size.still_scenes, "train", 2),
            "train": (TRAIN_SENTENCES, size.train_scenes, "train", 3),
            "unseen_scenes": (TRAIN_SENTENCES, size.test_scenes, "train", 4),
            "unseen_objects": (HELDOUT_SENTENCES, size.test_scenes, "heldout", 5),
            "many": (TRAIN_SENTENCES, size.many_scenes, "train", 6),
        }
        sets = {}
        for name, (sentences, count, split, offset) in plans.items():
            if not (folder / name).exists():
                kind = {"difficulty": size.difficulty, "split": split}
                made = design(list(sentences), count, 100 * seed + offset, **kind)
                save_scenes(made, folder / name)
            sets[name] = load_scenes(folder / name)
        return Scenes(sets)


class World:
    """Environments and batches over the scenes; all share one structure, so programs too."""

    def __init__(self, size: Size, scenes: Scenes):
        self.size, self.scenes = size, scenes.sets
        # The words of demonstrations and stills: RL and evaluation may meet others.
        known = self.scenes["narrow"] + self.scenes["stills"]
        self.tokenizer = WordTokenizer.from_phrases(p for s in known for p in s.task.paraphrases)
        base = get_config(size.preset)
        self.policy: PolicyConfig = dataclasses.replace(base, vocabulary=self.tokenizer.size)
        self.template = slot_template([s for part in self.scenes.values() for s in part])
        self.rows = max(size.train_scenes, size.test_scenes)

    def batch(self, scenes: Sequence[SceneSpec]) -> SceneBatch:
        """A batch padded to the rows that training and test sets share."""
        rows = max(self.rows, len(scenes))
        return build_batch(scenes, self.tokenizer, template=self.template, rows=rows)

    def env(self, num_envs: int, ranges: Randomization, chunk: int | None = None) -> Env:
        """An environment with these ranges."""
        return build_env(num_envs, self.config(ranges, chunk))

    def config(self, ranges: Randomization, chunk: int | None = None) -> EnvConfig:
        """Settings of the environment with these ranges."""
        return EnvConfig(
            episode_steps=self.size.episode_steps,
            chunk=chunk or self.policy.chunk,
            reward="shaped",
            randomization=ranges,
            image_size=self.policy.image_size,
            wrist_size=self.policy.wrist_size,
        )
