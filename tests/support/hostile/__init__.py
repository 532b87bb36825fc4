"""Artifacts as somebody writes them by hand: tables of files that are refused, one module for each kind of model."""
