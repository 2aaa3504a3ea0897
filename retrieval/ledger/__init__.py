"""The ledger: SQL, and the only truth about what exists, since when, and who may see it.

A module a noun, each of functions that take a connection of `database.Ledger` and the principal they act for; every
query of theirs stays within that principal's tenant. `schema` says what the tables mean.
"""
