"""The knowledge service's HTTP: the contract's knowledge paths, and the gateway's private `/search`."""

from retrieval.api.app import create_app

__all__ = ["create_app"]
