"""The command line's way in and out: signals, exit codes, and one line for every error.

Results go to standard output, progress and errors to standard error. Exit codes: 0 done, 1 failed
while running, 2 wrong use, 3 a limit was exceeded, 130 interrupted (Ctrl-C), 143 told to end
(SIGTERM), 129 the terminal was closed.
"""

from __future__ import annotations

import errno
import signal
import sys
from typing import NoReturn

from powerml.errors import PowerMLError
from powerml.interruption import Terminated, exit_code_of, heed_signals, signals_end_at_once

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line; every error is one line on standard error."""
    try:
        heed_signals()
        code = _run()
    except Terminated as told:
        code = exit_code_of(told.number)
    except KeyboardInterrupt:
        code = exit_code_of(signal.SIGINT)
    signals_end_at_once(code)
    sys.exit(code)


def _run() -> int:
    # It takes a while; signals are heeded before.
    import typer
    from typer._click.exceptions import ClickException, NoArgsIsHelpError

    from powerml.commands.app import app

    try:
        code = app(standalone_mode=False)
    except PowerMLError as error:
        return _complain(str(error), error.exit_code)
    except NoArgsIsHelpError:
        return 2  # it has printed the help
    except ClickException as error:
        return _complain(f"{error.format_message().rstrip('.')}: see powerml --help", 2)
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        return _complain(_told(error), 1)
    return code if isinstance(code, int) else 0


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
