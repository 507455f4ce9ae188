"""The command line: `vla-jax COMMAND ...`.

Results go to stdout, everything else to stderr. Exit status 0: done; 2: bad input, one line that
says what to change; 130: interrupted; 1: anything else.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from vla_jax import __version__
from vla_jax.commands import COMMANDS
from vla_jax.commands.common import natural
from vla_jax.progress import Progress, catch_interrupts

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

_HOME = Path(__file__).resolve().parent.parent
_OURS = tuple(str(_HOME / name) for name in ("generation", "sim", "vla_jax", "benchmarks"))
_BAD_PATHS = (FileExistsError, FileNotFoundError, NotADirectoryError)


class _Parser(argparse.ArgumentParser):
    """Reports errors as exceptions, so that they become one line like all others."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (see `{self.prog} --help`)")


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(
        prog="vla-jax",
        description="From a sentence to a fine-tuned robot policy: design scenes, pretrain, "
        "fine-tune by PPO and evaluate.",
        epilog="`vla-jax COMMAND --help` explains a command. Try `vla-jax demo` first.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"vla-jax {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        child = commands.add_parser(
            command.NAME,
            help=command.SUMMARY,
            description=command.DESCRIPTION,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(child)
        shared = child.add_argument_group("of every command")
        shared.add_argument(
            "--seed",
            type=natural,
            default=0,
            metavar="N",
            help="everything random descends from it (default 0)",
        )
        shared.add_argument(
            "--json", action="store_true", help="print one JSON object as the last line on stdout"
        )
        shared.add_argument(
            "--debug", action="store_true", help="show the traceback of an error as well"
        )
        child.set_defaults(run=command.run, again=getattr(command, "AGAIN", _AGAIN))
    return parser


_AGAIN = "run the same command again to continue"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments after the program's name; those of the process by default.

    Returns:
        The exit status.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    debug, again = "--debug" in argv, _AGAIN
    catch_interrupts()
    try:
        args = make_parser().parse_args(argv)
        again = args.again
        from vla_jax.cache import enable_compile_cache

        enable_compile_cache()
        with Progress() as progress:
            outcome = args.run(args, progress)
        print(json.dumps(_plain(outcome.data)) if args.json else outcome.text, flush=True)
        return DONE
    except KeyboardInterrupt:
        _say(f"stopped; {again}")
        return INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _explain(error, debug)


def _explain(error: Exception, debug: bool) -> int:
    """One line about an error, and its exit status."""
    text = " ".join(_text(error).split())
    if _is_bad_input(error):
        _say(f"vla-jax: error: {text}")
        return BAD_INPUT
    hint = "" if debug else "; run again with --debug for the traceback, `vla-jax doctor` to check"
    _say(f"vla-jax: failed: {type(error).__name__}: {text}{hint}")
    return FAILED


def _text(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; check the path"
    return str(error)


def _is_bad_input(error: Exception) -> bool:
    """A path that does not fit, or a ValueError that this library itself raised."""
    if isinstance(error, _BAD_PATHS):
        return True
    if not isinstance(error, ValueError):
        return False
    place = traceback.extract_tb(error.__traceback__)[-1].filename
    return any(Path(place).resolve().is_relative_to(folder) for folder in _OURS)


def _plain(value: Any) -> Any:
    """The value as JSON can hold it: a number that is not finite becomes null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
