"""The knowledge service: read, cut, embed, publish, search.

`retrieval.knowledge.Knowledge` is all of it in one object, `retrieval.api` its HTTP, `retrieval.service` the process.
"""
