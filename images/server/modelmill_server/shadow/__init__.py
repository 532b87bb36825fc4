"""The server as a mirror: a sample of what it answered is sent to another version, too, and the two answers are compared."""
