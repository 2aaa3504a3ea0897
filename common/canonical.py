"""Canonical bytes and digests: the same content gives the same bytes, on every machine and in every year."""

import hashlib
from typing import Any

import rfc8785


def canonical(value: Any) -> bytes:
    """`value` as canonical JSON (RFC 8785). Raises `rfc8785.CanonicalizationError` for what JSON can't hold."""
    return rfc8785.dumps(value)


def digest(data: bytes) -> str:
    """`sha256:` and 64 hex digits: a digest names its algorithm, so that it can be replaced one day."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_of(value: Any) -> str:
    """The digest of `value`'s canonical bytes."""
    return digest(canonical(value))
