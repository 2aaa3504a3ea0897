"""The writer's lease: at most one process publishes, and one that lost its lease can't, whatever it believes.

A lease lasts `LASTS` seconds and is renewed in time by its holder. A holder of this host that no longer lives loses it
at once. The token grows with every change of hands and is checked inside the transaction that moves the head: that
check, and not the clock, keeps a zombie out.
"""

import os
import secrets
import socket
import time

from sqlalchemy import Connection, select, update

from common.errors import KnowledgeUnavailable
from retrieval.ledger.database import insert_missing
from retrieval.ledger.schema import leases

LASTS = 15.0
_NAME = "writer"


def new_holder() -> str:
    """A name for one holder in this process: host, process, and a number that is never used again."""
    holder = f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(8)}"
    _here.add(holder)
    return holder


def acquire(connection: Connection, holder: str) -> int | None:
    """Takes the lease and returns its token, or None while somebody else holds it."""
    insert_missing(connection, leases, [{"name": _NAME, "holder": "", "token": 0, "expires": 0.0}])
    row = connection.execute(select(leases).where(leases.c.name == _NAME).with_for_update()).one()
    if row.holder not in ("", holder) and row.expires > time.time() and _may_live(row.holder):
        return None
    token = row.token if row.holder == holder else row.token + 1
    taken = {"holder": holder, "token": token, "expires": time.time() + LASTS}
    connection.execute(update(leases).where(leases.c.name == _NAME).values(taken))
    return token


def hold(connection: Connection, token: int) -> None:
    """Renews the lease within the caller's transaction. Raises KnowledgeUnavailable where it has passed on."""
    mine = (leases.c.name == _NAME) & (leases.c.token == token)
    renewed = connection.execute(update(leases).where(mine).values(expires=time.time() + LASTS))
    if renewed.rowcount != 1:
        raise KnowledgeUnavailable("This process is no longer the writer.", "Send the request again in a moment.")


def release(connection: Connection, token: int) -> None:
    mine = (leases.c.name == _NAME) & (leases.c.token == token)
    connection.execute(update(leases).where(mine).values(expires=0.0))


def _may_live(holder: str) -> bool:
    host, pid, _ = holder.split(" ")
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return int(pid) != os.getpid() or holder in _here


_here: set[str] = set()
"""The holders of this very process: its number may have been another's before a restart of the machine."""
