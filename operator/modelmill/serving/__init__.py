"""InferenceService: which version serves, its pods, and how one version replaces another.

`part` collects the view and returns the contribution; `rollout` decides what each track should be; `traffic` says who gets
which share of the requests; `capacity` how many pods that takes; `builders` make the children.
"""
