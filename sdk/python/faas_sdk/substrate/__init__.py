"""Tangle's Substrate chain, for the clients. Everything but `fields` needs the extra `substrate`."""
