"""Whether the process lives, and whether questions may be sent to it."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from retrieval.api.requests import Service

router = APIRouter()


@router.get("/livez")
async def livez() -> dict[str, bool]:
    return {"live": True}


@router.get("/readyz")
async def readyz(service: Service) -> JSONResponse:
    """Ready with reasons means degraded: questions are answered, and somebody should look.

    `writes` says whether changes may be sent here.
    """
    missing = service.missing()
    told = {"ready": not missing, "reasons": missing or service.degraded(), "writes": service.writes}
    return JSONResponse(told, 503 if missing else 200)
