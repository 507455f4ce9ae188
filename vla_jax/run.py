"""A run's configuration and the policy in it."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import jax

from sim.env import EnvConfig
from sim.randomize import Randomization
from sim.types import Observation
from vla_jax.checkpoint import checkpoint_steps, load_checkpoint, read_json, write_json
from vla_jax.models.agent import make_agent, param_shapes
from vla_jax.models.config import PolicyConfig
from vla_jax.rl.agent import Agent, Params
from vla_jax.tokenizers import Tokenizer, WordTokenizer

FORMAT = 1
_PIECES = "tokenizer.model"


@dataclass(frozen=True)
class RunConfig:
    """What `config.json` holds: enough to rebuild the policy and its environment."""

    policy: PolicyConfig
    words: tuple[str, ...]
    env: EnvConfig
    seed: int
    settings: dict[str, Any]
    # SentencePiece model in place of the words.
    pieces: Path | None = field(default=None, compare=False)
    # Names of the scenes that it is fine-tuned on.
    scenes: tuple[str, ...] = ()

    def save(self, run: Path) -> None:
        """Write `config.json`, and `tokenizer.model` if there is one."""
        data = {
            "format": FORMAT,
            "policy": self.policy.to_json(),
            "words": list(self.words),
            "env": asdict(self.env),
            "seed": self.seed,
            "settings": self.settings,
            "scenes": list(self.scenes),
        }
        if self.pieces is not None and self.pieces.parent != Path(run):
            Path(run).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.pieces, Path(run) / _PIECES)
        write_json(Path(run) / "config.json", data)

    @staticmethod
    def load(run: Path) -> RunConfig:
        """Read `config.json`; ValueError names what is missing, unknown or of another format."""
        path = Path(run) / "config.json"
        data = read_json(path)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError(f"{path} is not a run configuration of format {FORMAT}")
        try:
            return RunConfig(
                policy=PolicyConfig.from_json(data["policy"]),
                words=tuple(str(word) for word in data["words"]),
                env=env_config(data["env"]),
                seed=int(data["seed"]),
                settings=dict(data["settings"]),
                pieces=path.with_name(_PIECES) if path.with_name(_PIECES).exists() else None,
                scenes=tuple(str(name) for name in data.get("scenes", ())),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged: {error!r}; restore it") from None


def env_config(data: dict[str, Any]) -> EnvConfig:
    """Rebuild an EnvConfig from its JSON form; unknown fields raise ValueError."""
    known = {f.name for f in fields(EnvConfig)}
    if unknown := sorted(set(data) - known):
        raise ValueError(f"environment configuration has unknown fields {unknown}")
    ranges = dict(data["randomization"])
    ranges["workspace"] = tuple(ranges["workspace"])
    return EnvConfig(**{**data, "randomization": Randomization(**ranges)})


@dataclass(frozen=True)
class Policy:
    """A policy with its parameters, vocabulary and the environment it was trained for."""

    config: PolicyConfig
    words: tuple[str, ...]
    env: EnvConfig
    params: Params
    pieces: Path | None = None  # SentencePiece model in place of the words

    @cached_property
    def agent(self) -> Agent:
        """The policy as pure functions of parameters."""
        return make_agent(self.config)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return make_tokenizer(self.config, self.words, self.pieces)

    @cached_property
    def _act(self):
        return jax.jit(self.agent.act)

    def act(self, obs: Observation, key: jax.Array) -> jax.Array:
        """Action chunks f32[N, C, 7] for observations of N environments."""
        return self._act(self.params, obs, key)


def load_config(path: str | Path) -> RunConfig:
    """The configuration of the run whose policy `load_policy` loads; no parameters are read.

    Raises:
        ValueError: if the folder holds no run, or one without a checkpoint.
    """
    run = _find(path)
    config = RunConfig.load(run)
    if not checkpoint_steps(run):
        raise ValueError(f"{run} has no checkpoint: pretrain or train into it first")
    return config


def _find(path: str | Path) -> Path:
    """The folder of a run, or of the policy in a demo folder."""
    run = Path(path)
    for inner in ("policy", "baseline"):
        if not (run / "config.json").exists() and (run / inner / "config.json").exists():
            run = run / inner
    return run


def load_policy(path: str | Path) -> Policy:
    """The newest good checkpoint of a run (or of the policy of a demo folder).

    Raises:
        ValueError: if the folder holds no run, or its checkpoints are damaged or of other shapes.
    """
    run = _find(path)
    config = RunConfig.load(run)
    _, params, _ = load_checkpoint(run, param_shapes(config.policy))
    return Policy(config.policy, config.words, config.env, params, config.pieces)


def make_tokenizer(
    config: PolicyConfig, words: tuple[str, ...], pieces: Path | None = None
) -> Tokenizer:
    """A policy's tokenizer: of words, or SentencePiece's model file if there is one."""
    if pieces is None:
        return WordTokenizer(words, config.instruction_length)
    from vla_jax.tokenizers_sentencepiece import SentencePieceTokenizer

    return SentencePieceTokenizer(pieces, pi05=config.pi0 is not None and config.pi0.pi05)
