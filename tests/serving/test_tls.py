"""The gateway over TLS: real certificates of an authority that the tests make, on real connections."""

import asyncio
import os
import re
import signal
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from pydantic import ValidationError

from common.settings import Server
from serving.cli.check import State
from serving.cli.client import Client, Unreachable
from serving.cli.parts import gateway_checks
from serving.leaving import leave
from serving.supervisor.probe import ask
from serving.tls import tls_context
from tests.serving.test_reload import ONE, question, started

NOW = datetime.now(UTC)
ROOT = "the firm's authority"


class Authority:
    """Signs what stands in `certificate.pem` and `key.pem` of `folder`, as a firm's own does."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.server = Server(tls_certificate=folder / "certificate.pem", tls_key=folder / "key.pem")
        self.folder = folder

    def issue(self, days: int = 90, encryption: KeySerializationEncryption | None = None) -> int:
        """Puts a new certificate and its key in place; its serial number."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(key.public_key(), "a gateway", NOW + timedelta(days))
        self._write("certificate.pem", certificate.public_bytes(Encoding.PEM))
        form = (Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
        self._write("key.pem", key.private_bytes(*form))
        return certificate.serial_number

    def client(self) -> ssl.SSLContext:
        """One that trusts this authority and nobody else."""
        root = self._sign(self._key.public_key(), ROOT, NOW + timedelta(365), root=True)
        return ssl.create_default_context(cadata=root.public_bytes(Encoding.PEM).decode())

    def _sign(
        self, key: ec.EllipticCurvePublicKey, name: str, until: datetime, *, root: bool = False
    ) -> x509.Certificate:
        issuer, subject = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, one)]) for one in (ROOT, name))
        builder = x509.CertificateBuilder(
            issuer, subject, key, x509.random_serial_number(), NOW - timedelta(400), until
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, text: bytes) -> None:
        """As what renews certificates does: another file in its place."""
        beside = self.folder / f".{name}"
        beside.write_bytes(text)
        beside.replace(self.folder / name)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def left(authority: Authority) -> str:
    """The address on which a gateway's process says that it ends, until the tests do."""
    listener = socket.create_server(("127.0.0.1", 0))
    leave(listener, tls_context(authority.server))
    return f"https://127.0.0.1:{listener.getsockname()[1]}"


def connected(url: str, trusting: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=30)
    return trusting.wrap_socket(plain, server_hostname="127.0.0.1")


def shown(url: str, trusting: ssl.SSLContext) -> int:
    """The serial number of the certificate that a client gets which checks it."""
    with connected(url, trusting) as connection:
        told = connection.getpeercert()
    assert told
    return int(str(told["serialNumber"]), 16)


async def test_a_renewed_certificate_is_shown_after_a_reload_and_a_wrong_one_changes_nothing(
    authority: Authority,
) -> None:
    """Connections are answered over TLS alone, throughout; one that a client keeps goes on as well."""
    first = authority.issue()
    trusting = authority.client()
    server = (
        f'[server]\ntls_certificate = "{authority.server.tls_certificate}"\ntls_key = "{authority.server.tls_key}"\n'
    )
    async with started(authority.folder, server + ONE, trusting) as running:
        assert shown(running.url, trusting) == first
        with pytest.raises(Unreachable):
            Client(running.url.replace("https", "http"), None).get("/livez")
        statuses: list[int] = []
        done = asyncio.Event()

        async def keep_asking() -> None:
            async with running.client() as kept:
                while not done.is_set():
                    statuses.append(await question(kept))
                    statuses.append(await running.ask())

        asking = asyncio.create_task(keep_asking())
        # Whoever looks at a connection only to use it again does not hold up the worker that leaves.
        idle = await asyncio.to_thread(connected, running.url, trusting)
        second = authority.issue(days=30)
        os.kill(running.process.pid, signal.SIGHUP)
        async with asyncio.timeout(120):
            while await asyncio.to_thread(shown, running.url, trusting) != second or running.workers() > 1:
                await asyncio.sleep(0.05)
        (authority.folder / "certificate.pem").rename(authority.folder / "before.pem")
        authority.issue()
        (authority.folder / "before.pem").rename(authority.folder / "certificate.pem")
        for configuration, told in (
            (server + ONE, "server.tls_key is not the key of server.tls_certificate"),
            (ONE, "turns TLS on or off, which takes a restart"),
            ('[server]\ntls_key = "key.pem"\n' + ONE, "tls_certificate and tls_key go together"),
        ):
            running.reload(configuration)
            async with asyncio.timeout(60):
                while told not in running.log.read_text():
                    await asyncio.sleep(0.05)
        assert await asyncio.to_thread(shown, running.url, trusting) == second
        async with running.client() as http:
            metrics = await (await http.get("/metrics")).text()
        ends = re.findall(r"^groundtone_certificate_expiry_timestamp_seconds (\S+)", metrics, re.MULTILINE)
        assert [float(end) for end in ends] == [int((NOW + timedelta(30)).timestamp())]
        done.set()
        await asking
        assert statuses
        assert set(statuses) == {200}
        idle.close()
        assert "timeout graceful shutdown exceeded" not in running.log.read_text()


def remove_key(authority: Authority) -> None:
    (authority.folder / "key.pem").unlink()


def spoil_certificate(authority: Authority) -> None:
    (authority.folder / "certificate.pem").write_text("no")


def lock_key(authority: Authority) -> None:
    authority.issue(encryption=BestAvailableEncryption(b"secret"))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (remove_key, "server.tls_key can't be read (No such file"),
        (spoil_certificate, "name PEM files"),
        (lock_key, "without a password"),
    ],
)
def test_files_that_can_not_be_used_are_told_before_a_client_meets_them(
    authority: Authority, damage: Callable[[Authority], None], told: str
) -> None:
    """With the setting and what to do. Half a pair is no configuration."""
    assert tls_context(Server()) is None
    authority.issue()
    assert tls_context(authority.server)
    damage(authority)
    with pytest.raises(ValueError, match=re.escape(told)):
        tls_context(authority.server)
    with pytest.raises(ValidationError, match="go together"):
        Server(tls_key=authority.server.tls_key)


def test_who_asks_while_the_gateway_ends_is_told_over_tls(authority: Authority) -> None:
    """As over plain HTTP; and who opens a connection and says nothing holds up no one."""
    authority.issue()
    leaving = left(authority)
    with socket.create_connection(("127.0.0.1", int(leaving.rpartition(":")[2]))):
        assert Client(leaving, None).get("/livez") == {"live": True}
        assert ask(f"{leaving}/livez").ready
        assert ask(f"{leaving}/readyz").reasons == ("draining",)


@pytest.mark.parametrize(("days", "state"), [(90, State.OK), (5, State.WARN), (-1, State.FAIL)])
def test_the_doctor_tells_how_long_the_shown_certificate_is_good_for(
    authority: Authority, days: int, state: State
) -> None:
    """Before it is too late; on loopback whatever name it has, and even when it is."""
    authority.issue(days)
    checks = {check.name: check for check in gateway_checks(Client(left(authority), None))}
    assert checks["certificate"].state is state
