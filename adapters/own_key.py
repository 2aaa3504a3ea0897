"""The key that signs versions where the configuration names none: the state folder's own, made at its first start.

A registry outside the state folder is shared, so that no folder's own key would do: there keys are named or nothing is
signed. Doesn't cover: who can read the state folder, and with it the key.
"""

import os
from pathlib import Path

from adapters.signature import OWN, Signatures
from adapters.version import FILE as VERSION
from common.settings import Settings


def make_ready(settings: Settings) -> None:
    """Makes the key where it is missing, and signs with it what was registered before there was one.

    The key appears once all of that is signed: a start that is killed on the way begins anew. For the one process that
    starts a gateway.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    if not Signatures.at_home(settings):
        return
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = settings.home / OWN
    if not key.exists():
        made = ec.generate_private_key(ec.SECP256R1())
        pem = made.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        scratch = _written(key, pem)
        for version in settings.adapters_directory.glob(f"*/*/{VERSION}"):
            Signatures(scratch).sign(version.parent)
        scratch.replace(key)
    public = key.with_suffix(".pub")
    if not public.exists():
        held = serialization.load_pem_private_key(key.read_bytes(), None).public_key()
        pem = held.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        _written(public, pem).replace(public)


def _written(place: Path, pem: bytes) -> Path:
    """A new file beside `place` that its owner alone can read."""
    scratch = place.with_name(f".{place.name}")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    return scratch
