"""Connections to the servers behind the gateway, kept for the next request."""

import aiohttp

KEPT = 3.0
"""Seconds for which an idle connection is used again. uvicorn, which serves both the knowledge process and vLLM, closes
one after five: a question sent in that very moment would be lost, and a POST must not be sent twice."""


def pool() -> aiohttp.TCPConnector:
    """As many connections as there are requests."""
    return aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT)
