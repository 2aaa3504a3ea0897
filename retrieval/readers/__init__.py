"""One module a format; each appends what it reads to a `Page`. `retrieval.read` is the door to them."""
