"""Whether search finds what a firm's own questions need, and which way of cutting and joining finds it best.

Nothing here knows the service: `questions`, `metrics` and `weak` measure what anybody found, `tries` searches documents
in memory. `groundtone knowledge evaluate` and `tune` put them together.
"""
