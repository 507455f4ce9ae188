"""The environment as other libraries expect one; each module needs its extra installed.

`sim.adapters.gymnasium` and `sim.adapters.gymnasium_single` (vla-jax[gym]), and
`sim.adapters.brax` (vla-jax[brax]).
"""
