"""The warm simulator itself: it serves the guests over a socket until nobody needs them.

``python -m powerml.meters.simulator.warm.daemon KEY IDLE_MINUTES PACKAGE`` leaves the process in
the background and ends once commands can reach it, or with a line on what went wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TypeVar

from powerml.errors import PowerMLError, ServerError
from powerml.machines import Geometry, is_emulated
from powerml.meters.simulator import launch
from powerml.meters.simulator.board import Boards
from powerml.meters.simulator.caches import SimulatedCaches
from powerml.meters.simulator.server import Server
from powerml.meters.simulator.view import PACKAGE, open_view
from powerml.meters.simulator.warm.guests import Guest, Guests, StagedServer
from powerml.meters.simulator.warm.place import (
    OTHERS,
    SUFFIX,
    installation_key,
    open_folder,
    require_same_user,
    socket_address,
    user_folder,
)
from powerml.meters.simulator.warm.protocol import (
    LONGEST_LINE_BYTES,
    Finished,
    GiveUp,
    GuestWanted,
    Message,
    Ready,
    RequestFailed,
    StateWanted,
    Stop,
    Submit,
    Using,
    WarmState,
    decode,
    encode,
)

__all__ = ["Daemon", "main"]

LOOK_SECONDS = 30.0
SECONDS_IN_A_MINUTE = 60.0
STARTED = b"started"
PRIVATE_FILE = 0o600
Found = TypeVar("Found")


class Daemon:
    """The conversations with commands, and the end.

    Parameters
    ----------
    guests
        The guests to serve; whoever made them ends them.
    slots
        Requests that are done at once, of all commands together.
    is_current
        Tells whether the installation is the one that the guests were started from.
    look_seconds
        Time between two looks at the installation and at idle guests.
    """

    def __init__(
        self,
        guests: Guests,
        slots: int,
        is_current: Callable[[], bool],
        look_seconds: float = LOOK_SECONDS,
        idle_minutes: float = 0.0,
    ) -> None:
        self._guests = guests
        self._slots = asyncio.Semaphore(slots)
        self._is_current = is_current
        self._look_seconds = look_seconds
        self._idle_minutes = idle_minutes
        self._ended = asyncio.Event()
        self._conversations: set[asyncio.Task[None]] = set()

    def end(self) -> None:
        """Have `serve` return."""
        self._ended.set()

    async def serve(self, listening: socket.socket) -> None:
        """Serve until the guests are idle or the installation has changed, or `end` is called."""
        server = await asyncio.start_unix_server(
            self._begin, sock=listening, limit=LONGEST_LINE_BYTES
        )
        async with server:
            while not self._ended.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), self._look_seconds)
                await asyncio.to_thread(self._guests.end_idle)
                if self._guests.are_idle or await asyncio.to_thread(self._is_outdated):
                    self.end()
            server.close()
            for conversation in self._conversations:
                conversation.cancel()
            await asyncio.gather(*self._conversations, return_exceptions=True)

    def _is_outdated(self) -> bool:
        """True if no command will find this simulator again, and none uses it."""
        return self._guests.users == 0 and not self._is_current()

    async def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.current_task()
        if conversation is not None:
            self._conversations.add(conversation)
        try:
            await self._converse(reader, writer)
        except Exception as error:  # whatever it is, the command must hear of it
            _tell(writer, RequestFailed.of(None, error))
        finally:
            writer.close()
            if conversation is not None:
                self._conversations.discard(conversation)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        require_same_user(writer.get_extra_info("socket"))
        wanted = await _heard(reader)
        if isinstance(wanted, GuestWanted):
            await self._serve_user(wanted, reader, writer)
        elif isinstance(wanted, (StateWanted, Stop)):
            _tell(writer, self._state())
            if isinstance(wanted, Stop):
                await writer.drain()
                self.end()
        elif wanted is not None:
            raise ServerError(f"the warm simulator was told {wanted.kind!r} before anything else")

    def _state(self) -> WarmState:
        return WarmState(
            process=os.getpid(),
            idle_minutes=self._idle_minutes,
            idle_seconds=self._guests.idle_seconds,
            users=self._guests.users,
            guests=self._guests.state(),
        )

    async def _serve_user(
        self, wanted: GuestWanted, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        _tell(writer, Using(is_ready=self._guests.is_ready(wanted)))
        guest = await asyncio.to_thread(self._guests.use, wanted)
        try:
            described = await _result(guest.server.ready)
            _tell(writer, Ready(described, guest.server.seconds_per_step))
            await self._do_requests(guest, reader, writer)
        finally:
            self._guests.release(guest)

    async def _do_requests(
        self, guest: Guest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Do a command's requests side by side; those are given up that it leaves behind."""
        under_way: dict[int, asyncio.Task[None]] = {}
        try:
            while (message := await _heard(reader)) is not None:
                if isinstance(message, Submit):
                    request = asyncio.create_task(self._do(message, guest.server, writer))
                    under_way[message.number] = request
                    request.add_done_callback(partial(_forget, under_way, message.number))
                elif isinstance(message, GiveUp) and message.number in under_way:
                    under_way[message.number].cancel()
        finally:
            left = list(under_way.values())
            for request in left:
                request.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _do(
        self, request: Submit, server: StagedServer, writer: asyncio.StreamWriter
    ) -> None:
        try:
            async with self._slots:
                result = server.submit_staged(
                    request.content, request.title, Path(request.folder), request.limit_seconds
                )
                try:
                    done = await _result(result)
                except asyncio.CancelledError:
                    server.give_up(result)
                    raise
            _tell(writer, Finished.of(request.number, done))
        except Exception as error:  # whatever it is, the command must hear of it
            _tell(writer, RequestFailed.of(request.number, error))


def _forget(
    under_way: dict[int, asyncio.Task[None]], number: int, _ended: asyncio.Task[None]
) -> None:
    under_way.pop(number, None)


async def _heard(reader: asyncio.StreamReader) -> Message | None:
    """Return the next message; None at the end of the connection."""
    try:
        line = await reader.readline()
    except ValueError as error:
        raise ServerError.quoting(
            "a message to the warm simulator cannot be read", error, "measure with --no-warm"
        ) from error
    except ConnectionError:
        return None
    return decode(line) if line else None


def _tell(writer: asyncio.StreamWriter, message: Message) -> None:
    if not writer.is_closing():
        writer.write(encode(message))


async def _result(future: Future[Found]) -> Found:
    """Wait for the result of a thread's work, which goes on if nobody waits any more."""
    return await asyncio.shield(asyncio.wrap_future(future))


def main() -> None:
    """Start in the background.

    The arguments are the key, the minutes until an idle end, and the folder of the command's
    powerML. This process ends when commands can reach the one in the background. Its exit code is
    1, with a line on standard error, if that one could not be started.
    """
    key, idle_minutes, package = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    if package != str(PACKAGE):
        sys.exit(f"{sys.executable} has another powerml, in {PACKAGE}: install that of {package}")
    hearing, telling = os.pipe()
    if os.fork():
        os.close(telling)
        with open(hearing, "rb") as pipe:
            said = pipe.read()
        sys.exit(None if said == STARTED else said.decode() or "it ended at once")
    os.close(hearing)
    os.setsid()
    os.umask(OTHERS)
    try:
        with open_folder(user_folder()) as folder:
            _detach(folder, f"{key}.log")
            _run(folder, f"{key}{SUFFIX}", idle_minutes, telling)
    except Exception as error:
        with contextlib.suppress(OSError):  # it has begun to serve, and nobody listens
            os.write(telling, str(error).encode())
        raise


def _detach(folder: int, log: str) -> None:
    """Give up the terminal of the command that started this process."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE, dir_fd=folder)
    for stream, target in ((nothing, 0), (written, 1), (written, 2)):
        os.dup2(stream, target)
    for stream in (nothing, written):
        os.close(stream)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _run(folder: int, name: str, idle_minutes: float, telling: int) -> None:
    """Listen, tell so, and serve; the socket is gone before the guests are."""
    started_from = installation_key()
    with (
        launch.private_folder() as private,
        open_view(private, launch.environment(None)) as view,
        Boards(private) as boards,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening,
    ):

        def start(wanted: GuestWanted) -> Server:
            if installation_key() != started_from:
                raise ServerError(
                    "the installation has changed since the warm simulator was started: stop it "
                    "with powerml warm --stop"
                )
            geometries = [Geometry.model_validate_json(one) for one in wanted.geometries]
            caches, processor = SimulatedCaches(geometries), geometries[0].processor
            if processor is not None and is_emulated(processor):
                launched = boards.board(processor).launch(caches, "serve", wanted.job)
            else:
                launched = launch.simulator(caches, wanted.backend, view, "serve", wanted.job)
            return Server(launched, private, wanted.job)

        guests = Guests(start, idle_minutes * SECONDS_IN_A_MINUTE)
        listening.bind(socket_address(folder, name))
        try:
            listening.listen()
            os.write(telling, STARTED)
            os.close(telling)
            asyncio.run(_serve(guests, listening, started_from, idle_minutes))
        finally:
            guests.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)


async def _serve(
    guests: Guests, listening: socket.socket, started_from: str, idle_minutes: float
) -> None:
    slots = len(os.sched_getaffinity(0))
    daemon = Daemon(
        guests,
        slots,
        is_current=lambda: _has_key(started_from),
        idle_minutes=idle_minutes,
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, daemon.end)
    await daemon.serve(listening)


def _has_key(key: str) -> bool:
    try:
        return installation_key() == key
    except (PowerMLError, OSError):  # it is being changed, or is gone
        return False


if __name__ == "__main__":
    main()
