"""The transfer domain: the same tasks in a world that training never saw.

It stands in for the real robot. The task, its success test, the actions and the episode starts are
those of `sim.env`; shapes, contacts, timing, light, surfaces and cameras differ by the sizes in
`TransferConfig`. MuJoCo steps it in float64 on the host and draws it with OpenGL.
"""

from sim.transfer.config import USUAL, TransferConfig
from sim.transfer.env import Played, TransferEnv
from sim.transfer.opengl import NO_OPENGL, find_opengl

__all__ = ["NO_OPENGL", "USUAL", "Played", "TransferConfig", "TransferEnv", "find_opengl"]
