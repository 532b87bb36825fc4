"""What knows Kubernetes and nothing about models: queue, cache, client, controller, election, events, metrics."""
