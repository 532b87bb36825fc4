"""What a run tells its stages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelmill.api.data import DataSchema
from modelmill.api.objects import ModelVersion
from modelmill.api.training_job import Gate, TrainingJobSpec
from modelmill.contracts import data, stage
from modelmill.contracts.spaces import AUTO, estimators_of
from modelmill.training.view import View
from modelmill.tuning.verdict import objective


def stage_spec(
    view: View, number: int, version: str, champion: ModelVersion | None, unless_digest: str | None
) -> stage.StageSpec:
    """Return the stages' view of run `number`. Decimal texts of the resource become numbers."""
    spec = view.spec
    return stage.StageSpec(
        namespace=view.namespace,
        training_job=view.name,
        run=number,
        run_uid=f"{view.uid}-{number}",
        model=spec.model,
        version=version,
        store=stage.Store(spec.store.uri, spec.store.endpoint, spec.store.region),
        data=_data(spec),
        estimator=_estimator(spec),
        primary_metric=spec.evaluation.primary.metric,
        primary_direction=spec.evaluation.primary.direction,
        gates=tuple(_gate(gate) for gate in spec.evaluation.gates),
        champion=_champion(champion),
        unless_digest=unless_digest,
        train_image=spec.train.container.image if spec.train.container else "",
        description=spec.description,
        script=_script(spec),
        prepare_image=spec.prepare.container.image if spec.prepare is not None else "",
        warm_start=spec.train.warm_start,
        listed=spec.triggers.new_data is not None or spec.triggers.alerts.waits_for_rows,
    )


def with_parameters(told: stage.StageSpec, parameters: Mapping[str, str]) -> stage.StageSpec:
    """Return the spec with parameters that a search has found, over those of the resource."""
    if told.estimator is None:
        return told
    merged = {**told.estimator.parameters, **parameter_values(parameters)}
    return replace(told, estimator=replace(told.estimator, parameters=merged))


def parameter_values(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return what the texts of parameters mean."""
    return {name: parameter_value(text) for name, text in parameters.items()}


def parameter_value(value: int | str) -> Any:
    """Return the number, truth value or null that a parameter's text means, or the text itself.

    Kubernetes objects carry no floats, so `'0.05'` is a number; `'true'`, `'false'` and `'null'` are what YAML means by them.
    """
    if not isinstance(value, str):
        return value
    words = {"true": True, "false": False, "null": None, "None": None, "True": True, "False": False}
    if value in words:
        return words[value]
    for kind in (int, float):
        try:
            number = kind(value)
        except ValueError:
            continue
        # JSON has neither NaN nor infinity: as texts they come to the estimator, which refuses them by the parameter's name.
        return number if math.isfinite(number) else value
    return value


def _data(spec: TrainingJobSpec) -> stage.Data:
    holdout, window = spec.data.holdout, spec.data.window
    return stage.Data(
        uri=spec.data.train.uri,
        format=spec.data.train.format,
        target=spec.data.target,
        exclude=tuple(spec.data.features.exclude),
        holdout=stage.Holdout(
            fraction=float(holdout.fraction) if holdout.fraction is not None else 0.0,
            strategy=holdout.strategy,
            column=holdout.column,
            uri=holdout.uri,
        ),
        window=data.Window(**window.model_dump()) if window is not None else None,
        schema=_schema(spec.data.schema_),
        copy=spec.data.snapshot == "Copy",
    )


def _schema(given: DataSchema | None) -> data.Schema | None:
    if given is None:
        return None
    columns = tuple(
        data.SchemaColumn(
            name=one.name,
            type=one.type,
            minimum=_number(one.minimum),
            maximum=_number(one.maximum),
            categories=tuple(one.categories),
            max_missing_ratio=_number(one.max_missing_ratio),
            required=one.required,
        )
        for one in given.columns
    )
    return data.Schema(columns, given.unexpected or ("Allow" if columns else "Reject"), given.on_violation)


def _number(text: str | None) -> float | None:
    return float(text) if text is not None else None


def _script(spec: TrainingJobSpec) -> stage.Script | None:
    script = spec.train.script
    return stage.Script(script.config_map_ref.name, script.config_map_ref.key) if script is not None else None


def _estimator(spec: TrainingJobSpec) -> stage.Estimator | None:
    sklearn = spec.train.sklearn
    if sklearn is None:
        return None
    parameters = {name: parameter_value(value) for name, value in sklearn.parameters.items()}
    path = sklearn.estimator
    if path == AUTO and spec.tuning is not None:
        # Each trial replaces it; the data are read for it.
        path = estimators_of(AUTO, objective(spec.tuning, spec.evaluation.primary).metric)[0]
    return stage.Estimator(path, parameters, sklearn.preprocessing)


def _gate(gate: Gate) -> stage.Gate:
    return stage.Gate(
        metric=gate.metric,
        minimum=_number(gate.minimum),
        maximum=_number(gate.maximum),
        min_improvement=float(gate.versus_champion.min_improvement) if gate.versus_champion is not None else None,
    )


def _champion(version: ModelVersion | None) -> stage.Champion | None:
    if version is None or version.spec.artifact is None:
        return None
    return stage.Champion(version.name, version.spec.artifact.uri, version.spec.artifact.digest)
