"""Run by test_resume.py, which kills it: a run of a tiny world.

python resume_program.py RUN ITERATIONS
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax
from tiny_world import SETTINGS, make_world, plain_pictures

from vla_jax.train import fine_tune

if __name__ == "__main__":
    jax.config.update("jax_disable_most_optimizations", True)
    plain_pictures()
    env, batch, policy, _ = make_world()
    settings = replace(SETTINGS, iterations=int(sys.argv[2]), save_every=1)
    fine_tune(env, batch, policy, Path(sys.argv[1]), settings, seed=5)
    print("done")
