"""The policy: likelihood ratio, masking, what it may see, and its vocabulary."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sim.types import Observation
from vla_jax.imitation import ImitationConfig, vary_words
from vla_jax.models.agent import (
    init_params,
    make_agent,
    make_imitation_loss,
    merger,
    sort_params,
)
from vla_jax.models.config import PolicyConfig, get_config
from vla_jax.models.vision import (
    blocks_of,
    expected_place,
    interpolation,
    looking_loss,
    merge_windows,
)
from vla_jax.tokenizers import UNKNOWN, WordTokenizer

pytestmark = pytest.mark.usefixtures("quick_compilation")

CONFIG = replace(
    get_config("tiny"),
    image_size=32,
    wrist_size=16,
    patch_width=8,
    feature_width=16,
    width=16,
    expert_width=24,
    heads=2,
    head_dim=8,
    head_width=16,
    vocabulary=20,
)


@pytest.fixture(scope="module")
def obs():
    keys = jax.random.split(jax.random.key(0), 4)
    return Observation(
        image=jax.random.randint(keys[0], (6, 32, 32, 3), 0, 256).astype(jnp.uint8),
        wrist=jax.random.randint(keys[1], (6, 16, 16, 3), 0, 256).astype(jnp.uint8),
        proprio=jax.random.normal(keys[2], (6, CONFIG.proprio)),
        instruction=jax.random.randint(keys[3], (6, 12), 2, 20).at[:, 8:].set(0),
    )


@pytest.fixture(scope="module")
def params():
    return init_params(CONFIG, 0)


@pytest.mark.parametrize("steps", [1, 3])
def test_ratio_is_one(params, obs, steps):
    """Sampling and re-evaluation agree: the tempered ratio is 1 to 1e-6 for every K.

    In float64, where a slip in the chain (other times, other means) cannot hide behind rounding;
    float32 rounds the ratio of the same two programs by some 1e-6 more.
    """
    with jax.enable_x64(True):
        double = jax.tree.map(lambda x: jnp.asarray(np.asarray(x), jnp.float64), params)
        exact = replace(obs, proprio=jnp.asarray(np.asarray(obs.proprio), jnp.float64))
        agent = make_agent(replace(CONFIG, flow_steps=steps))
        chain, log_prob = jax.jit(agent.sample)(double, exact, jax.random.key(1))
        again, _, _ = jax.jit(agent.evaluate)(double, exact, chain, jnp.zeros((6, 16)))
        assert chain.x.shape == (6, steps + 1, 4, 7)
        assert chain.x.dtype == jnp.float64
        np.testing.assert_allclose(jnp.exp(0.2 * (again - log_prob)), 1.0, atol=1e-6)


def test_padding_is_not_read(params, obs):
    """The embedding of the padding token changes nothing."""
    act = jax.jit(make_agent(CONFIG).act)
    poked = jax.tree_util.tree_map_with_path(
        lambda path, x: x.at[0].add(5.0) if "'embedding'" in jax.tree_util.keystr(path) else x,
        params,
    )
    action = act(params, obs, jax.random.key(0))
    np.testing.assert_allclose(act(poked, obs, jax.random.key(0)), action, atol=1e-5)
    words = jax.tree_util.tree_map_with_path(
        lambda path, x: x.at[2:].add(1.0) if "'embedding'" in jax.tree_util.keystr(path) else x,
        params,
    )
    assert not np.allclose(act(words, obs, jax.random.key(0)), action, atol=1e-3)


def test_prefix_does_not_see_the_state(params, obs):
    """As in π0, image and language tokens attend to each other only, never to state or actions."""
    see = jax.jit(lambda params, obs: merger(CONFIG)(params).see(obs)[0].features)
    other = replace(obs, proprio=obs.proprio + 1.0)
    np.testing.assert_array_equal(see(params, obs), see(params, other))


def test_noise_stays_in_its_range(params, obs):
    """The noise head is bounded by the configured range times the dimension's scale."""

    def noise(params, obs):
        vla = merger(CONFIG)(params)
        return vla.velocity(vla.see(obs)[0], 100.0 * jnp.ones((6, 4, 7)), jnp.zeros(6))[1]

    std = jax.jit(noise)(params, obs)
    relative = std / jnp.asarray(CONFIG.noise_scale)
    assert float(relative.min()) >= CONFIG.noise_min - 1e-6
    assert float(relative.max()) <= CONFIG.noise_max + 1e-6


def test_value_ignores_pictures_and_policy_ignores_the_privileged_state(params, obs):
    """The value head has only the privileged state, the action path none of it."""
    agent = make_agent(CONFIG)

    def action(params, obs):
        return agent.act(params, obs, jax.random.key(0)).sum()

    slope = jax.jit(jax.grad(action))(params, obs)
    flat = jax.tree_util.tree_flatten_with_path(slope)[0]
    value = [x for path, x in flat if "value_layers" in jax.tree_util.keystr(path)]
    assert value and all(float(jnp.abs(x).sum()) == 0.0 for x in value)
    assert agent.value(params, jnp.ones((3, 25))).shape == (3,)


def test_imitation_learns_a_constant(params, obs):
    """Flow matching to one chunk: a few steps bring the acted chunk to it."""
    import optax

    agent, loss = make_agent(CONFIG), make_imitation_loss(CONFIG)
    target = jnp.broadcast_to(jnp.linspace(-0.5, 0.5, 28).reshape(4, 7), (6, 4, 7))
    adam = optax.adam(3e-3)

    @jax.jit
    def step(carry, key):
        params, state = carry
        rows = jnp.zeros((6, 16)), jnp.ones(6)
        grads = jax.grad(lambda p: loss(p, obs, target, *rows, key)[0])(params)
        change, state = adam.update(grads, state)
        return (optax.apply_updates(params, change), state), None

    keys = jax.random.split(jax.random.key(3), 1000)
    (trained, _), _ = jax.jit(lambda c: jax.lax.scan(step, c, keys))((params, adam.init(params)))
    acted = jax.jit(agent.act)(trained, obs, jax.random.key(9))
    assert float(jnp.abs(acted - target).mean()) < 0.1


def test_blocks_and_windows_by_hand():
    """Block (1, 0) of a 4 x 4 picture of blocks of 2; window (0, 0) of a 3 x 3 grid."""
    image = jnp.arange(48, dtype=jnp.uint8).reshape(1, 4, 4, 3)
    block = blocks_of(image, 2)[0, 1, 0] * 127.5 + 127.5
    np.testing.assert_allclose(block, np.asarray(image)[0, 2:4, 0:2].ravel(), atol=1e-4)
    grid = jnp.arange(9.0).reshape(1, 3, 3, 1)
    np.testing.assert_array_equal(merge_windows(grid)[0, 0, 0], jnp.arange(9.0))


def test_looking_loss_picks_the_cell():
    """Grid of 3: the picture's centre is cell (1, 1), its upper left (0, 0); outside is free."""
    logits = 50.0 * jnp.eye(9)[jnp.array([4, 0, 0])].reshape(3, 3, 3)
    at = jnp.array([[0.0, 0.0], [-0.5, -0.5], [0.0, 1.5]])
    np.testing.assert_allclose(looking_loss(logits, at), 0.0, atol=1e-5)
    assert float(looking_loss(logits, at[::-1])[2]) > 10.0


def test_a_point_between_cells_is_met_exactly():
    """Halfway between two cells the best map has two equal peaks: loss ln 2, mean in between."""
    logits = jnp.zeros((1, 3, 3)).at[0, 1, 1:].set(60.0)
    at = jnp.array([[0.25, 0.0]])
    np.testing.assert_allclose(looking_loss(logits, at), np.log(2.0), atol=1e-5)
    heat = jax.nn.softmax(logits.reshape(1, 1, 9), -1).reshape(1, 1, 3, 3)
    np.testing.assert_allclose(expected_place(heat)[0, 0], [0.25, 0.0, 0.125, 0.0], atol=1e-6)


def test_interpolation_by_hand():
    """Coarse cell i sits on fine cell 2 i + 1; beyond the ends the end value holds."""
    values = interpolation(2) @ np.array([1.0, 3.0])
    np.testing.assert_allclose(values, [1.0, 1.0, 2.0, 3.0, 3.0])


def test_vary_words():
    """Nothing at rate 0; inserted words keep the order of the others; full rows stay."""
    words = jnp.array([[5, 6, 7, 0, 0, 0], [5, 6, 7, 8, 9, 4]], jnp.int32)
    none = ImitationConfig(word_dropout=0.0, word_insertion=0.0)
    np.testing.assert_array_equal(vary_words(words, jax.random.key(0), none), words)
    always = replace(none, word_insertion=1.0)
    for seed in range(5):
        varied = np.asarray(vary_words(words, jax.random.key(seed), always))
        np.testing.assert_array_equal(varied[1], words[1])
        assert [w for w in varied[0] if w not in (0, UNKNOWN)] == [5, 6, 7]
        assert (varied[0] == UNKNOWN).sum() == 2 and varied[0, 0] == 5
    hidden = vary_words(words, jax.random.key(0), replace(none, word_dropout=1.0))
    np.testing.assert_array_equal(hidden, np.where(words > 0, UNKNOWN, 0))


def test_tokenizer():
    tokenizer = WordTokenizer.from_phrases(["put the cup on it", "put it there"])
    assert tokenizer.words == ("cup", "it", "on", "put", "the", "there")
    assert tokenizer.encode("Put the zebra!", 5).tolist() == [5, 6, UNKNOWN, 0, 0]
    again = WordTokenizer.from_phrases(["Put the cup, there."])
    assert again.words == ("cup", "put", "the", "there")
    with pytest.raises(ValueError, match="has 5 words"):
        tokenizer.encode("put the cup on it", 4)


def test_config_round_trip_and_complaints():
    assert PolicyConfig.from_json(CONFIG.to_json()) == CONFIG
    with pytest.raises(ValueError, match="unknown fields \\['colour'\\]"):
        PolicyConfig.from_json(CONFIG.to_json() | {"colour": 1})
    with pytest.raises(ValueError, match="unknown policy preset 'huge'"):
        get_config("huge")


def test_unseen_nouns_are_read_as_the_nearest_known_one():
    """A griddle is read as a saucepan, a pail as a bowl; other unknown words stay unknown."""
    tokenizer = WordTokenizer(["apple", "bowl", "in", "put", "saucepan", "the"])
    read = tokenizer.word_id
    assert read("griddle") == read("saucepan") and read("pail") == read("bowl")
    assert read("pear") == read("apple")
    assert [read(word) for word in ("upon", "lay", "screwdriver", "xyzzy")] == [UNKNOWN] * 4
    exact = WordTokenizer(tokenizer.words, alike=1.1)
    assert exact.word_id("griddle") == UNKNOWN
    phrase = "put the pear in the pail"
    np.testing.assert_array_equal(
        tokenizer.encode(phrase, 8), exact.encode("put the apple in the bowl", 8)
    )


def test_frozen_vision_keeps_the_policy_and_its_eyes(params, obs):
    """Sorted by another rule the policy acts alike; its eyes are no longer trained."""
    frozen = replace(CONFIG, freeze="vision")
    sorted_ = sort_params(params, frozen)
    assert set(sorted_.frozen) >= {"scene_eye", "wrist_eye", "language"}
    assert not set(sorted_.actor) & set(sorted_.frozen)
    assert jax.tree.structure(sort_params(sorted_, CONFIG)) == jax.tree.structure(params)
    key = jax.random.key(0)
    act = [
        jax.jit(make_agent(c).act)(p, obs, key) for c, p in ((CONFIG, params), (frozen, sorted_))
    ]
    np.testing.assert_array_equal(*act)


@pytest.mark.slow
def test_bfloat16_arithmetic(params, obs):
    """Actions agree with float32's to bfloat16's precision; likelihoods are float32 and repeat."""
    agent = make_agent(replace(CONFIG, dtype="bfloat16"))
    key = jax.random.key(0)
    low = jax.jit(agent.act)(params, obs, key)
    np.testing.assert_allclose(low, jax.jit(make_agent(CONFIG).act)(params, obs, key), atol=0.03)
    chain, log_prob = jax.jit(agent.sample)(params, obs, key)
    again, _, _ = jax.jit(agent.evaluate)(params, obs, chain, jnp.zeros((6, 16)))
    assert low.dtype == log_prob.dtype == chain.x.dtype == jnp.float32
    np.testing.assert_allclose(again, log_prob, atol=0.05)
