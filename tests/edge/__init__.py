"""What strangers may send: byte streams, each with the answers that the RFCs ask for. Nothing here knows the server."""
