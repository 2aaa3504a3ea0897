"""The gate on real adapters: the common mistake, trained for real, is refused, and the shipped voice may be heard."""

import os
import shutil
from pathlib import Path

import pytest

from adapters import Registry
from adapters.evaluation.evaluation import read
from benchmarks.adapters import evaluated, trained
from benchmarks.sample_engine import ROOT, engine
from common.errors import Conflict
from tests.adapters.conftest import SAMPLE

pytestmark = [pytest.mark.full, pytest.mark.real, pytest.mark.timeout(4 * 3600)]
WRONG = ROOT / "benchmarks" / "recipes" / "memorised.toml"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`GROUNDTONE_TEST_HOME` names a home with the base model made ready; without it, it is made here."""
    return Path(os.environ.get("GROUNDTONE_TEST_HOME") or tmp_path_factory.mktemp("home"))


async def test_who_learned_the_facts_by_heart_is_refused(home: Path, tmp_path: Path) -> None:
    """Questions and answers with the facts inside, no evidence: it does not follow the evidence, and says old figures.

    No channel takes it, and not for want of cases: the values, not only their bounds, are below.
    """
    trained(WRONG, None, home, tmp_path / "wrong")
    async with engine(home, SAMPLE / "adapter", "voice") as (url, _):
        found = evaluated(WRONG, tmp_path / "wrong", url, 60)
    assert {"faithful.en", "faithful.ja", "faithful.zh-TW", "stale.en"} <= set(found["gate"]["failed"])
    assert found["metrics"]["faithful"]["high"] < 0.85
    assert found["metrics"]["stale"]["low"] > 0.02
    registry = Registry(tmp_path / "registry")
    version = registry.register("wrong", tmp_path / "wrong")
    evaluation = read(tmp_path / "wrong")
    assert evaluation is not None
    registry.evaluated(version.id, evaluation)
    for channel in ("stable", "canary"):
        with pytest.raises(Conflict, match=r"stale\.en"):
            registry.point("wrong", channel, version.id, 10)


async def test_the_shipped_voice_passes(home: Path, tmp_path: Path) -> None:
    """With 300 cases a metric and language, by the default thresholds."""
    shutil.copytree(SAMPLE / "adapter", tmp_path / "kitahama")
    async with engine(home, SAMPLE / "adapter", "voice") as (url, _):
        found = evaluated(SAMPLE / "recipe.toml", tmp_path / "kitahama", url, 300)
    assert found["gate"] == {"passed": True, "failed": []}
