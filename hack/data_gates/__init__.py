"""Corruptions of a real data set, and what the data gates say of each."""
