"""The commands, one module each; importing them loads neither JAX nor MuJoCo.

A command is a module with `NAME`, `SUMMARY` (a line), `DESCRIPTION` (its help), `add_arguments`
and `run(args, progress) -> Outcome`, and if need be `AGAIN`: what to do after an interruption.
"""

from vla_jax.commands import (
    bench,
    convert,
    demo,
    design,
    doctor,
    evaluate,
    import_assets,
    inspect,
    pretrain,
    render,
    train,
)

COMMANDS = (
    demo,
    design,
    import_assets,
    inspect,
    pretrain,
    train,
    evaluate,
    render,
    convert,
    bench,
    doctor,
)
