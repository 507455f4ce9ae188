"""Plays a recorded episode in MuJoCo's viewer: `python -m vla_jax.replay EPISODE`.

`vla-jax render RUN` writes such episodes next to its film.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import mujoco

from sim.recording import Trajectory, load_recording, pose_at

_FRAME = 1 / 60  # s
_PAUSE = 1.0  # s at the end, before it starts over


def main(argv: Sequence[str] | None = None) -> int:
    """Opens the viewer. Returns the exit status: 0 when it was closed, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m vla_jax.replay", description=__doc__)
    parser.add_argument("episode", type=Path, metavar="EPISODE", help="folder of one episode")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="1 is real time (default %(default)s)"
    )
    args = parser.parse_args(argv)
    try:
        if not args.speed > 0:
            raise ValueError(f"--speed is {args.speed}: it must be above 0")
        model, trajectory = load_recording(args.episode)
        _check_display()
    except (OSError, ValueError) as error:
        print(f"replay: error: {error}", file=sys.stderr)
        return 2
    outcome = "solved" if trajectory.success else "not solved"
    print(f"{trajectory.instruction}: {outcome} after {trajectory.duration:.1f} s; close to stop")
    play(model, trajectory, args.speed)
    return 0


def _check_display() -> None:
    """Without a display the viewer would end the process with a message about GLFW."""
    named = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if sys.platform == "linux" and not named:
        raise OSError(
            "no display: neither DISPLAY nor WAYLAND_DISPLAY is set; copy the episode's folder to "
            "a machine with a screen, or watch the film"
        )


def play(model: mujoco.MjModel, trajectory: Trajectory, speed: float = 1.0) -> None:
    """Shows the episode over and over until the window is closed.

    Args:
        model: of the recording.
        trajectory: of the recording.
        speed: 1 is real time.
    """
    import mujoco.viewer

    data = mujoco.MjData(model)
    period = trajectory.duration / speed + _PAUSE
    with mujoco.viewer.launch_passive(model, data) as viewer:
        begin = time.monotonic()
        while viewer.is_running():
            tick = time.monotonic()
            data.time = min(((tick - begin) % period) * speed, trajectory.duration)
            data.qpos[:] = pose_at(model, trajectory, trajectory.time[0] + data.time)
            mujoco.mj_forward(model, data)
            viewer.sync()
            time.sleep(max(0.0, _FRAME - (time.monotonic() - tick)))


if __name__ == "__main__":
    sys.exit(main())
