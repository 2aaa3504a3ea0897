"""The adapter registry over HTTP: list, register, move channels."""

import asyncio
import io
import shutil
import tarfile
import tempfile
from functools import partial
from pathlib import Path

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from adapters import Base, Registry, Version
from adapters.artefact import CONFIG, OPTIONAL, WEIGHTS
from adapters.base_model import digest_in
from common.errors import Conflict, EngineUnavailable, ErrorCode, InvalidRequest
from common.fields import parse
from common.principal import Principal, Scope
from serving.api.routes import Routes, json
from serving.audit.comparison import compare
from serving.services import Services

MAX_UNPACKED_BYTES = 1024**3
LOADED_WITHIN_SECONDS = 120.0


class Pointer(BaseModel, extra="forbid"):
    version: str
    share: int | None = None


def register(routes: Routes) -> None:
    routes.add("GET", "/v1/adapters", list_adapters, scope=Scope.ADAPTERS_READ)
    routes.add("POST", "/v1/adapters/{name}/versions", register_version, scope=Scope.ADAPTERS_WRITE)
    routes.add("PUT", "/v1/adapters/{name}/channels/{channel}", move_channel, scope=Scope.ADAPTERS_WRITE)
    routes.add("GET", "/v1/adapters/{name}/comparison", compare_versions, scope=Scope.ADAPTERS_READ)
    routes.add("POST", "/v1/adapters/{name}:rollback", roll_back, scope=Scope.ADAPTERS_WRITE)


async def list_adapters(request: Request, services: Services, principal: Principal) -> Response:
    """All adapters with their versions and channels."""
    registry = services.registry
    return json({"data": await asyncio.to_thread(lambda: [registry.to_wire(name) for name in registry.names()])})


async def register_version(request: Request, services: Services, principal: Principal) -> Response:
    """Takes a gzipped tar of the two files of a LoRA, checks it, and keeps it as an immutable version."""
    archive, name = await request.body(), request.path_params["name"]
    digest = request.query_params.get("digest")
    wire = await asyncio.to_thread(lambda: _registered(services, name, archive, principal, digest).to_wire())
    return json(wire, 201)


async def move_channel(request: Request, services: Services, principal: Principal) -> Response:
    """Moves a channel once every replica serves the version; answers in the making end on theirs."""
    name, channel = request.path_params["name"], request.path_params["channel"]
    wanted = parse(Pointer, await request.body())
    version = await asyncio.to_thread(services.registry.eligible, name, channel, wanted.version, wanted.share)
    await _loaded(services, version)
    point = partial(services.registry.point, name, channel, version.id, wanted.share, by=principal.key)
    channels = await asyncio.to_thread(point)
    await services.engine.read_channels()
    return json(channels.to_wire())


async def compare_versions(request: Request, services: Services, principal: Principal) -> Response:
    """Stable and canary side by side, by the tenant's answers since both answer."""
    name = request.path_params["name"]
    channels = await asyncio.to_thread(services.registry.channels, name)
    if channels.stable is None or channels.canary is None:
        raise Conflict("There are no two versions to compare.", "Point the canary to one: groundtone adapter canary.")
    found = await asyncio.to_thread(
        compare,
        services.record.database,
        principal.tenant,
        channels.stable,
        channels.canary[0],
        channels.side_by_side(),
    )
    return json({"name": name, **found})


async def roll_back(request: Request, services: Services, principal: Principal) -> Response:
    """Ends a canary, or returns `stable` to the version before, once every replica serves that one again."""
    name = request.path_params["name"]
    _, version = await asyncio.to_thread(services.registry.before, name)
    if version is not None:
        await _loaded(services, version)
    channels = await asyncio.to_thread(partial(services.registry.rollback, name, by=principal.key))
    await services.engine.read_channels()
    return json(channels.to_wire())


async def _loaded(services: Services, version: Version) -> None:
    if not await services.engine.loads([version], LOADED_WITHIN_SECONDS):
        raise EngineUnavailable(
            f"Not every engine replica serves `{version.id}`.", "The channel stays; look at /readyz, then try again."
        )


def _registered(services: Services, name: str, archive: bytes, principal: Principal, digest: str | None) -> Version:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _unpack(archive, folder)
        served = services.engine.base_model
        base = Base(served, digest_in(services.settings.home, served)) if served else None
        return Registry.of(services.settings, base).register(name, folder, by=principal.key, digest=digest)


def _unpack(archive: bytes, folder: Path) -> None:
    """The two files, and nothing else: no folders, links or devices, whatever the archive says."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            room = MAX_UNPACKED_BYTES
            for member in tar:
                if member.name.removeprefix("./") in ("", "."):
                    continue
                if not member.isfile() or member.name.removeprefix("./") not in (WEIGHTS, CONFIG, *OPTIONAL):
                    raise _wrong_archive("holds more than the files of a LoRA")
                room -= member.size
                if room < 0:
                    raise _wrong_archive("unpacks to more than 1 GiB")
                content = tar.extractfile(member)
                assert content is not None
                with (folder / member.name.removeprefix("./")).open("wb") as file:
                    shutil.copyfileobj(content, file)
    except (tarfile.TarError, EOFError, OSError, ValueError):
        raise _wrong_archive("can't be read") from None


def _wrong_archive(reason: str) -> InvalidRequest:
    return InvalidRequest(
        f"The archive {reason}.",
        f"Send a gzipped tar of {WEIGHTS} and {CONFIG}.",
        code=ErrorCode.INVALID_ADAPTER,
    )
