"""The stages of a training pod: fetch, train (built-in scikit-learn), evaluate and publish.

A model is loaded and run by `model_process` alone, which evaluate starts and bounds. publish has the keys and loads none.

Each is also an ordinary program: `python -m modelmill_trainer run --stage-file spec.json --work folder`.
"""
