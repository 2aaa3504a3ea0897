"""The record: what was asked and answered, durable before it leaves, in a database of its own."""
