"""Whether the data may be trained on: by a schema that is given, and by comparison with the data of the last good version.

`given` judges by `data.schema`, `structure` by the columns of the champion's data, `drift` by their values, `leak` by the
target; `examine` asks them all. What is compared later is kept in the artifact as schema.json (`summary`).
"""
