"""What is counted and how it is told: requests, durations, the bins that drift is computed from, Prometheus' forms."""
