"""Versions are immutable, channels move in one step, a canary keeps its conversations."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from adapters import Registry
from adapters.artefact import Artefact
from common.errors import Conflict, InvalidRequest, NotFound
from tests.adapters.conftest import evaluated, evaluation, safetensors, tensors, write


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


def another(folder: Path, fill: float) -> Path:
    return write(folder, safetensors(tensors(fill=fill)))


def test_the_same_bytes_are_the_same_version(registry: Registry, artefact: Path) -> None:
    """Registering again changes nothing; the id carries the artefact's digest."""
    first = registry.register("kitahama", artefact)
    again = registry.register("kitahama", artefact)
    assert first == again
    assert first.id == f"kitahama@{first.digest.removeprefix('sha256:')[:12]}"
    assert [v.id for v in registry.versions("kitahama")] == [first.id]
    assert registry.names() == ["kitahama"]


def test_other_bytes_under_the_same_id_take_no_versions_place(
    registry: Registry, artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve digits can be made to agree; the whole digest decides."""
    first = registry.register("kitahama", artefact)
    other = another(tmp_path / "other", 0.2)
    made = registry.register("other", other)
    same = f"{first.digest[:19]}{made.digest[19:]}"
    monkeypatch.setattr("adapters.registry.check", lambda *_: Artefact(same, first.base_model))
    with pytest.raises(InvalidRequest, match="same short digest"):
        registry.register("kitahama", other)
    assert registry.version(first.id) == first
    assert registry.verify(first.id)


def test_a_version_stays_when_its_source_changes(registry: Registry, artefact: Path) -> None:
    """The registry holds a copy, read-only, and notices when someone changes it all the same."""
    version = registry.register("kitahama", artefact)
    before = (version.path / "adapter_model.safetensors").read_bytes()
    another(artefact, 0.25)
    assert (version.path / "adapter_model.safetensors").read_bytes() == before
    assert registry.verify(version.id)
    assert registry.register("kitahama", artefact).id != version.id
    weights = version.path / "adapter_model.safetensors"
    assert weights.stat().st_mode & 0o222 == 0
    weights.chmod(0o644)
    weights.write_bytes(before[:-1] + b"\x00")
    assert not registry.verify(version.id)


def test_channels_move_and_go_back(registry: Registry, artefact: Path, tmp_path: Path) -> None:
    """Rollback withdraws a canary first, then returns stable to what it was before."""
    old = evaluated(registry, registry.register("kitahama", artefact)).id
    new = evaluated(registry, registry.register("kitahama", another(tmp_path / "new", 0.25))).id
    registry.point("kitahama", "stable", old)
    registry.point("kitahama", "canary", new, 10)
    assert registry.channels("kitahama").to_wire() == {"stable": old, "canary": {"version": new, "share": 10}}
    registry.rollback("kitahama")
    assert registry.channels("kitahama").to_wire() == {"stable": old, "canary": None}
    registry.point("kitahama", "stable", new)
    assert registry.served("kitahama").stable == new
    registry.rollback("kitahama")
    assert registry.served("kitahama").stable == old
    with pytest.raises(Conflict):
        registry.rollback("kitahama")


def test_a_version_says_who_registered_it_and_what_it_was_made_from(registry: Registry, artefact: Path) -> None:
    """Recipe, data and base model by their digests; who came second with the same bytes changes nothing."""
    made = {"recipe": {"rank": 4}, "recipe_digest": "sha256:1", "data_digest": "sha256:2", "losses": [1.0]}
    (artefact / "training.json").write_text(json.dumps(made))
    registry.register("kitahama", artefact, by="k_first")
    told = registry.register("kitahama", artefact, by="k_second").to_wire()
    assert told["by"] == "k_first"
    assert datetime.fromisoformat(told["created"]).tzinfo is not None
    assert told["training"] == {key: value for key, value in made.items() if key != "losses"}


def test_every_move_says_who_and_when(registry: Registry, artefact: Path, tmp_path: Path) -> None:
    """And since when two versions answer side by side: another share is the same comparison, another version is not."""
    a, b, c = (
        evaluated(registry, registry.register("kitahama", another(tmp_path / str(fill), fill))).id
        for fill in (0.1, 0.2, 0.3)
    )
    registry.point("kitahama", "stable", a, by="anna")
    assert registry.channels("kitahama").side_by_side() is None
    registry.point("kitahama", "canary", b, 10, by="ben")
    began = registry.channels("kitahama").moves[-1]["at"]
    registry.point("kitahama", "canary", b, 20, by="ben")
    assert registry.channels("kitahama").side_by_side() == began
    registry.point("kitahama", "canary", c, 20, by="ben")
    now = registry.rollback("kitahama", by="cleo")
    moves = registry.to_wire("kitahama")["moves"]
    assert [move["by"] for move in moves] == ["anna", "ben", "ben", "ben", "cleo"]
    assert moves[1] == {"at": began, "by": "ben", "stable": a, "canary": {"version": b, "share": 10}}
    assert [move["at"] for move in moves] == sorted(move["at"] for move in moves)
    assert now.side_by_side() is None


def test_a_canary_is_withdrawn_whatever_became_of_stable(registry: Registry, artefact: Path, tmp_path: Path) -> None:
    """Also where the stable version's gate is not passed any more: the canary must not outlive it."""
    old = registry.register("kitahama", artefact)
    new = evaluated(registry, registry.register("kitahama", another(tmp_path / "new", 0.25)))
    registry.point("kitahama", "stable", evaluated(registry, old).id)
    registry.point("kitahama", "canary", new.id, 10)
    registry.evaluated(old.id, evaluation(old.digest, right=0))
    assert registry.rollback("kitahama").canary is None


def test_channels_without_moves_are_read(registry: Registry, artefact: Path, tmp_path: Path) -> None:
    """A file that an earlier release wrote, and a version that it registered."""
    version = evaluated(registry, registry.register("kitahama", artefact))
    stored = json.loads((version.path / "version.json").read_bytes())
    (version.path / "version.json").unlink()
    (version.path / "version.json").write_text(json.dumps({k: v for k, v in stored.items() if k != "by"}))
    old = {"stable": version.id, "canary": None, "former": []}
    (tmp_path / "registry" / "kitahama" / "channels.json").write_text(json.dumps(old))
    assert registry.served("kitahama").stable == version.id
    assert registry.to_wire("kitahama")["versions"][0]["by"] == ""


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"stable": null, "canary": {"version": "x"}, "former": []}', '{"stable": "x"}']
)
def test_a_file_that_names_no_channels_is_told(registry: Registry, artefact: Path, tmp_path: Path, text: str) -> None:
    """As one error, whatever is wrong with it, so that whoever follows the channels can go on with those it has."""
    registry.register("kitahama", artefact)
    (tmp_path / "registry" / "kitahama" / "channels.json").write_text(text)
    with pytest.raises(ValueError):
        registry.channels("kitahama")


def test_another_process_sees_a_move(registry: Registry, artefact: Path, tmp_path: Path) -> None:
    """What one registry writes the next one reads, without a restart."""
    other = Registry(tmp_path / "registry")
    old = evaluated(registry, registry.register("kitahama", artefact)).id
    new = evaluated(registry, registry.register("kitahama", another(tmp_path / "new", 0.25))).id
    for id in (old, new, old):
        registry.point("kitahama", "stable", id)
        assert other.served("kitahama").stable == id


def test_a_canary_keeps_its_conversations(registry: Registry, artefact: Path, tmp_path: Path) -> None:
    """The same conversation always meets the same version, and about the asked share meets the canary."""
    old = evaluated(registry, registry.register("kitahama", artefact)).id
    new = evaluated(registry, registry.register("kitahama", another(tmp_path / "new", 0.25))).id
    registry.point("kitahama", "stable", old)
    registry.point("kitahama", "canary", new, 20)
    met = {f"c{i}": registry.served("kitahama").pick("kitahama", f"c{i}") for i in range(1000)}
    assert all(registry.served("kitahama").pick("kitahama", c) == id for c, id in met.items())
    assert 150 < sum(id == new for id in met.values()) < 250
    registry.point("kitahama", "canary", new, 40)
    assert all(registry.served("kitahama").pick("kitahama", c) == new for c, id in met.items() if id == new)


@pytest.mark.parametrize(("channel", "share"), [("canary", None), ("canary", 0), ("canary", 101), ("beta", 10)])
def test_a_channel_that_makes_no_sense_is_refused(
    registry: Registry, artefact: Path, channel: str, share: int | None
) -> None:
    """A canary has a share of 1 to 100 per cent, and there are two channels."""
    version = evaluated(registry, registry.register("kitahama", artefact)).id
    with pytest.raises(InvalidRequest):
        registry.point("kitahama", channel, version, share)


@pytest.mark.parametrize(
    "id",
    [
        *("kitahama", "kitahama@", "kitahama@000000000000", "kitahama@0123456789ab\n"),
        *("kitahama@../../etc/pw", "../x@0123456789ab", "/etc/passwd"),
        *("someone/adapter", "https://example.com/a@0123456789ab"),
    ],
)
def test_an_unknown_version_is_not_found(registry: Registry, artefact: Path, id: str) -> None:
    """Also one that looks like a path, a hub id or a URL."""
    registry.register("kitahama", artefact)
    with pytest.raises(NotFound):
        registry.version(id)
    with pytest.raises(NotFound):
        registry.point("kitahama", "stable", id)


def test_a_channel_takes_only_its_own_adapters_versions(registry: Registry, artefact: Path) -> None:
    """The same bytes under another name are another adapter's version."""
    other = registry.register("other", artefact).id
    registry.register("kitahama", artefact)
    with pytest.raises(NotFound):
        registry.point("kitahama", "stable", other)


def test_readers_never_see_half_a_move(registry: Registry, artefact: Path, tmp_path: Path) -> None:
    """While channels move to and fro, every reader gets one of the two, and no temporary file is left."""
    made = [artefact, another(tmp_path / "n", 0.25)]
    ids = [evaluated(registry, registry.register("kitahama", folder)).id for folder in made]
    registry.point("kitahama", "stable", ids[0])

    def move(i: int) -> None:
        Registry(tmp_path / "registry").point("kitahama", "stable", ids[i % 2])

    def read(_: int) -> str | None:
        return Registry(tmp_path / "registry").served("kitahama").stable

    with ThreadPoolExecutor(8) as pool:
        moves = [pool.submit(move, i) for i in range(40)]
        reads = [pool.submit(read, i) for i in range(200)]
        assert {r.result() for r in reads} <= set(ids)
        for moved in moves:
            moved.result()
    left = {path.name for path in (tmp_path / "registry" / "kitahama").iterdir()}
    assert left == {".lock", "channels.json", *(id.split("@")[1] for id in ids)}


def test_two_that_register_at_once_make_one_version(artefact: Path, tmp_path: Path) -> None:
    """The second finds the first's version in place and takes it."""
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(Registry(tmp_path / "registry").register, "kitahama", artefact) for _ in range(16)]
        assert len({m.result().id for m in made}) == 1
    assert len([p for p in (tmp_path / "registry" / "kitahama").iterdir() if not p.name.startswith(".")]) == 1


def test_a_killed_registration_is_no_version(registry: Registry, artefact: Path, tmp_path: Path) -> None:
    """What a crash leaves behind is a hidden folder that nobody takes for a version."""
    registry.register("kitahama", artefact)
    (tmp_path / "registry" / "kitahama" / ".new.abc").mkdir()
    assert len(registry.versions("kitahama")) == 1
