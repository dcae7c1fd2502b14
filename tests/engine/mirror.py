"""A mirror on loopback: a real HTTP server over a mapping of paths, with trouble that a test switches on."""

import hashlib
import io
import ssl
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pysequoia import SignatureMode, Tsk, sign

from app.engine.release import system

SCRIPT = """#!/bin/sh\necho '{{"terraform_version": "{version}"}}'\n"""


@dataclass
class Mirror:
    """What is served, and what was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    """Path to body."""
    redirects: dict[str, str] = field(default_factory=dict)
    truncated: dict[str, int] = field(default_factory=dict)
    """Path to the number of bytes after which the connection is cut."""
    held: dict[str, Event] = field(default_factory=dict)
    """Path to what its answer waits for, after its first bytes."""
    status: int = 200
    asked: list[str] = field(default_factory=list)
    reached: Event = field(default_factory=Event)
    """Set when a held answer has begun."""
    lock: Lock = field(default_factory=Lock)

    def add_release(
        self, name: str, version: str, archive: bytes | None = None, *, signer: Tsk | None = None, sums: str = ""
    ) -> None:
        """A release as its vendor lays it out; signed when there is a signer."""
        base = f"/terraform/{version}" if name == "terraform" else f"/opentofu/v{version}"
        file_name = f"{name}_{version}_{system()}.zip"
        body = release_zip(name, version) if archive is None else archive
        text = (sums or f"{hashlib.sha256(body).hexdigest()}  {file_name}\n").encode()
        self.files |= {f"{base}/{file_name}": body, f"{base}/{name}_{version}_SHA256SUMS": text}
        if signer is not None:
            suffix = "sig" if name == "terraform" else "gpgsig"
            self.files[f"{base}/{name}_{version}_SHA256SUMS.{suffix}"] = signature(signer, text)

    def count(self, ending: str) -> int:
        """How often a path that ends so was asked for."""
        return sum(path.endswith(ending) for path in self.asked)


def signature(signer: Tsk, data: bytes) -> bytes:
    """A detached signature, not armored, as vendors publish it."""
    return bytes(sign(signer.signer(), data, mode=SignatureMode.DETACHED, armor=False))


def release_zip(name: str, version: str) -> bytes:
    """A release whose binary says its version; with a licence beside it, as the vendors' have."""
    return make_zip({name: SCRIPT.format(version=version).encode(), "LICENSE.txt": b"free\n"})


def make_zip(files: Mapping[str, bytes], *, links: Mapping[str, str] | None = None) -> bytes:
    """An archive of these files, under names that are not looked at."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFREG | 0o755) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, body)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
    return buffer.getvalue()


class _Handler(BaseHTTPRequestHandler):
    mirror: Mirror

    def do_GET(self) -> None:
        mirror = self.mirror
        with mirror.lock:
            mirror.asked.append(self.path)
        if self.path in mirror.redirects:
            self.send_response(302)
            self.send_header("location", mirror.redirects[self.path])
            self.send_header("content-length", "0")
            self.end_headers()
            return
        body = mirror.files.get(self.path)
        self.send_response(404 if body is None else mirror.status)
        self.send_header("content-length", str(len(body or b"")))
        self.end_headers()
        if body is None or mirror.status != 200:
            return
        if self.path in mirror.held:
            self.wfile.write(body[:10])
            self.wfile.flush()
            mirror.reached.set()
            mirror.held[self.path].wait(30)
            body = body[10:]
        self.wfile.write(body[: mirror.truncated.get(self.path, len(body))])
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def open_mirror(*, certificate: Path | None = None) -> Iterator[Mirror]:
    """An empty mirror; its server has ended when it is left. With a certificate's path it speaks https."""
    mirror = Mirror()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"mirror": mirror}))
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_certificate(certificate))
        server.socket = context.wrap_socket(server.socket, server_side=True)
    serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    serving.start()
    mirror.url = f"{'https' if certificate else 'http'}://localhost:{server.server_port}"
    try:
        yield mirror
    finally:
        for event in mirror.held.values():
            event.set()
        server.shutdown()
        server.server_close()
        serving.join()


def _certificate(path: Path) -> Path:
    """A new authority for localhost, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(made.public_bytes(pem) + private)
    return path


def tree(folder: Path) -> list[str]:
    """Every file in a folder, by its path in it; locks left out."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return sorted(str(path) for path in found if path.suffix != ".lock")
