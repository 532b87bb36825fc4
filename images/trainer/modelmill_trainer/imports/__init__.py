"""Foreign models: found at their source, opened in a process without keys, and published like what a run made."""
