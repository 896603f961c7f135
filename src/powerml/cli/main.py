"""Entry point of the command line: signals, exit codes, and one line for every error.

Results go to standard output, progress and errors to standard error. Exit codes: 0 done, 1 failed
while running, 2 wrong use, 3 a limit is exceeded, 4 not comparable. After a signal they are 130
(Ctrl-C), 143 (SIGTERM) and 129 (the terminal was closed). An error with details beyond its line
leaves a log.
"""

from __future__ import annotations

import sys

# What is imported may fail too: so everything else is, where it is caught.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["main"]

LONGEST_LINE = 300
LAST_STREAM = 2


def main() -> NoReturn:
    """Run the command line; every error is one line on standard error."""
    try:
        code = _heeding_signals()
    except KeyboardInterrupt:  # before signals were heeded
        code = 130
    except BaseException as error:
        code = _fail(error)
    sys.exit(code)


def _heeding_signals() -> int:
    import signal

    from powerml.signals import Terminated, exit_code_of, heed_signals, signals_end_at_once

    try:
        heed_signals()
        code = _run()
    except Terminated as told:
        code = exit_code_of(told.number)
    except KeyboardInterrupt:
        code = exit_code_of(signal.SIGINT)
    signals_end_at_once(code)
    return code


def _run() -> int:
    try:
        _reopen_closed_streams()
        _print_any_text()
        return _command()
    except (Exception, SystemExit) as error:
        # Rich ends the process itself where nobody reads its output.
        if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
            sys.stderr.close()
            return 1
        return _fail(error)


def _reopen_closed_streams() -> None:
    """Let closed streams lead nowhere, lest a file that is opened later take their place."""
    import os

    while (opened := os.open(os.devnull, os.O_RDWR)) <= LAST_STREAM:
        pass
    os.close(opened)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 - for good
            setattr(sys, name, stream)


def _print_any_text() -> None:
    """Print names that are no UTF-8, and characters that a terminal lacks, in escaped form."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def _command() -> int:
    # It takes a while; signals are heeded before.
    import typer
    from typer._click.exceptions import ClickException, NoArgsIsHelpError

    from powerml.cli.app import app
    from powerml.cli.last_resort import complain

    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except NoArgsIsHelpError:
        return 2  # it has printed the help
    except ClickException as error:
        complain(f"{error.format_message().rstrip('.')}: see powerml --help", error)
        return 2
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    return code if isinstance(code, int) else 0


def _fail(error: BaseException) -> int:
    """Print an error of any kind; returns the exit code."""
    try:
        from powerml.cli.last_resort import complain, explain

        message, code, has_more = explain(error)
        complain(message, error, has_more=has_more)
        _drop_what_cannot_be_written()
    except (Exception, SystemExit):
        # A csv.py on PYTHONPATH may be in the way of what makes an error's line.
        said = str(error) or "a module in place of one of Python's own ended it"
        advice = "take folders with modules of such names off PYTHONPATH"
        text = " ".join(f"powerml: error: {type(error).__name__}: {said}; {advice}".split())
        sys.stderr.write(f"{text[:LONGEST_LINE]}\n")
        return 1
    return code


def _drop_what_cannot_be_written() -> None:
    """Keep Python from flushing again at exit, which would end with a code of its own."""
    import os

    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)


if __name__ == "__main__":
    main()
