"""Words of Kubernetes: kinds, labels, conditions. No requests, and nothing about models."""
