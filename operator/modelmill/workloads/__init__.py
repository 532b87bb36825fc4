"""Pods and Jobs that the operator starts, and what they say: the one place where a pod is built and where it is read.

A new kind of Job is a function that names its containers and calls `jobs.build_job`; how it is doing is `jobs.observe`.
Security, credentials, requests of compute, image and pull policy, folders and a /tmp of its own come with each `Container`.
"""
