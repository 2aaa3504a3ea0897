"""Stand-ins at the transport: servers on loopback that speak the wire format of what they stand for."""
