"""Tangle's Substrate chain: its Services pallet as one more chain adapter. See docs/substrate.md."""
