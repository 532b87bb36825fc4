"""Write the CRDs as templates of the Helm chart, from crds/*.yaml; with --check only compare and exit 1 on a difference.

Templates, since Helm never upgrades what is in a chart's own crds/ folder.
"""

from __future__ import annotations

import sys

from hack.generated import ROOT, keep

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
    wanted = {TARGET / path.name: template(path.read_text()) for path in SOURCE.glob("*.yaml")}
    return keep(wanted, TARGET.glob("*.yaml"))


if __name__ == "__main__":
    sys.exit(main())
