"""`make demo` is the promise of the README: trained, served, drifting, retrained by an alert, rolled out, better."""

from __future__ import annotations

import re
import subprocess
import sys

from hack.demo.kube import ROOT, Kube


def test_the_loop_runs_end_to_end_without_a_failed_request(kube: Kube) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hack.demo"],
        cwd=ROOT,
        env=kube.environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    requests = re.search(r"(\d+) requests, (\d+) failed", done.stdout.rsplit("Traffic share over time", 1)[-1])
    assert requests is not None
    assert int(requests[1]) > 1000
    assert int(requests[2]) == 0
    rows = re.findall(r"^  (fuel-economy-\d)  .*?([\d.]+) +\d+ +(Spec|Alert) *$", done.stdout, re.MULTILINE)
    assert [(name, reason) for name, _, reason in rows] == [("fuel-economy-1", "Spec"), ("fuel-economy-2", "Alert")]
    assert float(rows[1][1]) < float(rows[0][1])
