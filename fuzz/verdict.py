"""The rules that every end of a command keeps. Pure."""

from __future__ import annotations

import re
import signal

from fuzz.case import Command, Ended
from powerml.errors import LONGEST_MESSAGE

__all__ = ["CODES", "faults_of"]

CODES = (0, 1, 2, 3, 4)
START = "powerml: error: "
# Lines of progress, and of remarks, which are no errors.
MOST_PROGRESS = 60
UNFORESEEN = "did not foresee"
# Answers of the last resort, which name no input.
UNNAMED = ("what was given is nested too deeply", "out of memory: ask for less at once")
TRACE = re.compile(r"^Traceback \(most recent call last\)|^  File \"", re.MULTILINE)
# Variables by which a user asks for a terminal's codes, and those codes (ECMA-48, 5.4).
TERMINALS = {"TTY_COMPATIBLE", "FORCE_COLOR", "CLICOLOR_FORCE"}
CONTROLS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
WARNING = re.compile(r"\w*Warning: ")


def faults_of(command: Command, ended: Ended) -> list[str]:
    """Return the rules that an end breaks."""
    if ended.timed_out:
        return [f"it hung: ended after {ended.seconds:.0f} s"]
    faults = []
    if ended.code not in CODES:
        faults.append(f"exit code {ended.code}{_signal(ended.code)}")
    if ended.left_processes:
        faults.append("a process was left running")
    if TRACE.search(ended.err) or TRACE.search(ended.out):
        faults.append("a traceback")
    if UNFORESEEN in ended.err:
        faults.append("an error that powerML did not foresee")
    faults += [f"an error that names no input: {text}" for text in UNNAMED if text in ended.err]
    return faults + _faults_of_lines(command, ended)


def _faults_of_lines(command: Command, ended: Ended) -> list[str]:
    err = CONTROLS.sub("", ended.err) if TERMINALS & command.environment.keys() else ended.err
    lines = err.splitlines()
    errors = [line for line in lines if line.startswith(START)]
    faults = []
    if any(len(line) > LONGEST_MESSAGE for line in errors):
        faults.append(f"an error of {max(map(len, errors))} characters")
    if len(errors) > 1:
        faults.append(f"{len(errors)} errors in place of one")
    if ended.code in CODES[1:] and not errors and ended.err:
        faults.append("no line of an error")
    if ended.code == 0 and errors:
        faults.append("an error with exit code 0")
    if ended.code == 1 + 1 and len(lines) > 1 and not command.runs_user_code:
        faults.append(f"{len(lines)} lines on standard error for wrong use")
    if len(lines) > MOST_PROGRESS and not command.runs_user_code:
        faults.append(f"{len(lines)} lines on standard error")
    if not command.runs_user_code and WARNING.search(ended.err):
        faults.append("a warning of a library")
    return faults


def _signal(code: int) -> str:
    if code >= 0:
        return ""
    return f" ({signal.Signals(-code).name})"
