"""The transport: HTTP/1.1 on the event loop. It knows requests and answers, and nothing of models."""
