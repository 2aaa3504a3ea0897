"""TLS of the gateway: the certificate and the key that `[server]` names."""

import ssl
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.settings import Server  # a command of the command line starts without them


def tls_context(server: "Server") -> ssl.SSLContext | None:
    """What connections are opened with, from the files as they are now; None for plain HTTP.

    Raises ValueError where they can't be used. It names the setting and says what to do.
    """
    if server.tls_certificate is None or server.tls_key is None:
        return None
    _readable("tls_certificate", server.tls_certificate)
    _readable("tls_key", server.tls_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without a password OpenSSL would ask for one, on a terminal.
        context.load_cert_chain(server.tls_certificate, server.tls_key, password=lambda: b"")
    except ssl.SSLError as wrong:
        if wrong.reason == "KEY_VALUES_MISMATCH":
            told = "server.tls_key is not the key of server.tls_certificate: name the one that it was made with"
        else:
            told = (
                "server.tls_certificate or server.tls_key can't be used: name PEM files, the certificate with its "
                "chain, the key without a password"
            )
        raise ValueError(told) from None
    return context


def expiry(certificate: bytes) -> datetime:
    """When a certificate in PEM ends; of a chain its first, the server's own."""
    from cryptography.x509 import load_pem_x509_certificate

    return load_pem_x509_certificate(certificate).not_valid_after_utc


def to_this_machine() -> ssl.SSLContext:
    """For a client of the gateway on loopback, which no certificate names: what is sent there goes over no wire."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _readable(setting: str, file: Path) -> None:
    try:
        with file.open("rb"):
            return
    except OSError as wrong:
        raise ValueError(
            f"server.{setting} can't be read ({wrong.strerror}): name a PEM file that the gateway's user may read"
        ) from None
