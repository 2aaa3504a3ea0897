"""What all parts of groundtone speak: figures, prompt format, canonical bytes, errors, principal, settings.

Nothing here knows torch, a web framework or a database.
"""
