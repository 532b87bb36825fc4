"""The protocols over the one core: V2 and V1 over HTTP, MLflow, gRPC; one table of routes feeds dispatch and OpenAPI."""
