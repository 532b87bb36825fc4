"""The payload log: a sample of requests with their answers, and where it is written."""
