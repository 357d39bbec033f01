"""``swaptrace``: the commands, and the one place where errors become lines on stderr and exit codes.

Exit codes: 0 done; 1 a check said no (``diff --fail-on``, ``validate``); 2 usage; 3 input unreadable,
corrupt or newer; 4 capability missing, or too little memory; 5 permission, or an output that cannot be written;
70 a bug in swaptrace; 130 interrupted; 141 the reader of stdout went away.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from swaptrace.cli import cost, diff, doctor, info, policies, record, replay, report, schema, synth, validate
from swaptrace.cli.machine import prefer_avx2_sort, versions
from swaptrace.model.errors import InputError, PermissionDenied, SpaceError, SwaptraceError

__all__ = ["app", "run"]

_BUG = 70  # EX_SOFTWARE of sysexits.h
_SIGINT = 130
_SIGPIPE = 141


class _Commands(TyperGroup):
    """The group of all commands; :meth:`invoke` is where errors end."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Accept ``--debug`` anywhere before ``--``: users append it to the line that failed."""
        own = args[: args.index("--")] if "--" in args else args
        if "--debug" in own:
            args = ["--debug", *(word for word in own if word != "--debug"), *args[len(own) :]]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; print an error as its lines, a bug, too: a traceback only with ``--debug``."""
        debug = bool(ctx.params.get("debug"))
        try:
            try:
                prefer_avx2_sort()
                result = super().invoke(ctx)
                sys.stdout.flush()
                return result
            except PermissionError as error:
                raise PermissionDenied(
                    _text(error), "This user may not.", "Choose another place, or a user who may."
                ) from error
            except BrokenPipeError:
                raise
            except OSError as error:
                if error.filename is None and error.errno == errno.ENOSPC:
                    raise PermissionDenied(
                        "cannot write the result.", _text(error), "Make room, and run it again."
                    ) from error
                raise InputError(_text(error)) from error
            except UnicodeEncodeError as error:  # Parquet, JSON and mail are UTF-8
                raise InputError("a file name or argument is not UTF-8.", f"{error.object!a}", "Rename it.") from error
            except MemoryError as error:
                raise SpaceError(
                    "out of memory.",
                    f"{_first_line(error) or 'An allocation failed'}.",
                    "Give the policy a smaller device or buffer, or take a machine with more memory.",
                ) from error
        except SwaptraceError as error:
            _traceback(debug)
            print("\n".join(error.lines()), file=sys.stderr)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            _traceback(debug)
            print("swaptrace: interrupted; no partial result was written.", file=sys.stderr)
            raise typer.Exit(_SIGINT) from error
        except BrokenPipeError as error:  # | head: whoever read stdout has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(_SIGPIPE) from error
        except Exception as error:
            if isinstance(error, (typer.Exit, typer.Abort)) or hasattr(error, "exit_code"):
                raise  # typer's own: usage errors and exits
            _traceback(debug)
            lines = SwaptraceError(
                f"internal error: {type(error).__name__}: {_first_line(error)}",
                "This is a bug in swaptrace, whatever your input is: please report it.",
                "A report needs the output of this command with --debug, and of: swaptrace --version",
            ).lines()
            print("\n".join(lines), file=sys.stderr)
            raise typer.Exit(_BUG) from error


def _traceback(wanted: bool) -> None:
    if wanted:
        import traceback

        traceback.print_exc()


def _text(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror or _first_line(error)}."


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _version(wanted: bool) -> None:
    if wanted:
        print("\n".join(versions()))
        raise typer.Exit


app = typer.Typer(
    cls=_Commands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="First steps: swaptrace policies list; swaptrace diff TRACE -p swap-table -p vswap-v6",
)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print all versions and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print the traceback of an error, too.")] = False,
) -> None:
    """Record a kernel's swap events, replay them onto virtual-swap layouts, diff the reports."""


for _command in (record, doctor, synth, info, validate, replay, report, diff, policies, cost, schema):
    _command.register(app)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def run() -> None:
    """Run the command line of this process. SIGTERM and SIGHUP end it as Ctrl-C does: nothing half-written stays."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, _interrupt)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for the life of the process
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a terminal that is not UTF-8
    try:
        app(prog_name="swaptrace")
    except KeyboardInterrupt:  # before or after the command itself
        os._exit(_SIGINT)
    except OSError as error:  # the help or the versions could not be written
        print(f"swaptrace: cannot write the result.\n  {_text(error)}", file=sys.stderr)
        os._exit(PermissionDenied.exit_code)  # without another try to write it
