"""What crosses a process boundary between the operator, the training stages and the model server.

Standard library only: the images import this package as well as the operator. Readers ignore unknown fields; every document
carries its version as `v`.
"""
