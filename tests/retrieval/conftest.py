"""Fixtures: one Chroma for all tests of a run, and a knowledge service for each."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.retrieval.house import Chroma, House


@pytest.fixture(scope="session")
def shared_chroma(tmp_path_factory: pytest.TempPathFactory) -> Generator[Chroma]:
    chroma = Chroma(tmp_path_factory.mktemp("chroma"))
    chroma.start()
    yield chroma
    chroma.kill()


@pytest.fixture
def house(tmp_path: Path, shared_chroma: Chroma) -> Generator[House]:
    house = House(tmp_path, shared_chroma.url)
    house.open()
    house.base()
    yield house
    house.close()
