"""Write the CRDs as templates of the Helm chart, from crds/*.yaml; with --check only compare and exit 1 on a difference.

Templates, since Helm never upgrades what is in a chart's own crds/ folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "crds"
TARGET = ROOT / "charts" / "modelmill" / "templates" / "crds"
HEAD = "{{- /* Generated from crds/ by `make generate`. */ -}}\n{{- if .Values.crds.enabled }}\n"
TAIL = "{{- end }}\n"
METADATA = """\
  labels:
    {{- include "modelmill.labels" . | nindent 4 }}
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""


def template(crd: str) -> str:
    """Return the template of a CRD: the same text, with labels, the keep annotation and the condition around it."""
    lines = [line for line in crd.splitlines(keepends=True) if not line.startswith("#")]
    name = next(place for place, line in enumerate(lines) if line == "metadata:\n") + 1
    if not lines[name].startswith("  name: ") or lines[name + 1].startswith("  "):
        raise ValueError("a CRD is expected to have a name and no other metadata")
    text = "".join(lines).replace("{{", '{{ "{{" }}')
    before, after = text.split(lines[name], 1)
    return f"{HEAD}{before}{lines[name]}{METADATA}{after}{TAIL}"


def main() -> int:
    """Return 0 when the templates are up to date or were written."""
    check = "--check" in sys.argv
    wanted = {path.name: template(path.read_text()) for path in SOURCE.glob("*.yaml")}
    present = {path.name: path.read_text() for path in TARGET.glob("*.yaml")} if TARGET.exists() else {}
    stale = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
    for name in stale if not check else ():
        if name in wanted:
            TARGET.mkdir(parents=True, exist_ok=True)
            (TARGET / name).write_text(wanted[name])
        else:
            (TARGET / name).unlink()
    if stale:
        text = "out of date, run `make generate`: " if check else "written: "
        print(text + ", ".join(f"charts/modelmill/templates/crds/{name}" for name in stale))
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
