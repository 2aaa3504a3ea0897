"""Signed versions: what was changed after it was signed, or signed by nobody who is trusted, is not heard."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adapters import Gate, Registry
from adapters.artefact import artefact_digest
from adapters.evaluation.evaluation import FILE as EVALUATION
from adapters.files import keep
from adapters.own_key import make_ready
from adapters.signature import FILE, Signatures
from common.errors import ErrorCode, InvalidRequest
from common.settings import Adapters, Settings
from serving.gateway import seed_adapters
from tests.adapters.conftest import evaluated, evaluation


def pair(folder: Path, name: str) -> tuple[Path, Path]:
    """A private key and its public key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


@pytest.fixture
def ours(tmp_path: Path) -> Signatures:
    key, public = pair(tmp_path, "ours")
    return Signatures(key, (public,))


@pytest.fixture
def registry(tmp_path: Path, ours: Signatures) -> Registry:
    return Registry(tmp_path / "registry", signatures=ours)


def test_a_version_is_signed_when_it_is_registered_and_when_it_is_evaluated(registry: Registry, artefact: Path) -> None:
    """And heard: the signature covers what was measured of it, too."""
    version = registry.register("kitahama", artefact)
    assert (version.path / FILE).is_file()
    assert registry.verify(version.id)
    evaluated(registry, version)
    assert registry.verify(version.id)
    registry.point("kitahama", "stable", version.id)
    assert registry.served("kitahama").stable == version.id


@pytest.mark.parametrize(
    "name", ["adapter_model.safetensors", "adapter_config.json", EVALUATION, FILE, "training.json"]
)
def test_what_is_changed_on_disk_is_not_heard_any_more(registry: Registry, artefact: Path, name: str) -> None:
    """One byte of any file: it is neither loaded nor left on its channel, and an evaluation does not sign it anew.

    Registered again, it is as it was registered, and has to be evaluated again.
    """
    (artefact / "training.json").write_text("{}")
    version = evaluated(registry, registry.register("kitahama", artefact))
    registry.point("kitahama", "stable", version.id)
    file = version.path / name
    held = bytearray(file.read_bytes())
    held[-2] ^= 1
    file.chmod(0o644)
    file.write_bytes(held)
    assert not registry.verify(version.id)
    assert registry.served("kitahama").stable is None
    with pytest.raises(InvalidRequest):
        evaluated(registry, version)
    again = registry.register("kitahama", artefact)
    assert registry.verify(again.id)
    assert registry.served("kitahama").stable is None
    evaluated(registry, again)
    assert registry.served("kitahama").stable == again.id
    assert {path.name for path in version.path.parent.iterdir()} == {version.path.name, "channels.json", ".lock"}


def test_a_forged_evaluation_opens_no_gate(registry: Registry, artefact: Path) -> None:
    """Whoever can write the registry's files but has no key can't say that a version passed."""
    version = registry.register("kitahama", artefact)
    keep(version.path, evaluation(version.digest), version.id)
    assert registry.version(version.id).gate is Gate.PASSED
    with pytest.raises(InvalidRequest):
        registry.point("kitahama", "stable", version.id)
    (version.path.parent / "channels.json").write_text(json.dumps({"stable": version.id, "canary": None, "former": []}))
    assert registry.served("kitahama").stable is None


def test_an_import_signed_by_a_trusted_key_brings_its_evaluation(tmp_path: Path, artefact: Path) -> None:
    """Trained and measured elsewhere: the signature is checked before anything is kept, and vouches for the rest."""
    key, public = pair(tmp_path, "theirs")
    (artefact / EVALUATION).write_text(json.dumps(evaluation(artefact_digest(artefact)).to_wire()))
    Signatures(key).sign(artefact)
    mine, _ = pair(tmp_path, "mine")
    registry = Registry(tmp_path / "registry", signatures=Signatures(mine, (public, tmp_path / "mine.pub")))
    version = registry.register("kitahama", artefact)
    assert version.gate is Gate.PASSED
    assert registry.point("kitahama", "stable", version.id).stable == version.id


@pytest.mark.parametrize("change", ["stranger", "after", "no signature", "garbage"])
def test_an_import_that_no_trusted_key_signed_as_it_is_is_refused(tmp_path: Path, artefact: Path, change: str) -> None:
    """Nothing of it is kept."""
    key, public = pair(tmp_path, "theirs")
    stranger, _ = pair(tmp_path, "stranger")
    if change != "no signature":
        Signatures(stranger if change == "stranger" else key).sign(artefact)
    if change == "after":
        (artefact / EVALUATION).write_text(json.dumps(evaluation(artefact_digest(artefact)).to_wire()))
    if change == "garbage":
        (artefact / FILE).write_bytes(b"\x00garbage")
    registry = Registry(tmp_path / "registry", signatures=Signatures(None, (public,)))
    with pytest.raises(InvalidRequest, match="signature") as refused:
        registry.register("kitahama", artefact)
    assert refused.value.code is ErrorCode.INVALID_ADAPTER
    assert registry.names() == []


def settings(folder: Path, **adapters: Any) -> Settings:
    return Settings(home=folder / "home", adapters=Adapters(**adapters))


def test_a_fresh_installation_signs_with_a_key_of_its_own(tmp_path: Path, artefact: Path) -> None:
    """Made at its first start, readable by its owner alone; what no key signed is not heard.

    A version that another firm's key signed may be imported, and says no more than one that nobody signed.
    """
    (artefact / EVALUATION).write_text(json.dumps(evaluation(artefact_digest(artefact)).to_wire()))
    Signatures(pair(tmp_path, "theirs")[0]).sign(artefact)
    ours = settings(tmp_path, seed={"kitahama": artefact})
    seed_adapters(ours)
    key = ours.home / "signing.key"
    held = key.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    registry = Registry.of(ours)
    stable = registry.served("kitahama").stable
    assert stable is not None
    imported = registry.register("theirs", artefact)
    assert (imported.gate, registry.verify(imported.id)) == (Gate.NONE, True)
    keep(imported.path, evaluation(imported.digest), imported.id)
    with pytest.raises(InvalidRequest):
        registry.point("theirs", "stable", imported.id)
    seed_adapters(ours)
    assert key.read_bytes() == held
    assert Registry.of(ours).served("kitahama").stable == stable


def test_what_was_registered_before_there_was_a_key_is_signed_with_it(
    tmp_path: Path, artefact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older installation goes on being heard, also where the first start with a key was killed half-way."""
    ours = settings(tmp_path)
    before = Registry.of(ours)
    version = evaluated(before, before.register("kitahama", artefact))
    before.point("kitahama", "stable", version.id)
    with monkeypatch.context() as killed:
        killed.setattr(Signatures, "sign", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make_ready(ours)
    assert Registry.of(ours).served("kitahama").stable == version.id
    make_ready(ours)
    assert (version.path / FILE).is_file()
    assert Registry.of(ours).served("kitahama").stable == version.id
    (version.path / EVALUATION).write_text((version.path / EVALUATION).read_text() + " ")
    assert Registry.of(ours).served("kitahama").stable is None


def interrupted(_: Signatures, __: Path) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("lost", [("signing.pub",), ("signing.pub", "signing.key")])
def test_a_restored_installation_is_heard(tmp_path: Path, artefact: Path, lost: tuple[str, ...]) -> None:
    """A backup's keys have no public one: it follows from the private one. Without the keys a new one signs."""
    ours = settings(tmp_path)
    make_ready(ours)
    registry = Registry.of(ours)
    version = evaluated(registry, registry.register("kitahama", artefact))
    registry.point("kitahama", "stable", version.id)
    for name in lost:
        (ours.home / name).unlink()
    make_ready(ours)
    assert Registry.of(ours).served("kitahama").stable == version.id


def test_where_keys_are_named_or_the_registry_is_shared_no_key_is_made(tmp_path: Path) -> None:
    """Another host's gateway would not trust it."""
    key, public = pair(tmp_path, "theirs")
    for named in ({"signing_key": key}, {"trusted": (public,)}, {"directory": tmp_path / "shared"}):
        make_ready(settings(tmp_path, **named))
        assert not (tmp_path / "home" / "signing.key").exists()


def test_without_trusted_keys_a_signature_that_comes_along_says_nothing(tmp_path: Path, artefact: Path) -> None:
    """It can't be judged, so it is left behind, and the evaluation with it."""
    key, _ = pair(tmp_path, "theirs")
    (artefact / EVALUATION).write_text(json.dumps(evaluation(artefact_digest(artefact)).to_wire()))
    Signatures(key).sign(artefact)
    version = Registry(tmp_path / "registry").register("kitahama", artefact)
    assert version.gate is Gate.NONE
    assert not (version.path / FILE).exists()
