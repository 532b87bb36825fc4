"""The stages of a training pod: fetch, train (built-in scikit-learn) and publish.

Each is also an ordinary program: `python -m modelmill_trainer run --stage-file spec.json --work folder`.
"""
