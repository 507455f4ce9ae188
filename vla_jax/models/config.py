"""Sizes of the policy: one frozen dataclass, presets by name."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

from sim.task import PRIVILEGED_SIZE
from vla_jax.models.pi0_config import BASE, PI0, PI05, Pi0Config


@dataclass(frozen=True)
class PolicyConfig:
    """Sizes of the flow-matching VLA (π0-shaped: image and language prefix, action suffix)."""

    # Side of the square fixed-camera picture, in pixels.
    image_size: int = 64
    # Side of the square wrist-camera picture, in pixels.
    wrist_size: int = 32
    # Side of one image block in pixels; a patch covers 2 x 2 blocks, so patches overlap by half.
    block: int = 4
    # Width of a patch embedding, before 3 x 3 patches merge into one image token.
    patch_width: int = 32
    # Width of the image and word tokens before they enter the attention stack.
    feature_width: int = 64
    # Language-conditioned queries that pool the fixed and the wrist camera into prefix tokens.
    queries: int = 8
    wrist_queries: int = 4
    # Width of the prefix (image and language) expert of the attention stack.
    width: int = 64
    # Width of the suffix (state and action) expert.
    expert_width: int = 64
    # Layers, heads and head dimension shared by both experts.
    depth: int = 2
    heads: int = 4
    head_dim: int = 16
    # Hidden width of each MLP as a multiple of its expert's width.
    mlp_ratio: int = 2
    # Words of the vocabulary, tokens of an instruction.
    vocabulary: int = 256
    instruction_length: int = 12
    # Size of the proprioceptive vector.
    proprio: int = 12
    # Size of the privileged state that the value head alone sees (training only).
    privileged: int = PRIVILEGED_SIZE
    # Control steps of an action chunk, and numbers of one action.
    chunk: int = 4
    action: int = 7
    # K, Euler steps of the flow from noise to action: when acting, and when exploring.
    flow_steps: int = 1
    # Precision of the actor's arithmetic: "float32" or "bfloat16". Likelihoods are float32.
    dtype: str = "float32"
    # What imitation and RL leave as it is: "none", or "vision" (the encoders of pictures
    # and words).
    freeze: str = "none"
    # Hidden width of the noise and value heads.
    head_width: int = 128
    # Smallest and largest standard deviation of the flow's noise, before the per-dimension scale.
    noise_min: float = 0.08
    noise_max: float = 0.16
    # Multiplies the noise of each action dimension (translation, rotation, gripper).
    noise_scale: tuple[float, ...] = (1.0, 1.0, 1.0, 0.3, 0.3, 0.3, 2.0)
    # Sizes of π0's own architecture (SigLIP, Gemma), which then replaces the small encoders and the
    # attention stack described above.
    pi0: Pi0Config | None = None

    def __post_init__(self) -> None:
        if self.dtype not in ("float32", "bfloat16"):
            raise ValueError(f"dtype is {self.dtype!r}: choose float32 or bfloat16")
        if self.freeze not in ("none", "vision"):
            raise ValueError(f"freeze is {self.freeze!r}: choose none or vision")
        if self.flow_steps < 1:
            raise ValueError(f"flow_steps is {self.flow_steps}: it must be at least 1")

    def to_json(self) -> dict:
        return asdict(self)

    @staticmethod
    def from_json(data: dict) -> PolicyConfig:
        """Rebuild a configuration; an unknown or missing field raises ValueError naming it."""
        names = {f.name for f in fields(PolicyConfig)}
        unknown, missing = sorted(set(data) - names), sorted(names - set(data))
        if unknown or missing:
            raise ValueError(
                f"policy configuration has unknown fields {unknown} and lacks {missing}: "
                "it was written by another version; pretrain again"
            )
        pi0 = None
        if data["pi0"] is not None:
            pi0 = Pi0Config.from_json(data["pi0"])
        return PolicyConfig(**{**data, "noise_scale": tuple(data["noise_scale"]), "pi0": pi0})


def _pi0_shaped(sizes: Pi0Config) -> PolicyConfig:
    """A policy of π0's architecture that looks as sharply as its encoder does."""
    return PolicyConfig(
        image_size=sizes.vision.image,
        wrist_size=sizes.vision.image,
        instruction_length=sizes.max_tokens,
        vocabulary=sizes.vocabulary,
        # Normalized actions vary alike in every dimension.
        noise_scale=(1.0,) * 7,
        pi0=sizes,
    )


PRESETS = {
    "tiny": PolicyConfig(),
    "small": PolicyConfig(
        patch_width=96,
        feature_width=192,
        queries=16,
        wrist_queries=8,
        width=256,
        expert_width=192,
        depth=6,
        heads=8,
        head_dim=32,
    ),
    "base": _pi0_shaped(replace(BASE, max_tokens=12)),
    "pi0": _pi0_shaped(PI0),
    "pi05": _pi0_shaped(PI05),
}


def get_config(name: str) -> PolicyConfig:
    """The preset of that name; an unknown name raises ValueError listing the known ones."""
    if name not in PRESETS:
        raise ValueError(f"unknown policy preset {name!r}: choose one of {sorted(PRESETS)}")
    return PRESETS[name]
