"""Backup and restore: record, ledger and adapters in one archive, the keys in another file.

What is made again from the ledger (vectors, terms, matrices) and what is fetched or logged is left out.
"""

from serving.backup.manifest import Damaged, Refused
from serving.backup.restore import restore
from serving.backup.save import save

__all__ = ["Damaged", "Refused", "restore", "save"]
