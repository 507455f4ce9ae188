"""The RL core: arithmetic, likelihoods against float64, probe environments with known values."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import Probe, ProbeBatch, ProbeObs, probe_agent, probe_params

from vla_jax.rl.agent import Params
from vla_jax.rl.flow import FLOW_NOISE, Chain, FlowConfig, chain_log_prob, integrate, sample_chain
from vla_jax.rl.gae import generalized_advantages
from vla_jax.rl.iteration import init_train_state, make_iteration, scene_logits
from vla_jax.rl.ppo import PPOConfig, Transitions, critic_loss, init_optimizers, learning_rate
from vla_jax.rl.update import minibatch, shuffled, update

FLOWS = {
    "noise": FLOW_NOISE,
    "noise-one": FlowConfig(noisy_steps="one"),
    "sde": FlowConfig("sde"),
    "sde-one": FlowConfig("sde", "one"),
}
pytestmark = pytest.mark.usefixtures("quick_compilation")
every_flow = pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)


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


def numpy_log_prob(flow: FlowConfig, chain: Chain, goal, w: float, b: float, t: float, std: float):
    """The density of the probe agent's chains in float64, written after the papers' equations.

    Flow-SDE is written in the time of its paper: t = 1 is noise, velocity = noise - action.
    """
    x = np.asarray(chain.x, np.float64)
    steps, total = x.shape[1] - 1, np.zeros(x.shape[0])
    delta = 1.0 / steps
    goal = np.asarray(goal, np.float64)[:, None, None]
    for k in range(steps):
        now, tau = x[:, k], k * delta
        velocity = w * goal + b - now + t * tau
        if flow.kind == "noise":
            mean, sigma = now + delta * velocity, std
        else:
            at, back = 1.0 - tau, -velocity  # openpi's time and direction
            clean, noise = now - at * back, now + (1.0 - at) * back
            level = flow.sde_level * np.sqrt(at / (1.0 - (at if k else 1.0 - delta)))
            after = at - delta
            mean = clean * (1.0 - after) + noise * (after - level**2 * delta / (2.0 * at))
            sigma = level * np.sqrt(delta)
        z = (x[:, k + 1] - mean) / sigma
        density = (-0.5 * z**2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)).sum((1, 2))
        counts = flow.noisy_steps == "all" or np.asarray(chain.step) == k
        total += density * counts
    return total


@every_flow
@pytest.mark.parametrize("steps", [1, 4])
def test_chain_density_against_float64(flow, steps):
    """The chain's log-density equals a float64 NumPy evaluation of the product of its normals."""
    start = probe_params()
    actor = start.actor | {"w": jnp.full((2, 3), 0.7), "t": jnp.full((2, 3), 0.2)}
    params = start._replace(actor=actor)
    obs = ProbeObs(jnp.linspace(-1.0, 1.0, 5))
    agent = probe_agent(steps, flow=flow)
    chain, log_prob = agent.sample(params, obs, jax.random.key(0))
    assert chain.x.shape == (5, steps + 1, 2, 3)
    expected = numpy_log_prob(flow, chain, obs.goal, 0.7, 0.3, 0.2, 0.2)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-4)
    again, _, _ = agent.evaluate(params, obs, chain, None)
    np.testing.assert_allclose(again, log_prob, rtol=1e-5)


def test_one_noisy_step_leaves_the_others_to_the_ode():
    """With one noisy step the other steps of a chain are exact Euler steps of the flow."""
    velocity = lambda x, t: (0.5 - x, jnp.full_like(x, 0.3))  # noqa: E731
    chain, _ = sample_chain(velocity, jax.random.key(2), (64, 2, 3), 4, FLOWS["sde-one"])
    x = np.asarray(chain.x)
    euler = x[:, :-1] + (0.5 - x[:, :-1]) / 4
    off = np.abs(x[:, 1:] - euler).max((2, 3)) > 1e-5
    np.testing.assert_array_equal(off, np.asarray(chain.step)[:, None] == np.arange(4))
    assert set(np.asarray(chain.step)) == {0, 1, 2, 3}


def test_sde_keeps_the_marginals():
    """Flow-SDE ends in the distribution that the ODE ends in: here N(1, 0.1²), flow known exactly.

    For data N(m, s²) and x_τ = τ A + (1 - τ) ε the velocity has a closed form.
    """
    m, s, steps = 1.0, 0.1, 400

    def velocity(x, time):
        tau = time[:, None, None]
        variance = tau**2 * s**2 + (1.0 - tau) ** 2
        gain = (tau * s**2 - (1.0 - tau)) / variance  # E[A - ε | x] = m + gain (x - τ m)
        return m + gain * (x - tau * m), jnp.ones_like(x)

    shape = (4000, 1, 1)
    ode = integrate(velocity, jax.random.key(0), shape, steps)
    noisy, _ = sample_chain(velocity, jax.random.key(1), shape, steps, FLOWS["sde"])
    for end in (ode, noisy.x[:, -1]):
        np.testing.assert_allclose([end.mean(), end.std()], [m, s], atol=0.012)


def test_only_executed_numbers_count():
    """What the robot does not execute changes no density."""
    velocity = lambda x, t: (-x, jnp.full_like(x, 0.3))  # noqa: E731
    executed = lambda x: x[..., :2, :1]  # noqa: E731
    chain, log_prob = sample_chain(velocity, jax.random.key(1), (3, 4, 5), 2, FLOW_NOISE, executed)
    poked = chain._replace(x=chain.x.at[:, :, 2:].add(1.0).at[:, :, :, 1:].add(1.0))
    again, _ = chain_log_prob(velocity, poked, FLOW_NOISE, executed)
    np.testing.assert_allclose(again, log_prob, rtol=1e-5)


@every_flow
def test_chain_gradient_against_finite_differences(flow):
    """d log p / d (mean shift) by automatic and by central differences."""
    chain, _ = sample_chain(
        lambda x, t: (-x, jnp.full_like(x, 0.3)), jax.random.key(1), (1, 2, 3), 2, flow
    )

    def log_prob(shift):
        return chain_log_prob(lambda x, t: (shift - x, jnp.full_like(x, 0.3)), chain, flow)[0][0]

    slope = jax.grad(log_prob)(0.1)
    step = 1e-2
    measured = (log_prob(0.1 + step) - log_prob(0.1 - step)) / (2 * step)
    np.testing.assert_allclose(slope, measured, rtol=1e-3)


def run(env, config, iterations, seed=0, length=8, agent=None):
    agent, batch = agent or probe_agent(), ProbeBatch()
    iterate = make_iteration(env, agent, config, length)
    state = init_train_state(probe_params(), env, batch, config, seed)
    for _ in range(iterations):
        state, metrics, _ = iterate(state, batch)
    return state, metrics


@every_flow
def test_first_ratio_is_one(flow):
    """Before any update the re-evaluated likelihood is the sampled one: the bare ratio is 1."""
    config = PPOConfig(epochs=1, minibatches=2, value_warmup=0, reduction="sum")
    steps = 1 if flow is FLOW_NOISE else 3
    _, metrics = run(Probe(32), config, 1, agent=probe_agent(steps, flow=flow))
    assert float(metrics["first_ratio_error"]) < 1e-5
    assert float(metrics["approx_kl"]) < 10.0  # and it moved from there, but not off


def test_reductions_by_hand():
    """Of 24 densities: the exponents on the joint ratio are s, 1/24 and 1."""
    terms = probe_agent(4).terms
    assert terms == 4 * 2 * 3 and probe_agent(4, flow=FLOWS["sde-one"]).terms == 6
    scales = [PPOConfig(reduction=r).ratio_scale(terms) for r in ("power", "mean", "sum")]
    np.testing.assert_allclose(scales, [0.2, 1.0 / 24.0, 1.0])
    with pytest.raises(ValueError, match="reduction is 'max'"):
        PPOConfig(reduction="max")


@pytest.mark.parametrize("name", ["noise", "sde", "sde-one"])
def test_ppo_finds_the_optimum(name):
    """The best chunk has the goal as its mean, whatever x_0: slope 1, offset 0."""
    config = PPOConfig(
        epochs=4, minibatches=4, learning_rate=1e-2, value_warmup=2, power=1.0, discount=0.9
    )
    agent = probe_agent(1 if name == "noise" else 2, flow=FLOWS[name])
    state, _ = run(Probe(128), config, 150, agent=agent)
    wanted = probe_agent(1 if name == "noise" else 2)
    goal = jnp.linspace(-0.8, 0.8, 9)
    chunk = jnp.stack([wanted.act(state.params, ProbeObs(goal), k) for k in keys(64)])
    np.testing.assert_allclose(chunk.mean((0, 2, 3)), goal, atol=0.1)


def keys(count):
    return jax.random.split(jax.random.key(7), count)


def test_kl_stop():
    """Past the bound the policy learns no more in the iteration; without one it goes on."""
    config = PPOConfig(epochs=8, minibatches=2, value_warmup=0, learning_rate=5e-2)
    config = replace(config, warmup_updates=1)
    _, free = run(Probe(32), config, 1)
    _, held = run(Probe(32), replace(config, target_kl=0.01), 1)
    assert float(free["updated"]) == 1.0
    assert 0.0 < float(held["updated"]) < 0.5
    assert float(held["approx_kl"]) < float(free["approx_kl"])


def test_value_clip_by_hand():
    """Old value 0, target 1: a new value of 0.5 counts as 0.2, so it costs 0.64, not 0.25."""
    agent = probe_agent()
    params = Params({}, {"v": jnp.array([0.0, 0.5]), "v2": jnp.zeros(())}, {})
    zero, one = jnp.zeros(1), jnp.ones(1)
    batch = Transitions(None, jnp.array([[0.0, 1.0]]), None, None, zero, zero, zero, one, one, zero)
    loss = lambda clip: critic_loss(params, agent, batch, PPOConfig(value_clip=clip))  # noqa: E731
    np.testing.assert_allclose([loss(0.0), loss(0.2)], [0.25, 0.64], rtol=1e-6)


def test_minibatches_cover_every_chunk_once():
    """An epoch takes each chunk of each environment once, equally many of all in a minibatch."""
    rows = np.asarray(shuffled(jax.random.key(0), 6, 5, epochs=2, minibatches=3))
    assert rows.shape == (6, 2, 5)
    for epoch in rows.reshape(2, 6, 5):
        np.testing.assert_array_equal(np.sort(epoch, axis=0), np.arange(6)[:, None].repeat(5, 1))
    data = jnp.arange(6)[:, None] * 10 + jnp.arange(5)
    picked = minibatch({"x": data}, jnp.asarray(rows[0]))["x"]
    np.testing.assert_array_equal(picked.reshape(5, 2), (rows[0] * 10 + np.arange(5)).T)
    with pytest.raises(ValueError, match="length 7 does not divide into 3 minibatches"):
        shuffled(jax.random.key(0), 7, 5, 1, 3)


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
    start = probe_params().actor
    assert all(bool((state.params.actor[name] == start[name]).all()) for name in start)
    assert float(jnp.abs(state.params.critic["v"]).sum()) > 0.0


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
    """A minibatch whose gradient is not finite changes nothing, is counted and handed out."""
    config = PPOConfig(epochs=2, minibatches=1)
    agent, params = probe_agent(), probe_params()
    obs = ProbeObs(jnp.array([0.1, jnp.nan]))
    chain, log_prob = agent.sample(params, obs, jax.random.key(0))
    one = jnp.ones(2)
    data = Transitions(
        obs, jnp.ones((2, 2)), jnp.zeros((2, 14)), chain, log_prob, one, one, one, one, one
    )
    data = jax.tree.map(lambda x: x[None], data)
    state = init_optimizers(params, config)
    new, _, metrics, bad = update(
        params, state, agent, data, jax.random.key(1), config, jnp.bool_(True)
    )
    assert float(metrics["skipped_updates"]) == 2.0
    assert all(bool((new.actor[k] == params.actor[k]).all()) for k in params.actor)
    assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(new))
    assert bool(bad.found)
    np.testing.assert_array_equal(bad.batch.obs.goal, obs.goal)
    np.testing.assert_array_equal(bad.batch.chain.x, chain.x)


def test_nan_never_reaches_the_critic():
    """What the critic cannot learn from is skipped, counted and handed out all the same."""
    config = PPOConfig(epochs=1, minibatches=2, critic_epochs=1)
    agent, params = probe_agent(), probe_params()
    obs = ProbeObs(jnp.array([[0.1], [0.2]]))
    chain, log_prob = jax.vmap(lambda o: agent.sample(params, o, jax.random.key(0)))(obs)
    one = jnp.ones((2, 1))
    seen = jnp.ones((2, 1, 2)).at[1].set(jnp.nan)
    data = Transitions(obs, seen, jnp.zeros((2, 1, 14)), chain, log_prob, one, one, one, one, one)
    state = init_optimizers(params, config)
    new, _, metrics, bad = update(
        params, state, agent, data, jax.random.key(1), config, jnp.bool_(True)
    )
    assert float(metrics["skipped_critic_updates"]) == 1.0
    assert float(metrics["skipped_updates"]) == 0.0
    assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(new))
    assert bool(bad.found)
    np.testing.assert_array_equal(bad.batch.obs.goal, obs.goal[1])


def test_good_updates_hand_nothing_out():
    config = PPOConfig(epochs=1, minibatches=2, value_warmup=0)
    state = init_train_state(probe_params(), Probe(8), ProbeBatch(), config, 0)
    _, metrics, bad = make_iteration(Probe(8), probe_agent(), config, 4)(state, ProbeBatch())
    assert not bool(bad.found) and float(metrics["skipped_updates"]) == 0.0


def test_iteration_compiles_once():
    env, config = Probe(16), PPOConfig(epochs=1, minibatches=2)
    iterate = make_iteration(env, probe_agent(), config, 4)
    state = init_train_state(probe_params(), env, ProbeBatch(), config, 0)
    for _ in range(3):
        state, _, _ = iterate(state, ProbeBatch())
    assert iterate._cache_size() == 1


def test_scene_weights():
    """A scene solved half of the time is 1 + focus times as likely as a finished one."""
    weights = jnp.exp(scene_logits(jnp.array([0.0, 0.5, 1.0]), 3.0))
    np.testing.assert_allclose(weights, [1.0, 4.0, 1.0], rtol=1e-6)
