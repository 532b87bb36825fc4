"""Crash plans: the operator's real control loop on an API server in memory, in virtual time, with faults at every write."""
