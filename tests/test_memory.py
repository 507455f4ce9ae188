"""The memory plan: parts counted by hand, XLA's own account, and refusal with advice."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from generation.designer import design
from generation.store import save_scenes
from sim.types import Observation
from tests.probes import Probe, ProbeBatch, ProbeOut, probe_agent, probe_params
from vla_jax import pipeline
from vla_jax.checkpoint import save_checkpoint
from vla_jax.cli import main
from vla_jax.memory import MemoryPlan, _group_room, plan_memory, size_text
from vla_jax.models.agent import init_params, make_agent, param_shapes
from vla_jax.models.config import PolicyConfig
from vla_jax.models.pi0_config import PI0_TINY
from vla_jax.pipeline import ENV
from vla_jax.planning.advice import check_plan, fitting_envs, lighter_policies
from vla_jax.rl.agent import Params
from vla_jax.rl.iteration import make_iteration, state_shapes
from vla_jax.rl.ppo import PPOConfig
from vla_jax.run import RunConfig
from vla_jax.sharding import MeshConfig
from vla_jax.tokenizers import WordTokenizer
from vla_jax.train import TrainConfig

MIB = 2**20


@dataclass(frozen=True)
class Gallery:
    """An environment that shows a policy noise: its observations are real, nothing else is."""

    num_envs: int
    policy: PolicyConfig

    def reset(self, batch, key):
        keys = jax.random.split(key, self.num_envs)
        return keys, self.observe(keys)

    def observe(self, keys):
        c = self.policy

        def picture(side):
            draw = lambda key: jax.random.bits(key, (side, side, 3), jnp.uint8)  # noqa: E731
            return jax.vmap(draw)(keys)

        n = keys.shape[0]
        words = jnp.ones((n, c.instruction_length), jnp.int32)
        return Observation(
            picture(c.image_size), picture(c.wrist_size), jnp.zeros((n, c.proprio)), words
        )

    def privileged(self, batch, keys):
        return jnp.zeros((keys.shape[0], self.policy.privileged))

    def located(self, batch, keys):
        return jnp.zeros((keys.shape[0], 16))

    def step_chunk(self, batch, keys, actions, scene_logits=None):
        keys = jax.vmap(lambda key: jax.random.split(key)[0])(keys)
        reward = actions.mean((1, 2))
        no, zero = reward > 2.0, jnp.zeros(reward.shape, jnp.int32)
        info = {"scene": zero, "length": zero, "broken": no, "saturated": no}
        info["privileged"] = self.privileged(batch, keys)
        seen: Any = self.observe(keys)
        return keys, ProbeOut(seen, reward, no, no, no, info)


SMALL = PolicyConfig(queries=4, wrist_queries=2, depth=1)


def settings_of(num_envs: int = 8, minibatches: int = 2) -> TrainConfig:
    """Small settings on one device."""
    ppo = PPOConfig(minibatches=minibatches, critic_epochs=3)
    mesh = MeshConfig(1, 1, fsdp_threshold=2**12)
    return TrainConfig(num_envs=num_envs, length=4, ppo=ppo, mesh=mesh)


@functools.cache
def plan_of(settings: TrainConfig, mesh: tuple[int, int] = (1, 1)) -> MemoryPlan:
    """Of the small policy in the gallery."""
    params = param_shapes(SMALL)
    env = Gallery(settings.num_envs, SMALL)
    return plan_memory(make_agent(SMALL), params, env, ProbeBatch(), settings, mesh=mesh)


def xla_bytes(settings: TrainConfig) -> int:
    """The peak of the compiled iteration by XLA's own account."""
    env, batch = Gallery(settings.num_envs, SMALL), ProbeBatch()
    params = param_shapes(SMALL)
    state = state_shapes(params, env, batch, settings.ppo, 0)
    iterate = make_iteration(env, make_agent(SMALL), settings.ppo, settings.length, settings.focus)
    options = {"xla_backend_optimization_level": 0}  # of the machine code, not of its buffers
    program = iterate.lower(state, batch).compile(options)  # type: ignore[attr-defined]
    used = program.memory_analysis()
    arguments, results = used.argument_size_in_bytes, used.output_size_in_bytes
    return arguments + used.temp_size_in_bytes + results - used.alias_size_in_bytes


# The plan -----------------------------------------------------------------------------------------


def test_parts_of_a_probe_by_hand():
    """Sizes of a policy of 24 + 3 numbers that sees one number of 8 environments, for 4 chunks."""
    env, settings = Probe(8, 3), settings_of()
    plan = plan_memory(probe_agent(), probe_params(), env, ProbeBatch(), settings)
    assert (plan.actor, plan.critic, plan.frozen) == (4 * 24, 4 * 3, 0)
    assert plan.optimizer == 2 * (96 + 12) + 3 * 4  # moments; counts of two Adams and a schedule
    # goal, time and key of a state; the goal that is seen.
    assert plan.environment == 8 * (4 + 4 + 8) + 8 * 4
    # obs 4, privileged 8, located 56, chain 2 x 24 + 4; log p, two values, reward, valid, scene 24;
    # terminated, truncated, saturated.
    assert plan.rollout == 4 * 8 * (4 + 8 + 56 + 52 + 24 + 3) + 4 * 4 * 4  # and sums per scene
    assert plan.gradients == 96 and plan.num_envs == 8 and plan.minibatch == 16
    assert sum(plan.parts.values()) == plan.total


def test_the_rollout_grows_with_the_environments():
    small, large = (plan_of(settings_of(n)) for n in (8, 16))
    pictures = 3 * (64**2 + 32**2)
    assert large.rollout - small.rollout == pytest.approx(small.rollout, rel=1e-2)
    assert pictures < small.rollout / 32 < 1.1 * pictures  # stored as bytes
    assert large.activations == pytest.approx(2 * small.activations, rel=0.2)
    assert large.actor == small.actor and large.optimizer == small.optimizer


def test_more_minibatches_need_less():
    two, four = (plan_of(settings_of(16, minibatches=n)) for n in (2, 4))
    assert (two.minibatch, four.minibatch) == (32, 16)
    assert four.activations < 0.7 * two.activations
    assert four.rollout == two.rollout


def test_frozen_parameters_have_no_optimizer_state_and_no_gradient():
    params = probe_params()
    frozen = Params(params.actor, params.critic, {"w": jnp.zeros(1000)})
    args = (Probe(8, 3), ProbeBatch(), settings_of())
    before, after = (plan_memory(probe_agent(), p, *args) for p in (params, frozen))
    assert after.frozen == 4000
    assert (after.optimizer, after.gradients) == (before.optimizer, before.gradients)


def test_a_mesh_divides():
    settings = settings_of(16)
    one, data, fsdp = (plan_of(settings, mesh) for mesh in ((1, 1), (2, 1), (1, 2)))
    assert data.num_envs == fsdp.num_envs == 8 and data.devices == fsdp.devices == 2
    assert data.actor == one.actor and data.rollout == pytest.approx(one.rollout / 2, rel=0.01)
    assert fsdp.actor == pytest.approx(one.actor / 2, rel=0.05)
    assert fsdp.optimizer == pytest.approx(one.optimizer / 2, rel=0.05)
    assert fsdp.gradients == fsdp.actor and fsdp.activations >= data.activations
    # To be used, parameters come together again.
    assert fsdp.actor + fsdp.critic + fsdp.gathered == one.actor + one.critic
    with pytest.raises(ValueError, match="do not divide among 3"):
        plan_of(settings, (3, 1))


def test_nothing_is_allocated_however_large():
    plan = plan_of(settings_of(2**24))
    assert plan.rollout > 2**24 * 4 * 3 * 64**2
    assert plan.fits and not replace(plan, available=2**40).fits
    assert plan.flops == 2**21 * plan_of(settings_of(8)).flops


def test_the_plan_is_close_to_what_xla_says():
    settings = settings_of()
    assert plan_of(settings).total == pytest.approx(xla_bytes(settings), rel=0.15)


# Refusal ------------------------------------------------------------------------------------------


def test_what_fits_is_not_refused():
    settings = settings_of()
    check_plan(plan_of(settings), settings, lambda _: pytest.fail("planned again"))


def test_a_plan_that_does_not_fit_refuses_with_advice_that_fits():
    settings = settings_of(16)
    room = int(0.8 * plan_of(settings).total)

    def planner(settings: TrainConfig) -> MemoryPlan:
        return replace(plan_of(settings), available=room)

    with pytest.raises(ValueError, match="largest part activations") as refusal:
        check_plan(planner(settings), settings, planner)
    text = str(refusal.value)
    assert size_text(room) in text and "\n" not in text
    envs = int(text.split("--num-envs ")[1].split()[0])
    assert envs < 16 and planner(settings_of(envs)).fits
    assert "--minibatches 4" in text and planner(settings_of(16, 4)).fits
    assert "--mesh-fsdp" not in text and "LoRA" not in text


def test_nearly_the_largest_number_of_environments_is_advised():
    def planner(settings: TrainConfig) -> MemoryPlan:
        total = 1000 + 10 * settings.num_envs + settings.num_envs**2 // 500
        return replace(plan_of(settings_of()), total=total, available=6000)

    found = fitting_envs(planner(settings_of(1024)), settings_of(1024), planner)
    assert found is not None and found[1].fits and 400 < found[0] < 470 and found[0] % 8 == 0


def test_a_lighter_policy_is_advised_only_if_it_fits():
    settings, plan = settings_of(), replace(plan_of(settings_of()), available=1)
    variants = {"LoRA": lambda: replace(plan, available=None), "remat": lambda: plan}
    with pytest.raises(ValueError, match=r"; try LoRA \(→ [^ ]+ MiB\)$"):
        check_plan(plan, settings, lambda _: plan, variants)
    tiny = replace(PolicyConfig(), pi0=replace(PI0_TINY, freeze="full"))
    assert set(lighter_policies(tiny)) == {"a policy with remat", "a policy with LoRA"}
    assert not lighter_policies(PolicyConfig())


def test_nothing_is_advised_where_nothing_helps():
    settings = settings_of()

    def planner(settings: TrainConfig) -> MemoryPlan:
        return plan_memory(
            probe_agent(), probe_params(), Probe(8, 3), ProbeBatch(), settings, available=10
        )

    with pytest.raises(ValueError, match="choose a smaller policy"):
        check_plan(planner(settings), settings, planner)


def test_what_a_container_has_left(tmp_path):
    """Its limit, less what is used, but for pages of files that nobody uses."""
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 200\ninactive_file 600\n")
    assert _group_room(tmp_path) == 700
    (tmp_path / "memory.max").write_text("max\n")
    assert _group_room(tmp_path) is None
    old = tmp_path / "old" / "memory"
    old.mkdir(parents=True)
    (old / "memory.limit_in_bytes").write_text("1000\n")
    (old / "memory.usage_in_bytes").write_text("900\n")
    (old / "memory.stat").write_text("total_inactive_file 50\n")
    assert _group_room(tmp_path / "old") == 150


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A run that has learned nothing, and a scene for it."""
    folder = tmp_path_factory.mktemp("start")
    scenes = design(["put something in a container"], n=1, seed=0)
    save_scenes(scenes, folder / "scenes")
    words = WordTokenizer.from_phrases(scenes[0].task.paraphrases).words
    RunConfig(SMALL, words, ENV, 0, {}).save(folder / "run")
    save_checkpoint(folder / "run", 0, init_params(SMALL, 0))
    return ["train", "--scenes", str(folder / "scenes"), "--init", str(folder / "run")]


def test_the_command_prints_the_plan(start, monkeypatch, capsys):
    monkeypatch.setattr(pipeline, "plan_memory", lambda *a, **_: plan_of(settings_of()))
    assert main([*start, "--plan", "--json", "--num-envs", "8", "--iterations", "5"]) == 0
    data = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert data["fits"] and data["total_bytes"] == sum(data["parts"].values())
    assert (data["scenes"], data["iterations"], data["env_steps"]) == (1, 5, 5 * 8 * 12 * 4)
    assert (data["samples_per_iteration"], data["minibatch"]) == (96, 32)
    assert data["parameter_bytes"] == 4 * data["parameters"] < data["optimizer_bytes"]
    assert main([*start, "--plan"]) == 0
    assert "on each device" in capsys.readouterr().out


def test_the_command_refuses_what_does_not_fit(start, monkeypatch, capsys, tmp_path):
    def planned(agent, params, env, batch, settings, *, available):
        return replace(plan_of(settings_of()), total=settings.num_envs * 2**30, available=2**34)

    monkeypatch.setattr(pipeline, "plan_memory", planned)
    assert main([*start, "-o", str(tmp_path / "run"), "--num-envs", "64"]) == 2
    text = capsys.readouterr().err.splitlines()[-1]
    assert "needs 64.0 GiB per device, 16.0 GiB available" in text
    assert text.endswith("try --num-envs 16 (→ 16.0 GiB)")
    assert not (tmp_path / "run").exists()
