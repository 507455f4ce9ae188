"""The memory plan: parts that can be counted by hand, XLA's own account, and refusal with advice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sim.types import Observation
from tests.probes import Probe, ProbeBatch, ProbeOut, probe_agent, probe_params
from vla_jax.liveness import count_flops, measure
from vla_jax.memory import MemoryPlan, available_bytes, plan_memory, size_text
from vla_jax.memory_advice import check_plan
from vla_jax.models.agent import init_params, make_agent
from vla_jax.models.config import PolicyConfig
from vla_jax.rl.agent import Params
from vla_jax.rl.iteration import make_iteration, state_shapes
from vla_jax.rl.ppo import PPOConfig
from vla_jax.sharding import MeshConfig
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
        return keys, ProbeOut(self.observe(keys), reward, no, no, no, info)


def settings_of(**changes: Any) -> TrainConfig:
    """Small settings on one device."""
    ppo = PPOConfig(
        minibatches=changes.pop("minibatches", 2), epochs=changes.pop("epochs", 2), critic_epochs=3
    )
    return TrainConfig(num_envs=8, length=4, ppo=ppo, mesh=MeshConfig(1, 1), **changes)


def plan_of(policy: PolicyConfig, settings: TrainConfig, **options: Any) -> MemoryPlan:
    """Of a policy in the gallery."""
    params = jax.eval_shape(lambda: init_params(policy, 0))
    env = Gallery(settings.num_envs, policy)
    return plan_memory(make_agent(policy), params, env, ProbeBatch(), settings, **options)


def xla_bytes(policy: PolicyConfig, settings: TrainConfig) -> int:
    """The peak of the compiled iteration by XLA's own account."""
    env, batch = Gallery(settings.num_envs, policy), ProbeBatch()
    params = jax.eval_shape(lambda: init_params(policy, 0))
    state = state_shapes(params, env, batch, settings.ppo, 0)
    iterate = make_iteration(env, make_agent(policy), settings.ppo, settings.length, settings.focus)
    options = {"xla_backend_optimization_level": 0}  # of the machine code, not of its buffers
    program = iterate.lower(state, batch).compile(options)  # type: ignore[attr-defined]
    used = program.memory_analysis()
    return (
        used.argument_size_in_bytes
        + used.temp_size_in_bytes
        + used.output_size_in_bytes
        - used.alias_size_in_bytes
    )


# The plan ------------------------------------------------------------------------------------------


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
    small, large = (plan_of(PolicyConfig(), replace(settings_of(), num_envs=n)) for n in (8, 16))
    per_chunk = 3 * (64**2 + 32**2)
    assert large.rollout - small.rollout == pytest.approx(small.rollout, rel=1e-2)
    assert per_chunk < small.rollout / 32 < 1.1 * per_chunk  # pictures are bytes
    assert large.activations == pytest.approx(2 * small.activations, rel=0.2)
    assert large.actor == small.actor and large.optimizer == small.optimizer


def test_more_minibatches_need_less():
    one, four = (plan_of(PolicyConfig(), settings_of(minibatches=n)) for n in (1, 4))
    assert four.minibatch * 4 == one.minibatch
    assert four.activations < 0.4 * one.activations
    assert four.rollout == one.rollout


def test_frozen_parameters_have_no_optimizer_state_and_no_gradient():
    params = probe_params()
    frozen = Params(params.actor, params.critic, {"w": jnp.zeros(1000)})
    args = (Probe(8, 3), ProbeBatch(), settings_of())
    before, after = (plan_memory(probe_agent(), p, *args) for p in (params, frozen))
    assert after.frozen == 4000
    assert (after.optimizer, after.gradients) == (before.optimizer, before.gradients)


def test_a_mesh_divides():
    policy = PolicyConfig(width=256, depth=4)
    settings = replace(settings_of(), mesh=MeshConfig(1, 1, fsdp_threshold=MIB // 4))
    one = plan_of(policy, settings)
    data = plan_of(policy, settings, mesh=(4, 1))
    fsdp = plan_of(policy, settings, mesh=(1, 4))
    assert data.num_envs == fsdp.num_envs == 2 and data.devices == 4
    assert data.actor == one.actor and data.rollout == pytest.approx(one.rollout / 4, rel=0.01)
    assert fsdp.actor < 0.5 * one.actor and fsdp.optimizer < 0.5 * one.optimizer
    # To be used, parameters come together again.
    assert fsdp.actor + fsdp.critic + fsdp.gathered == one.actor + one.critic
    with pytest.raises(ValueError, match="do not divide among 3"):
        plan_of(policy, settings, mesh=(3, 1))


def test_nothing_is_allocated_however_large():
    huge = replace(settings_of(), num_envs=2**24)
    plan = plan_of(PolicyConfig(), huge, available=2**40)
    assert plan.rollout > 2**24 * 4 * 3 * 64**2 and not plan.fits
    assert plan.flops > 0


def test_the_plan_is_close_to_what_xla_says():
    settings = settings_of(minibatches=1, epochs=1)
    policy = PolicyConfig(queries=4, wrist_queries=2, depth=1)
    planned, compiled = plan_of(policy, settings).total, xla_bytes(policy, settings)
    assert planned == pytest.approx(compiled, rel=0.15)


# Refusal ------------------------------------------------------------------------------------------


def test_what_fits_is_not_refused():
    settings = settings_of()
    check_plan(plan_of(PolicyConfig(), settings), settings, lambda _: pytest.fail("planned again"))


def test_a_plan_that_does_not_fit_refuses_with_advice_that_fits():
    settings = replace(settings_of(), num_envs=64)
    room = int(0.6 * plan_of(PolicyConfig(), settings).total)

    def planner(settings: TrainConfig) -> MemoryPlan:
        return plan_of(PolicyConfig(), settings, available=room)

    with pytest.raises(ValueError, match="largest part activations") as refusal:
        check_plan(planner(settings), settings, planner)
    text = str(refusal.value)
    assert size_text(room) in text and "\n" not in text
    envs = int(text.split("--num-envs ")[1].split()[0])
    assert 16 <= envs < 64
    assert planner(replace(settings, num_envs=envs)).total <= room
    assert "--minibatches 4" in text and "--mesh-fsdp" not in text and "LoRA" not in text


def test_nothing_is_advised_where_nothing_helps():
    settings = settings_of()

    def planner(settings: TrainConfig) -> MemoryPlan:
        return plan_memory(
            probe_agent(), probe_params(), Probe(8, 3), ProbeBatch(), settings, available=10
        )

    with pytest.raises(ValueError, match="choose a smaller policy"):
        check_plan(planner(settings), settings, planner)


def test_this_machine_has_memory():
    room = available_bytes()
    assert room is None or room > MIB


# Liveness -----------------------------------------------------------------------------------------


def peak_of(f: Any, *shapes: tuple[int, ...], donated: tuple[bool, ...] = ()) -> int:
    """Bytes beyond the arguments of a function of float32 arrays."""
    args = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return measure(jax.jit(f).trace(*args).jaxpr, donated).peak


def test_arithmetic_needs_only_its_result():
    assert peak_of(lambda x: (2.0 * x + 1.0) ** 2 - x, (100,)) == 400
    assert peak_of(lambda x: (2.0 * x + 1.0) ** 2 - x, (100,), donated=(True,)) == 0
    assert peak_of(lambda x: (2.0 * x).sum(), (100,)) == 4


def test_products_live_until_they_are_used():
    two = lambda x, w: (x @ w) @ w  # noqa: E731
    assert peak_of(two, (10, 10), (10, 10)) == 800
    three = lambda x, w: ((x @ w) @ w) @ w  # noqa: E731
    assert peak_of(three, (10, 10), (10, 10)) == 800
    kept = lambda x, w: ((y := x @ w) @ w) @ w + y  # noqa: E731
    assert peak_of(kept, (10, 10), (10, 10)) == 1200


def test_a_loop_stacks_its_results_and_keeps_its_carry_in_place():
    def loop(x, w):
        return jax.lax.scan(lambda x, _: (x + 1.0, x @ w), x, length=5)

    assert peak_of(loop, (10, 10), (10, 10)) == 400 + 5 * 400 + 400
    assert peak_of(loop, (10, 10), (10, 10), donated=(True, False)) == 5 * 400 + 400


def test_flops_of_loops_count_every_iteration():
    def loop(x, w):
        return jax.lax.scan(lambda x, _: (x @ w, None), x, length=5)[0] @ w

    jaxpr = jax.make_jaxpr(loop)(np.zeros((3, 4), np.float32), np.zeros((4, 4), np.float32))
    assert count_flops(jaxpr) == 6 * 2 * 3 * 4 * 4
