"""Where all channels point at one moment, in memory: a request chooses its adapter version without touching a disk."""

from dataclasses import dataclass, field

from adapters import Channels, Registry, Version


@dataclass(frozen=True, slots=True)
class Pointers:
    """`versions` are all that a channel points to, by id: what each engine replica must have loaded."""

    channels: dict[str, Channels] = field(default_factory=dict[str, Channels])
    versions: dict[str, Version] = field(default_factory=dict[str, Version])

    def resolve(self, name: str, sticky: str) -> Version | None:
        """The version that answers the conversation `sticky`; None where no channel of `name` points to one."""
        channels = self.channels.get(name)
        id = channels.pick(name, sticky) if channels else None
        return self.versions[id] if id else None


def read_pointers(registry: Registry) -> Pointers:
    """The channels as they are on disk now, without versions that did not pass their gate.

    Raises OSError and ValueError where they can't be read.
    """
    channels = {name: registry.served(name) for name in registry.names()}
    ids = {id for c in channels.values() for id in (c.stable, c.canary[0] if c.canary else None) if id}
    return Pointers(channels, {id: registry.version(id) for id in sorted(ids)})
