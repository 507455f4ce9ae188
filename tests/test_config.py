"""Settings by name."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from vla_jax.config import settle
from vla_jax.models.config import PolicyConfig
from vla_jax.train import TrainConfig


def test_settings_are_read_as_what_they_are():
    """Whole numbers, numbers and text, on the outside and inside."""
    changes = ["ppo.power=0.5", "ppo.epochs=3", "flow.kind=sde", "on_nan=stop", "focus=0"]
    settings = settle(TrainConfig(), changes)
    assert (settings.ppo.power, settings.ppo.epochs) == (0.5, 3)
    assert (settings.flow.kind, settings.on_nan, settings.focus) == ("sde", "stop", 0.0)
    assert isinstance(settings.focus, float)
    rest = asdict(settle(settings, ["ppo.power=0.2", "ppo.epochs=2", "flow.kind=noise"]))
    assert rest == asdict(TrainConfig()) | {"on_nan": "stop", "focus": 0.0}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("ppo.powr=0.1", "there is no 'powr'; did you mean power"),
        ("ppo=0.1", "name one of its fields, ppo.NAME=VALUE"),
        ("focus.x=1", "focus has no fields"),
        ("ppo.epochs=2.5", "write a whole number"),
        ("ppo.power=much", "write a number"),
        ("ppo.power", "write NAME=VALUE"),
        ("flow.kind=loud", "flow kind is 'loud'"),
    ],
)
def test_complaints(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        settle(TrainConfig(), [change])


def test_a_setting_that_is_no_text_is_refused():
    with pytest.raises(ValueError, match="cannot be given as text"):
        settle(PolicyConfig(), ["noise_scale=1"])
