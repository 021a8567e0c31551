"""Addresses where messages come in: UDP, TCP, TCP with TLS. One thread for all; whoever breaks something breaks it alone."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from threading import Thread
from typing import Any, Literal, cast

import msgspec

from xmsec.model.errors import ConfigError, ServiceError
from xmsec.sources.inlet import Handed, Inlet
from xmsec.sources.messages import Message, Messages
from xmsec.sources.spool import Entry

CONNECTIONS = 1_024  # of one address at once, each with at most some 200 KiB; more are turned away
READ_BYTES = 64 << 10
DATAGRAMS = 1_000  # taken at once; the kernel keeps what waits
KERNEL_BYTES = 8 << 20  # asked for as the kernel's buffer; it gives what net.core.rmem_max allows
RETRY_S = 0.05  # how soon to look for room again
HANDSHAKE_S = 10
CLOSE_S = 5

Scheme = Literal["udp", "tcp", "tls"]
Now = Callable[[], datetime]


class Address(msgspec.Struct, frozen=True):
    """Where one stream's messages come in."""

    stream: str
    scheme: Scheme
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Certificate(msgspec.Struct, frozen=True):
    """What TLS shows and asks for. client_ca: who must have signed a client's certificate; None: clients need none."""

    chain: Path
    key: Path | None = None
    client_ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Make TLS 1.2 or newer of it. Raises ConfigError."""
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        where = self.chain
        try:
            made.load_cert_chain(self.chain, self.key, password=_no_password)
            if self.client_ca is not None:
                where = self.client_ca
                made.load_verify_locations(self.client_ca)
                made.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            what = f"certificate cannot be used ({type(error).__name__})"
            raise ConfigError(what, where=str(where), remedy="name readable PEM files without a password") from error
        return made


def _no_password() -> str:
    raise ValueError("the key has a password")


class Listener:
    """All addresses, served by one thread. `bound` says where it listens, once it is entered. Raises ConfigError."""

    def __init__(self, addresses: Sequence[Address], certificate: Certificate | None, inlet: Inlet, now: Now) -> None:
        self._inlet, self._now = inlet, now
        self._tls = certificate.context() if certificate is not None else None
        self._doors: list[_Door] = []
        self._loop = asyncio.new_event_loop()
        if addresses:
            _allow_open()
        self._loop.set_exception_handler(lambda _, __: None)  # counted where it happens; its text may quote a message
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        try:
            for one in addresses:
                self._doors.append(_Door(one, _bind(one), inlet, now))
        except BaseException:
            self._close()
            raise

    @property
    def bound(self) -> Sequence[Address]:
        """The addresses as they are, with the ports that were chosen."""
        return [door.address for door in self._doors]

    def __enter__(self) -> Listener:
        self._thread.start()
        for door in self._doors:
            self._run(door.open(self._tls))
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._close()

    async def _end(self) -> None:
        for door in self._doors:
            door.close()
        others = asyncio.all_tasks() - {cast("asyncio.Task[Any]", asyncio.current_task())}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=CLOSE_S)

    def _run(self, what: Any) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result()

    def _close(self) -> None:
        for door in self._doors:
            door.socket.close()
        self._loop.close()

    def dropped(self) -> Iterator[tuple[Address, int]]:
        """Say which addresses the kernel dropped datagrams of, and how many since this was last asked."""
        for door in self._doors:
            if door.address.scheme == "udp" and (more := door.newly_dropped()):
                self._inlet.count("dropped", door.address.stream, more)
                yield door.address, more


class _Door:
    """One address."""

    def __init__(self, address: Address, bound: socket.socket, inlet: Inlet, now: Now) -> None:
        self.socket = bound
        self.address = msgspec.structs.replace(address, port=bound.getsockname()[1])
        self._inlet, self._now = inlet, now
        self._connected = self._dropped = 0
        self._server: asyncio.Server | None = None
        self._later: asyncio.Task[None] | None = None  # datagrams wait for room

    async def open(self, tls: ssl.SSLContext | None) -> None:
        if self.address.scheme == "udp":
            asyncio.get_running_loop().add_reader(self.socket, self._receive)
            return
        if self.address.scheme == "tcp":
            self._server = await asyncio.start_server(self._serve, sock=self.socket, limit=READ_BYTES)
            return
        self._server = await asyncio.start_server(
            self._serve, sock=self.socket, limit=READ_BYTES, ssl=tls, ssl_handshake_timeout=HANDSHAKE_S
        )

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        else:
            asyncio.get_running_loop().remove_reader(self.socket)

    def newly_dropped(self) -> int:
        total = kernel_drops(self.socket)
        more, self._dropped = total - self._dropped, total
        return more

    def _receive(self) -> None:
        """Take the datagrams that wait; while there is no room they stay with the kernel, which counts what it drops."""
        found: list[Message] = []
        while len(found) < DATAGRAMS:
            try:
                found.append((self.socket.recv(READ_BYTES).rstrip(b"\r\n\0"), False))
            except OSError:  # no more for now
                break
        entry = self._entry(found)
        if entry is None:
            return
        try:
            self._inlet.put(Handed(entry))
        except ServiceError:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self.socket)
            self._later = loop.create_task(self._receive_later(entry))

    async def _receive_later(self, entry: Entry) -> None:
        await self._safe(entry)
        asyncio.get_running_loop().add_reader(self.socket, self._receive)

    def _entry(self, found: Sequence[Message]) -> Entry | None:
        kept = [one for one in found if one[0]]
        cut = tuple(place for place, (_, cut) in enumerate(kept) if cut)
        return Entry(self.address.stream, self._now(), tuple(line for line, _ in kept), cut=cut) if kept else None

    async def _safe(self, entry: Entry | None) -> None:
        """Wait until messages are safe; however long there is no room, it counts once."""
        if entry is None:
            return
        waited = False
        while True:
            try:
                await asyncio.wrap_future(self._inlet.put(Handed(entry)))
                return
            except ServiceError:
                if not waited:
                    self._inlet.count("waited", self.address.stream)
                waited = True
                await asyncio.sleep(RETRY_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connected >= CONNECTIONS:
            self._inlet.count("turned-away", self.address.stream)
            writer.transport.abort()
            return
        self._connected += 1
        self._inlet.count("connections", self.address.stream)
        try:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            await self._read(reader)
        except OSError:  # reset, or not TLS any more; what it had sent was handed over
            self._inlet.count("broken", self.address.stream)
        finally:
            self._connected -= 1
            writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Read one connection; while its messages are not safe nothing more is read, so the sender has to wait."""
        messages = Messages()
        try:
            while chunk := await reader.read(READ_BYTES):
                await self._safe(self._entry(messages.feed(chunk)))
                if messages.broken:
                    self._inlet.count("bad-frame", self.address.stream)
                    return
        except OSError:
            await self._safe(self._entry(messages.end()))
            raise
        await self._safe(self._entry(messages.end()))


def _allow_open() -> None:
    """Raise this process's own limit of open files as far as it may: each connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _bind(address: Address) -> socket.socket:
    """Take an address. Raises ConfigError."""
    kind = socket.SOCK_DGRAM if address.scheme == "udp" else socket.SOCK_STREAM
    made: socket.socket | None = None
    try:
        family, _, _, _, place = socket.getaddrinfo(address.host, address.port, type=kind)[0]
        made = socket.socket(family, kind)
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
        made.setblocking(False)
        made.bind(place)
    except OSError as error:
        if made is not None:
            made.close()
        raise ConfigError(
            f"cannot listen ({error.strerror or type(error).__name__})",
            where=f"{address}, stream {address.stream}",
            remedy="correct listen, or free the port",
        ) from error
    return made


def kernel_drops(bound: socket.socket) -> int:
    """How many datagrams the kernel dropped because a socket's buffer was full; 0 where it does not say so."""
    inode = str(os.fstat(bound.fileno()).st_ino)
    table = Path("/proc/net/udp6" if bound.family == socket.AF_INET6 else "/proc/net/udp")
    try:
        rows = table.read_text("ascii").splitlines()[1:]
    except OSError:
        return 0
    return next((int(columns[-1]) for row in rows if len(columns := row.split()) > 12 and columns[9] == inode), 0)
