"""The command line: options in, tables or JSON out. It calls only the public API.

Results go to standard output, progress and errors to standard error. Exit codes: 0 done, 1 failed
while running, 2 wrong use, 3 a limit was exceeded, 130 interrupted.
"""

from __future__ import annotations

import errno
import signal
import sys
from types import FrameType
from typing import NoReturn

import typer
from typer._click.exceptions import ClickException, NoArgsIsHelpError

from powerml.commands.calibrating import calibrate
from powerml.commands.choosing import best
from powerml.commands.console import Terminated
from powerml.commands.information import cache_app, doctor, machines_app
from powerml.commands.measuring import measure
from powerml.commands.reporting import dashboard, report
from powerml.commands.reproducing import reproduce
from powerml.commands.searching import optimize
from powerml.errors import PowerMLError

__all__ = ["app", "main"]

INTERRUPTED = 130
TERMINATED = 143

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="What a neural network's training and inference cost a processor, measured by simulation; "
    "and the topology with the best trade.",
)
for command in (doctor, measure, optimize, best, report, dashboard, calibrate, reproduce):
    app.command()(command)
app.add_typer(machines_app, name="machines")
app.add_typer(cache_app, name="cache")


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def main() -> NoReturn:
    """Run the command line; every error is one line on standard error."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(standalone_mode=False)
    except PowerMLError as error:
        sys.exit(_complain(str(error), error.exit_code))
    except NoArgsIsHelpError:
        sys.exit(2)  # it has printed the help
    except ClickException as error:
        sys.exit(_complain(f"{error.format_message().rstrip('.')}: see powerml --help", 2))
    except Terminated:
        sys.exit(TERMINATED)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        sys.exit(_complain(_told(error), 1))
    sys.exit(code if isinstance(code, int) else 0)


def _told(error: OSError) -> str:
    reason = error.strerror or str(error)
    where = "" if error.filename is None else f"{error.filename}: "
    advice = "free space" if error.errno == errno.ENOSPC else "give a place that can be used"
    return f"{where}{reason}: {advice}"


def _complain(message: str, exit_code: int) -> int:
    print(f"powerml: error: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201 - what a command says
    return exit_code


if __name__ == "__main__":
    main()
