"""TrainingJob: when it runs, what a run does, what becomes of its result."""
