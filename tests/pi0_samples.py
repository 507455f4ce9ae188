"""Tiny π0 and π0.5 policies for tests, and parameters for them."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from vla_jax.models.config import PolicyConfig
from vla_jax.models.pi0 import abstract_params
from vla_jax.models.pi0_config import PI0_TINY

TINY = PolicyConfig(pi0=PI0_TINY, head_width=16)
TINY05 = replace(TINY, pi0=replace(PI0_TINY, pi05=True))


def random_params(config: PolicyConfig, scale: float = 0.25) -> nnx.State:
    """Parameters of which none is special, drawn without compiling anything."""
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda x: jnp.asarray(scale * rng.standard_normal(x.shape), x.dtype),
        abstract_params(config),
    )
