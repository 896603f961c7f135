"""Requests to the QEMU plug-in, in place of the C extension, on the Arm side.

There it is the module `powerml.guest._client_requests`: a compiler for the board is not needed. The
requests are those of ``instrument/plugin_requests.h``.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time

GETPRIORITY = 141  # system call of 64-bit Arm
MAGIC = 0x504D
START, ZERO, COUNTERS, FUNCTIONS, TELL, HOST_CLOCK = 1, 3, 4, 8, 9, 12
SEGMENT, SEGMENT_LOOKS, WATCH, LEARN, SIFT, OPEN_MARKS, MARK = range(13, 20)
TELLING_BYTES = 65536  # what telling itself may add to what is told
SET_PARENT_DEATH_SIGNAL = 1

_number, _text = ctypes.c_long, ctypes.c_char_p
# Each call has arguments of its own kinds, so that none is converted by guess.
_of_numbers = ctypes.CDLL(None).syscall
_of_numbers.argtypes, _of_numbers.restype = [_number] * 4, _number
_of_texts = ctypes.CDLL(None).syscall
_of_texts.argtypes, _of_texts.restype = [_number, _number, _number, _text], _number
_of_memory = ctypes.CDLL(None).syscall
_of_memory.argtypes, _of_memory.restype = [_number] * 5, _number


def running_on_valgrind() -> int:
    """Return 0: this is another simulator."""
    return 0


def start_instrumentation() -> None:
    """Start counting. Empties the simulated caches and drops all translations."""
    _of_numbers(GETPRIORITY, MAGIC, START, 0)


def zero_stats() -> None:
    """Set the counts to zero. The simulated caches stay as they are."""
    _of_numbers(GETPRIORITY, MAGIC, ZERO, 0)


def open_marks(path: str, /) -> None:
    """Have marks written into a new file; raises ``OSError``."""
    _check(_of_texts(GETPRIORITY, MAGIC, OPEN_MARKS, path.encode()), path)


def mark(name: str, /) -> None:
    """Write the counts so far down, under the given name; raises ``OSError``."""
    _check(_of_texts(GETPRIORITY, MAGIC, MARK, name.encode()), name)


def charge_functions(kind: int, /) -> None:
    """Charge to functions too, from now on, in a profile."""
    _of_numbers(GETPRIORITY, MAGIC, _for_profile(kind, FUNCTIONS), 1)


def _for_profile(kind: int, wanted: int) -> int:
    """Return a request for one of `powerml.guest.request`: a measurement asks something else."""
    return (COUNTERS, COUNTERS, wanted)[kind]


def tell(path: str, /) -> None:
    """Write what each scope and function has cost into a new file; raises ``OSError``."""
    room = ctypes.create_string_buffer(_of_memory(GETPRIORITY, MAGIC, TELL, 0, 0) + TELLING_BYTES)
    size = _of_memory(GETPRIORITY, MAGIC, TELL, ctypes.addressof(room), len(room))
    with open(path, "xb") as file:
        file.write(memoryview(room)[:size])


def segment(name: str | None, /) -> None:
    """Begin a segment of this name, where the one before ends; None begins none."""
    _of_texts(GETPRIORITY, MAGIC, SEGMENT, None if name is None else name.encode())


def segment_looks(on: bool, /) -> None:
    """Have each look at the clock begin a segment, or no more."""
    _of_numbers(GETPRIORITY, MAGIC, SEGMENT_LOOKS, int(on))


def watch(addresses: bytes, /) -> None:
    """Have code at these addresses, 64 bits each in ascending order, begin segments."""
    room = ctypes.create_string_buffer(addresses)
    count = len(addresses) // ctypes.sizeof(ctypes.c_uint64)
    _of_memory(GETPRIORITY, MAGIC, WATCH, ctypes.addressof(room), count)


def learn(kind: int, /) -> None:
    """Learn the code that is run from now on, in a profile."""
    _of_numbers(GETPRIORITY, MAGIC, _for_profile(kind, LEARN), 1)


def learn_no_more() -> None:
    """Learn no more."""
    _of_numbers(GETPRIORITY, MAGIC, LEARN, 0)


def sift(start: int, until: int, /) -> None:
    """Charge code that was not learnt to a scope of its own, with what it calls elsewhere."""
    _of_memory(GETPRIORITY, MAGIC, SIFT, start, until)


def _check(number: int, what: str) -> None:
    if number:
        raise OSError(number, os.strerror(number), what)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, whatever way."""
    ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def monotonic_seconds() -> float:
    """Return the system's monotonic clock, whatever clock the process is given."""
    _of_numbers(GETPRIORITY, MAGIC, HOST_CLOCK, 1)
    told = time.clock_gettime(time.CLOCK_MONOTONIC)
    _of_numbers(GETPRIORITY, MAGIC, HOST_CLOCK, 0)
    return told
