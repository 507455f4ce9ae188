"""Sizes of π0 and π0.5: nested frozen dataclasses, JSON in and out, presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar

_DTYPES = ("float32", "bfloat16")
_FREEZE = ("full", "paper", "expert")
_PARTS = ("vision", "language", "expert")
_KINDS = ("attention", "mlp")

# The largest checkpoints are wrong long before these bounds: they catch damaged files early.
_LARGEST = 1 << 20


@dataclass(frozen=True)
class VisionConfig:
    """The image encoder (SigLIP, a ViT without class token)."""

    width: int = 1152
    depth: int = 27
    # Hidden width of the MLPs.
    mlp: int = 4304
    heads: int = 16
    # Side of a patch and of the square picture, in pixels.
    patch: int = 14
    image: int = 224

    @property
    def tokens(self) -> int:
        """Image tokens of one picture."""
        return (self.image // self.patch) ** 2


@dataclass(frozen=True)
class LanguageConfig:
    """The prefix expert (Gemma); depth, heads and head size hold for the action expert too."""

    width: int = 2048
    depth: int = 18
    mlp: int = 16_384
    heads: int = 8
    # Key and value heads, each shared by heads / kv_heads query heads.
    kv_heads: int = 1
    head_dim: int = 256


@dataclass(frozen=True)
class ExpertConfig:
    """The action expert's own sizes."""

    width: int = 1024
    mlp: int = 4096


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank updates: kernel + alpha / rank · a b. The kernels that have one are frozen."""

    # 0 is none at all.
    rank: int = 0
    alpha: float = 32.0
    # Towers of layers that get them: any of "vision", "language", "expert".
    parts: tuple[str, ...] = ("vision", "language")
    # Kinds of kernels that get them: any of "attention", "mlp".
    kinds: tuple[str, ...] = _KINDS

    @property
    def scale(self) -> float:
        return self.alpha / self.rank if self.rank else 0.0


@dataclass(frozen=True)
class NormStats:
    """Statistics of one quantity over a data set, one number a dimension."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    # 1st and 99th percentile; π0.5 needs them.
    q01: tuple[float, ...] | None = None
    q99: tuple[float, ...] | None = None


@dataclass(frozen=True)
class StatePrompt:
    """How π0.5 says the state in words: token ids, see tokenizers_sentencepiece.state_prompt."""

    # Tokens of the bins -1 to 255, each with the space before it.
    bins: tuple[tuple[int, ...], ...]
    # Tokens of what follows the last number.
    end: tuple[int, ...]


@dataclass(frozen=True)
class Pi0Config:
    """π0 (state as a token of the suffix) or π0.5 (state in the prompt, adaptive norms)."""

    vision: VisionConfig = VisionConfig()
    language: LanguageConfig = LanguageConfig()
    expert: ExpertConfig = ExpertConfig()
    # Rows of the token embedding.
    vocabulary: int = 257_152
    # Tokens of the prompt.
    max_tokens: int = 48
    # Numbers of an action (and a state) in the model; a robot's fewer are padded with zeros.
    action_dim: int = 32
    # Control steps of a chunk in the model; a policy executes its first ones.
    horizon: int = 50
    pi05: bool = False
    # Precision of the towers' arithmetic. Norms, softmax, patch embedding, projections of state and
    # action, and the heads are float32 always.
    dtype: str = "bfloat16"
    # Precision of stored parameters, and of stored kernels that are frozen.
    param_dtype: str = "float32"
    frozen_dtype: str = "bfloat16"
    # Recompute each layer's activations in the backward pass.
    remat: bool = True
    lora: LoraConfig = LoraConfig()
    # What trains: "full" everything; "paper" LoRA on image and language towers, and all of the
    # action expert, projections and heads; "expert" the same without LoRA.
    freeze: str = "full"
    # Statistics of the data the parameters come from; None leaves numbers as they are.
    state_norm: NormStats | None = None
    action_norm: NormStats | None = None
    # Only π0.5, and only with a real tokenizer: without it the policy does not see the state.
    state_prompt: StatePrompt | None = None

    def __post_init__(self) -> None:
        _check_sizes(self)
        for name in ("dtype", "param_dtype", "frozen_dtype"):
            _check_choice(name, getattr(self, name), _DTYPES)
        _check_choice("freeze", self.freeze, _FREEZE)
        for part in self.lora.parts:
            _check_choice("lora.parts", part, _PARTS)
        for kind in self.lora.kinds:
            _check_choice("lora.kinds", kind, _KINDS)
        if self.vision.image % self.vision.patch or self.vision.width % self.vision.heads:
            raise ValueError("vision: patch must divide image, and heads must divide width")
        if self.language.heads % self.language.kv_heads:
            raise ValueError("language: kv_heads must divide heads")
        if self.language.head_dim % 2 or self.expert.width % 2:
            raise ValueError("language.head_dim and expert.width must be even (sines and cosines)")
        _check_freeze(self.freeze, self.lora)
        if self.pi05:
            for norm in (self.state_norm, self.action_norm):
                if norm is not None and (norm.q01 is None or norm.q99 is None):
                    raise ValueError("π0.5 normalizes by q01 and q99, which the statistics lack")

    def to_json(self) -> dict:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Pi0Config:
        """Rebuild a configuration; an unknown or missing field raises ValueError naming it."""
        values = dict(data)
        for name, kind in _NESTED.items():
            if values.get(name) is not None:
                values[name] = _build(kind, values[name], f"pi0.{name}")
        return _build(Pi0Config, values, "pi0")

    def without_lora(self) -> Pi0Config:
        """The configuration that fits merged parameters, see `models.lora.merge_lora`."""
        freeze = "expert" if self.freeze == "paper" else self.freeze
        return replace(self, lora=replace(self.lora, rank=0), freeze=freeze)


_NESTED: dict[str, type] = {
    "vision": VisionConfig,
    "language": LanguageConfig,
    "expert": ExpertConfig,
    "lora": LoraConfig,
    "state_norm": NormStats,
    "action_norm": NormStats,
    "state_prompt": StatePrompt,
}

_T = TypeVar("_T")


def _build(kind: type[_T], data: Any, where: str) -> _T:
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    unknown, missing = sorted(set(data) - known), sorted(known - set(data))
    if unknown or missing:
        raise ValueError(
            f"{where} has unknown fields {unknown} and lacks {missing}: "
            "it was written by another version"
        )
    return kind(**{name: _tuples(value) for name, value in data.items()})


def _tuples(value: Any) -> Any:
    """JSON knows lists only; frozen dataclasses need tuples to be hashable."""
    return tuple(_tuples(x) for x in value) if isinstance(value, list | tuple) else value


def _check_sizes(config: Pi0Config) -> None:
    for name in ("vision", "language", "expert"):
        for field, size in asdict(getattr(config, name)).items():
            _check_size(f"{name}.{field}", size)
    for name in ("vocabulary", "max_tokens", "action_dim", "horizon"):
        _check_size(name, getattr(config, name))
    if config.lora.rank < 0:
        raise ValueError(f"lora.rank is {config.lora.rank}: it must not be negative")


def _check_size(name: str, size: int) -> None:
    if not 0 < size <= _LARGEST:
        raise ValueError(f"{name} is {size}: it must be between 1 and {_LARGEST}")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}: choose from {', '.join(choices)}")


def _check_freeze(freeze: str, lora: LoraConfig) -> None:
    tuned = set(lora.parts) if lora.rank else set()
    if freeze == "full" and tuned:
        raise ValueError("freeze='full' trains every kernel: set lora.rank to 0")
    if freeze == "paper" and not {"vision", "language"} <= tuned:
        raise ValueError("freeze='paper' needs LoRA (rank > 0) on vision and language")
    if freeze == "expert" and tuned & {"vision", "language"}:
        raise ValueError("freeze='expert' leaves vision and language as they are: no LoRA there")


# openpi's π0, fine-tuned as in arXiv 2603.18532: 3.24 G parameters.
PI0 = Pi0Config(lora=LoraConfig(rank=32), freeze="paper")
# openpi's π0.5: 3.35 G parameters.
PI05 = replace(PI0, pi05=True, max_tokens=200)
# The same architecture in a size that trains from nothing on one GPU: 117 M parameters.
BASE = Pi0Config(
    vision=VisionConfig(width=384, depth=12, mlp=1536, heads=6, patch=14, image=112),
    language=LanguageConfig(width=512, depth=12, mlp=4096, heads=8, kv_heads=1, head_dim=64),
    expert=ExpertConfig(width=256, mlp=1024),
    vocabulary=1024,
    horizon=4,
    frozen_dtype="float32",
)
# For tests on a CPU: some 30 k parameters, in float32.
PI0_TINY = Pi0Config(
    vision=VisionConfig(width=16, depth=2, mlp=32, heads=2, patch=4, image=16),
    language=LanguageConfig(width=16, depth=3, mlp=48, heads=4, kv_heads=2, head_dim=8),
    expert=ExpertConfig(width=12, mlp=24),
    vocabulary=64,
    max_tokens=12,
    horizon=6,
    dtype="float32",
    frozen_dtype="float32",
    remat=False,
)
