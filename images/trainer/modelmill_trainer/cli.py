"""The command line: `fetch`, `train`, `evaluate`, `publish`, or `run` for one after the other; `score` ends a trial.

`remove` deletes an artifact; `look` says how much data is new; `import` publishes a foreign model; `drift-report` writes a page
about what a served version was asked.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from modelmill.contracts import names, result
from modelmill.contracts.stage import STAGE_VERSION, StageSpec, decode
from modelmill.store.keys import hide_keys
from modelmill_trainer.failure import StageError, explained, leave
from modelmill_trainer.folders import Folders, folders

STAGES = (names.STAGE_FETCH, names.STAGE_TRAIN, names.STAGE_PUBLISH)
"""What `run` does; publish evaluates where nothing did before."""
HELP = (
    f"run: all, one after the other; remove: delete the artifact at {names.ENV_ARTIFACT_URI}; look: what data is new; "
    f"import: publish the model that {names.ENV_IMPORT} names; drift-report: write the page that {names.ENV_REPORT} names"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stages and return the exit code: 0, or 3 when trying again will not help, or 1 when it may."""
    # As a container's first process it would ignore the signal without a handler.
    signal.signal(signal.SIGTERM, _terminate)
    options = _parser().parse_args(arguments)
    most = result.MAX_BYTES
    try:
        hide_keys()
        if options.stage == names.STAGE_REMOVE:
            from modelmill_trainer.remove import remove

            remove()
            return 0
        if options.stage == names.STAGE_IMPORT:
            from modelmill_trainer.imports.stage import import_model, told_spec

            leave(result.encode(import_model(told_spec())))
            return 0
        if options.stage == names.STAGE_DRIFT_REPORT:
            from modelmill_trainer import drift_report

            drift_report.drift_report(drift_report.told_spec())
            return 0
        spec = _spec(options.stage_file)
        most = most_bytes(spec)
        if options.stage == names.STAGE_LOOK:
            from modelmill.contracts.look import encode_seen
            from modelmill_trainer.look import look

            # Its pod has no folders.
            leave(encode_seen(look(spec)))
            return 0
        where = folders(options.work)
        if options.work is not None:  # without a cluster nothing mounts it before the train stage
            where.output.mkdir(parents=True, exist_ok=True)
        for stage in _stages(spec) if options.stage == "run" else (options.stage,):
            _run(stage, spec, where, options.arguments)
    except Exception as error:
        if options.debug:
            traceback.print_exc()
        failure = explained(error, options.stage)
        leave(result.encode(failure.result(), most))
        print(f"{options.stage}: {failure.line()}", file=sys.stderr)
        return failure.exit_code
    return 0


def _stages(spec: StageSpec) -> Sequence[str]:
    if spec.prepare_image:
        raise StageError("SpecInvalid", "run knows no prepare: run fetch, your program, divide, train and publish")
    if spec.script is not None:
        return tuple(names.STAGE_SCRIPT if one == names.STAGE_TRAIN else one for one in STAGES)
    return STAGES


def most_bytes(spec: StageSpec) -> int:
    """Return how long a termination message of the run may be: a prepare stage makes each container's share smaller."""
    return result.share_of(result.CONTAINERS + (result.PREPARING if spec.prepare_image else 0))


def _run(stage: str, spec: StageSpec, where: Folders, arguments: Sequence[str]) -> None:
    # Each stage imports only what it needs.
    if stage == names.STAGE_FETCH and spec.prepare_image:
        from modelmill_trainer.prepared import fetch_raw

        leave(result.encode_data(fetch_raw(spec, where)))
    elif stage == names.STAGE_FETCH:
        from modelmill_trainer.fetch import fetch

        leave(result.encode_data(fetch(spec, where).told()))
    elif stage == names.STAGE_DIVIDE:
        from modelmill_trainer.prepared import divide

        leave(result.encode_data(divide(spec, where).told()))
    elif stage == names.STAGE_SCRIPT:
        from modelmill_trainer.scripts import run_script

        run_script(spec, where, arguments)
    elif stage == names.STAGE_TRAIN:
        from modelmill_trainer.train import train

        train(spec, where)
    elif stage == names.STAGE_EVALUATE:
        from modelmill_trainer.evaluate import evaluate

        if where.evaluated is None:
            raise StageError(
                "SpecInvalid", f"{names.ENV_EVALUATED} is not set: set it, or run publish, which evaluates"
            )
        evaluate(spec, where, where.evaluated)
    elif stage == names.STAGE_SCORE:
        from modelmill_trainer.score import score

        leave(result.encode(score(spec, where)))
    else:
        from modelmill_trainer.publish import publish

        leave(result.encode(publish(spec, where), most_bytes(spec)))


def _spec(path: Path | None) -> StageSpec:
    source = str(path) if path is not None else names.ENV_STAGE
    text = path.read_text(encoding="utf-8") if path is not None else os.environ.get(names.ENV_STAGE, "")
    if not text:
        raise StageError("SpecInvalid", f"{names.ENV_STAGE} is not set: set it, or give --stage-file FILE")
    try:
        raw = json.loads(text)
        if path is not None and isinstance(raw, dict):
            raw = _local(raw)
        return decode(json.dumps(raw))
    except KeyError as error:
        raise StageError("SpecInvalid", f"{source} lacks the field {error}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise StageError("SpecInvalid", f"{source}: {error}") from None


def _local(raw: dict[str, object]) -> dict[str, object]:
    """Fill in what only a cluster knows, for a file that a person wrote."""
    model = raw.get("model", "model")
    known = {
        "v": STAGE_VERSION, "namespace": "local", "training_job": model, "run": 1, "run_uid": "local",
        "model": model, "version": f"{model}-1",
    }  # fmt: skip
    return known | raw


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="modelmill-trainer", description="The stages of a training run.")
    more = (
        names.STAGE_DIVIDE,
        names.STAGE_SCRIPT,
        names.STAGE_EVALUATE,
        names.STAGE_SCORE,
        names.STAGE_REMOVE,
        names.STAGE_IMPORT,
        names.STAGE_LOOK,
        names.STAGE_DRIFT_REPORT,
    )
    stages = [*STAGES, *more, "run"]
    parser.add_argument("stage", choices=stages, help=HELP)
    parser.add_argument("--stage-file", type=Path, help=f"JSON of the run; left out: the variable {names.ENV_STAGE}")
    parser.add_argument("--work", type=Path, help="folder for input, hold-out and output; left out: the variables")
    parser.add_argument("--argument", dest="arguments", action="append", default=[], help="one argument of the script")
    parser.add_argument("--debug", action="store_true", help="print the trace of a failure")
    return parser


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signal.SIGTERM)
