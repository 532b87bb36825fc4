"""A search: its space, what trial comes next, the ledger of its trials, and when it is over. Knows no Jobs and no pods."""
