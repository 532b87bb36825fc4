"""ModelVersion: approval, use and protection of what is served."""
