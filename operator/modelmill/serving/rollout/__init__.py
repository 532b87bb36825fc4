"""How one version replaces another: where a rollout is, what comes next, and on what grounds.

The candidate is the track that is being rolled out, by whichever strategy; the API calls it `status.canary`.
"""
