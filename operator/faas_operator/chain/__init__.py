"""How the operator reads and writes a chain. `interface` says what; the adapters say how."""
