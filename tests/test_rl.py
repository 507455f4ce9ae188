"""The RL core: arithmetic, likelihoods against float64, probe environments with known values."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import Probe, ProbeBatch, ProbeObs, probe_agent, probe_params

from vla_jax.rl.flow import chain_log_prob, sample_chain
from vla_jax.rl.gae import generalized_advantages
from vla_jax.rl.iteration import init_train_state, make_iteration, scene_logits
from vla_jax.rl.ppo import PPOConfig, Transitions, init_optimizers, learning_rate, update


def test_gae_by_hand():
    """Three steps, one environment, γ = 0.5, λ = 0.5, no end: worked on paper."""
    reward = jnp.array([[1.0], [0.0], [2.0]])
    value = jnp.array([[1.0], [2.0], [4.0]])
    next_value = jnp.array([[2.0], [4.0], [8.0]])
    no = jnp.zeros((3, 1), bool)
    advantage, target = generalized_advantages(
        reward, value, next_value, no, no, discount=0.5, lam=0.5
    )
    # δ = (1 + 1 - 1, 0 + 2 - 2, 2 + 4 - 4) = (1, 0, 2); A2 = 2, A1 = 0 + 0.25·2, A0 = 1 + 0.25·0.5
    np.testing.assert_allclose(advantage[:, 0], [1.125, 0.5, 2.0])
    np.testing.assert_allclose(target[:, 0], [2.125, 2.5, 6.0])


def test_gae_ends():
    """Termination is worth nothing afterwards, truncation keeps its value; neither leaks back."""
    reward = jnp.ones((2, 2))
    value = jnp.zeros((2, 2))
    next_value = jnp.full((2, 2), 10.0)
    terminated = jnp.array([[True, False], [False, False]])
    truncated = jnp.array([[False, True], [False, False]])
    advantage, _ = generalized_advantages(
        reward, value, next_value, terminated, truncated, discount=0.9, lam=1.0
    )
    np.testing.assert_allclose(advantage[0], [1.0, 10.0])
    np.testing.assert_allclose(advantage[1], [10.0, 10.0])


@pytest.mark.parametrize("steps", [1, 4])
def test_chain_density_against_float64(steps):
    """The chain's log-density equals a float64 NumPy evaluation of the product of its normals."""
    params = probe_params() | {"w": jnp.full((2, 3), 0.7), "t": jnp.full((2, 3), 0.2)}
    obs = ProbeObs(jnp.linspace(-1.0, 1.0, 5))
    agent = probe_agent(steps)
    chain, log_prob = agent.sample(params, obs, jax.random.key(0))
    assert chain.shape == (5, steps + 1, 2, 3)
    x = np.asarray(chain, np.float64)
    goal = np.asarray(obs.goal, np.float64)[:, None, None]
    expected = np.zeros(5)
    for k in range(steps):
        mean = x[:, k] + (0.7 * goal + 0.3 - x[:, k] + 0.2 * k / steps) / steps
        z = (x[:, k + 1] - mean) / 0.2
        expected += (-0.5 * z**2 - np.log(0.2) - 0.5 * np.log(2 * np.pi)).sum((1, 2))
    np.testing.assert_allclose(log_prob, expected, rtol=1e-4)
    again, _, _ = agent.evaluate(params, obs, chain, None)
    np.testing.assert_allclose(again, log_prob, rtol=1e-5)


def test_chain_gradient_against_finite_differences():
    """d log p / d (mean shift) by automatic and by central differences."""
    chain, _ = sample_chain(
        lambda x, t: (-x, jnp.full_like(x, 0.3)), jax.random.key(1), (1, 2, 3), 2
    )

    def log_prob(shift):
        return chain_log_prob(lambda x, t: (shift - x, jnp.full_like(x, 0.3)), chain)[0][0]

    slope = jax.grad(log_prob)(0.1)
    step = 1e-2
    measured = (log_prob(0.1 + step) - log_prob(0.1 - step)) / (2 * step)
    np.testing.assert_allclose(slope, measured, rtol=1e-3)


def run(env, config, iterations, seed=0, length=8):
    agent, batch = probe_agent(), ProbeBatch()
    iterate = make_iteration(env, agent, config, length)
    state = init_train_state(probe_params(), env, batch, agent, config, seed)
    for _ in range(iterations):
        state, metrics = iterate(state, batch)
    return state, metrics


def test_first_ratio_is_one():
    """Before any update the re-evaluated likelihood is the sampled one: ratio 1 to 1e-6."""
    config = PPOConfig(epochs=1, minibatches=2, value_warmup=0)
    _, metrics = run(Probe(32), config, 1)
    assert float(metrics["first_ratio_error"]) < 1e-6


def test_ppo_finds_the_optimum():
    """The best chunk has the goal as its mean, whatever x_0: slope 1, offset 0."""
    config = PPOConfig(
        epochs=4, minibatches=4, learning_rate=1e-2, value_warmup=2, power=1.0, discount=0.9
    )
    state, _ = run(Probe(128), config, 150)
    assert abs(float(state.params["w"].mean()) - 1.0) < 0.1
    assert abs(float(state.params["b"].mean())) < 0.05


def test_learning_rate_rises_and_falls():
    """A quarter, a half, ... of the rate; half way down the cosine 0.55; a tenth at the end."""
    config = PPOConfig(learning_rate=2.0, warmup_updates=4, decay_iterations=10)
    config = replace(config, epochs=2, minibatches=3)
    rates = [float(learning_rate(config)(count)) for count in (0, 30, 60, 90)]
    start = 2.0 * 0.25
    np.testing.assert_allclose(rates, [start, 2.0 * 0.55, 0.2, 0.2], rtol=1e-5)
    constant = learning_rate(replace(config, decay_iterations=0))
    np.testing.assert_allclose([float(constant(n)) for n in (1, 3, 500)], [1.0, 2.0, 2.0])


def test_warmup_leaves_the_policy_alone():
    config = PPOConfig(epochs=2, minibatches=2, value_warmup=5, learning_rate=1e-2)
    state, _ = run(Probe(32), config, 3)
    start = probe_params()
    assert all(bool((state.params[name] == start[name]).all()) for name in ("w", "b", "s"))
    assert float(jnp.abs(state.params["v"]).sum()) > 0.0


@pytest.mark.parametrize(("truncate", "worth"), [(True, 1.0 / (1.0 - 0.5)), (False, 1.0)])
def test_value_of_a_constant_reward(truncate, worth):
    """One step episodes paying 1: worth 1 if they end, 1/(1-γ) = 2 if they are merely cut off."""
    config = PPOConfig(epochs=1, minibatches=2, critic_epochs=4, critic_learning_rate=2e-2)
    config = replace(config, discount=0.5, lam=0.0, power=0.0)
    env = Probe(64, truncate=truncate, constant=1.0)
    state, _ = run(env, config, 120)
    value = probe_agent().value(state.params, jnp.array([[0.1, 1.0], [-0.5, 1.0]]))
    np.testing.assert_allclose(value, worth, atol=0.05)


def test_nan_never_reaches_the_update():
    """A minibatch whose gradient is not finite changes nothing and is counted."""
    config = PPOConfig(epochs=1, minibatches=1)
    agent, params = probe_agent(), probe_params()
    obs = ProbeObs(jnp.array([0.1, jnp.nan]))
    chain, log_prob = agent.sample(params, obs, jax.random.key(0))
    data = Transitions(
        obs, jnp.ones((2, 2)), jnp.zeros((2, 14)), chain, log_prob, *jnp.ones((2, 2)), jnp.ones(2)
    )
    state = init_optimizers(params, agent, config)
    new, _, metrics = update(params, state, agent, data, jax.random.key(1), config, jnp.bool_(True))
    assert float(metrics["skipped_updates"]) == 1.0
    assert all(bool((new[k] == params[k]).all()) for k in ("w", "b", "t", "s"))
    assert all(bool(jnp.isfinite(x).all()) for x in new.values())


def test_iteration_compiles_once():
    env, config = Probe(16), PPOConfig(epochs=1, minibatches=2)
    iterate = make_iteration(env, probe_agent(), config, 4)
    state = init_train_state(probe_params(), env, ProbeBatch(), probe_agent(), config, 0)
    for _ in range(3):
        state, _ = iterate(state, ProbeBatch())
    assert iterate._cache_size() == 1


def test_scene_weights():
    """A scene solved half of the time is 1 + focus times as likely as a finished one."""
    weights = jnp.exp(scene_logits(jnp.array([0.0, 0.5, 1.0]), 3.0))
    np.testing.assert_allclose(weights, [1.0, 4.0, 1.0], rtol=1e-6)
