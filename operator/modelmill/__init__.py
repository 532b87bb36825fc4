"""Modelmill: the life of a machine-learning model as three Kubernetes resources."""

__version__ = "0.1.0"
