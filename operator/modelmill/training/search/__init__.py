"""A run that searches: data are copied once, trials are made and recorded one after the other, and the best is published.

The ledger is the truth. A trial is written there before its Job is made, and its end before its Job is deleted, so that an
operator that is killed at any moment finds what to do next: an entry that runs and has no Job gets it, under its one name.
"""
