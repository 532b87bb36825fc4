"""The three kinds as pydantic models: the only source of the CRDs, and how the operator reads a spec."""
