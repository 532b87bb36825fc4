"""Batch prediction: the objects of a prefix scored in bounded memory, by the model as the server has it.

`command` has the keys of the store: it brings objects, takes results away, and writes what is done (`documents`). The model is
loaded and run by another process, which has none (`scoring`, begun by `process`). Each format has a module for its rows.
"""
