"""Children of an InferenceService: one pure function per child, parent in, object out; None where it should not exist."""
