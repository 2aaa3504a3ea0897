"""Signatures over a version's files, in OpenSSF Model Signing's format (`model-signing`; ECDSA over NIST P-256).

A signature covers weights, configuration, training record and evaluation: what the engine computes and what is said of
it. What the registry itself writes beside them, it leaves out. Where the configuration names no keys, the state
folder's own signs (`adapters.own_key`). Doesn't cover: who holds the private key, and the order of signatures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from common.settings import Settings

if TYPE_CHECKING:
    from model_signing.hashing import Config

FILE = "model.sig"
OWN = "signing.key"
_UNSIGNED = (FILE, "version.json", "card.md", "evaluation.svg")


@dataclass(frozen=True, slots=True)
class Signatures:
    """`key` is the private key that signs here, `trusted` the public keys of which one must have signed; PEM files.

    `own` is the state folder's own pair: nobody chose whom to trust, so others' signatures say nothing.
    """

    key: Path | None = None
    trusted: Sequence[Path] = ()
    own: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The keys that the configuration names, or the state folder's own once they are made."""
        own = settings.home / OWN
        public = own.with_suffix(".pub")
        if cls.at_home(settings) and public.exists():
            return cls(own, (public,), own=True)
        return cls(settings.adapters.signing_key, settings.adapters.trusted)

    @staticmethod
    def at_home(settings: Settings) -> bool:
        """Whether the configuration names no keys, and a registry that is the state folder's."""
        adapters = settings.adapters
        return not (adapters.signing_key or adapters.trusted or adapters.directory)

    def sign(self, folder: Path) -> None:
        """Signs the files in `folder`, in place of an earlier signature. Does nothing without a key."""
        if self.key is None:
            return
        from model_signing import signing

        scratch = folder.parent / f".{folder.name}.{FILE}"
        config = signing.Config().set_hashing_config(_hashing(folder))
        config.use_elliptic_key_signer(private_key=self.key).sign(folder, scratch)
        scratch.replace(folder / FILE)

    def holds(self, folder: Path) -> bool:
        """Whether a trusted key signed exactly these files. True where no key is named that would have to."""
        if not self.trusted:
            return True
        if not (folder / FILE).is_file():
            return False
        return any(_signed(folder, key) for key in self.trusted)


def _signed(folder: Path, key: Path) -> bool:
    from model_signing import verifying

    config = verifying.Config().set_hashing_config(_hashing(folder)).use_elliptic_key_verifier(public_key=key)
    try:
        config.verify(folder, folder / FILE)
    except Exception:  # what a forged file makes the library raise is not foreseen, and none of it is a signature
        return False
    return True


def _hashing(folder: Path) -> "Config":
    from model_signing import hashing

    paths = [folder / name for name in _UNSIGNED]
    return hashing.Config().set_ignored_paths(paths=paths, ignore_git_paths=False)
