"""Children of a TrainingJob: one pure function per child, parent in, object out."""
