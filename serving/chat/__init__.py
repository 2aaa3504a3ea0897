"""One question in, one accountable answer out, in OpenAI's wire format."""
