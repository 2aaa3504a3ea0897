"""Sources: what feeds knowledge bases by itself."""
