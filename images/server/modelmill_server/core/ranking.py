"""An output's greatest values, as texts: the classification extension.

Source: Triton, protocol/extension_classification.md. A text is "value:index" or, where the classes have labels,
"value:index:label"; the value has six decimals, as there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modelmill.contracts.artifact import category_text
from modelmill_server.core.model import Output
from modelmill_server.queries.columns import bad


def ranked(output: Output, count: int, classes: tuple[Any, ...]) -> Output:
    """Return the `count` greatest values of each row, the greatest first, as BYTES of shape [rows, count], or all when there
    are fewer. classes: the labels of the columns, or none.

    Raises RejectedError for an output that has not several numbers in each row.
    """
    scores = output.array
    if scores.ndim != 2 or scores.dtype.kind not in "fiu":
        raise bad(f"output {output.name!r} has no scores of classes to rank: ask for classification of predict_proba")
    labels = [f":{category_text(label)}" for label in classes] if len(classes) == scores.shape[1] else None
    order = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :count]
    texts = np.empty(order.shape, object)
    for row, places in enumerate(order.tolist()):
        values = scores[row].tolist()
        texts[row] = [f"{values[at]:f}:{at}{labels[at] if labels else ''}" for at in places]
    return Output(output.name, "BYTES", texts)
