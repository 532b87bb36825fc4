"""The section of docs/performance.md and the words in it that do not change."""

from __future__ import annotations

from pathlib import Path

BEGIN, END = "<!-- serving: begin -->", "<!-- serving: end -->"
PAGE = Path(__file__).resolve().parents[3] / "docs" / "performance.md"

METHOD = (
    "Each server's whole process tree runs on one core, the load generator on the other. CPU per request is the user and "
    "system time of the tree over a round, divided by the answers of that round; rounds are interleaved (every server once, "
    "then again), and the median is shown. Load: wrk with keep-alive connections, after a second of warm-up. All servers have "
    "the same fitted model, and an answer of each to each kind of request was compared with scikit-learn's values before the "
    "timing: labels exactly, probabilities within 1e-5. Ours serves the ONNX form, with metrics, drift counting, validation "
    "and feedback ids on. FastAPI has a pydantic model and one uvicorn worker with uvloop and httptools; the line that others "
    "are compared with has an `async` handler and no access log, which is its cheapest form. The hello world is granian's "
    "RSGI server that reads the body and answers a constant; the other one is an asyncio protocol on uvloop and httptools that "
    "does the same without a second thread. Over gRPC the load is a Python client (`hack/bench/serving/grpc_load.py`), which "
    "bounds the rates, so CPU per request is what is compared there; its hello world is grpcio that takes bytes and answers a "
    "constant."
)
OPEN_METHOD = (
    "One row, Poisson arrivals at half of the median rate above over 64 connections (`hack/bench/serving/open_loop`). Latency "
    "counts from the moment a request was due, so waiting for a free connection is part of it. Sent late: more than a "
    "millisecond after that moment, by the load generator's own fault, which is part of the latency as well."
)
MEMORY_METHOD = "Proportional set size of the process tree after the load above, logistic regression."


def write(text: str) -> Path:
    """Put the text into the section; other sections stay."""
    before = PAGE.read_text() if PAGE.exists() else "# Performance\n"
    if BEGIN in before:
        head, rest = before.split(BEGIN, 1)
        tail = rest.split(END, 1)[1]
    else:
        head, tail = before.rstrip("\n") + "\n\n", "\n"
    PAGE.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}")
    return PAGE
