"""The embedders behind `retrieval.embed`, one module each."""
