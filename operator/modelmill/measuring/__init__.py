"""Reading what pods count, and figures from it. Knows pods and counters, no rollouts."""
