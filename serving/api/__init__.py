"""The gateway's HTTP routes. Each is registered with the scope that it demands, or not at all."""
