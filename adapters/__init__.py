"""The voice: writing samples become pairs, pairs train an adapter, an adapter becomes a version behind a channel.

    samples, words, draw, documents, redraw, facts   what training examples are made of
    pairs, tree                                      the examples, in the prompt format that serving uses
    recipe, train, curve, base_model                 training, in the engine's environment, as processes
    lora_on_cpu                                      what vLLM computes with them on a CPU, inside the engine
    artefact, weights, version, channels, registry   versions and channels, in the gateway's environment

What is exported here imports no torch. `python -m adapters.train`, `python -m adapters.base_model` and the engine do.
"""

from adapters.artefact import Base
from adapters.channels import Channel, Channels
from adapters.registry import Registry
from adapters.version import Gate, Version

__all__ = ["Base", "Channel", "Channels", "Gate", "Registry", "Version"]
