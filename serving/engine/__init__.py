"""vLLM as the gateway sees it: replicas, their health, the adapters on each, and the stream of one answer."""
