# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Servers that are no vendor at all: they break HTTP below what the sandbox can do."""

from __future__ import annotations

import datetime
import gzip
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

Script = Callable[[socket.socket], None]

JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class RawServer:
    """Reads the head of each request and lets a script answer it; use it as a context manager.

    :param script: gets the connection; the server closes it afterwards.
    :param certificate: path of a PEM file with key and certificate: serve TLS with them.
    """

    def __init__(self, script: Script, certificate: str | None = None) -> None:
        self.heads: list[bytes] = []
        self._script = script
        self._open: set[socket.socket] = set()
        self._tls = None
        if certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> RawServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self._open.add(connection)
        try:
            with suppress(OSError, ssl.SSLError):
                if self._tls:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                self._read_and_answer(connection)
        finally:
            with suppress(OSError):
                connection.close()

    def _read_and_answer(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(65536)
            if not piece:
                return
            head += piece
        self.heads.append(head)
        self._script(connection)


def drip_head(connection: socket.socket) -> None:
    """Send a header that never ends, a byte now and then."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    gone = threading.Event()
    while not gone.wait(0.02):
        connection.sendall(b"a")


def continue_for_ever(connection: socket.socket) -> None:
    """Send interim answers, and never the real one."""
    gone = threading.Event()
    while not gone.wait(0.005):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def garbage(connection: socket.socket) -> None:
    """Answer in no known protocol."""
    connection.sendall(b"\x15\x03\x01 220 smtp.example.com \x1b[31m\r\nready\r\n\r\n")


def gzip_bomb(connection: socket.socket) -> None:
    """Answer with 8 MiB in 8 KiB."""
    body = gzip.compress(b"[" + b" " * (8 * 2**20) + b"]")
    head = JSON_HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    connection.sendall(head + body)


def not_gzip(connection: socket.socket) -> None:
    """Call something gzip that is none."""
    connection.sendall(JSON_HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}")


class DeafServer:
    """Takes no more connections: whoever connects waits until they give up."""

    def __enter__(self) -> DeafServer:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(self._listener.getsockname())
            self._fillers.append(filler)
        return self

    def __exit__(self, *error: object) -> None:
        for one in (*self._fillers, self._listener):
            one.close()


def closed_port_url() -> str:
    """Return the address of a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def write_certificate(folder: Path) -> str:
    """Write key and certificate that nobody else has signed, for 127.0.0.1, and return the file's path."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sandbox")])
    now = datetime.datetime.now(datetime.UTC)
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(addresses, critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return str(path)
