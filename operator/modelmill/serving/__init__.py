"""InferenceService: serving pods, rollout and its analysis."""
