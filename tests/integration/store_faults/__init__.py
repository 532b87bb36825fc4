"""Faults of a store at every call: a proxy before a real S3 store, the programs that use it, and what must hold of each end."""
