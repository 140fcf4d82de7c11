"""The real Tangle protocol on a local anvil, with our blueprint, an operator and an active service on it."""
