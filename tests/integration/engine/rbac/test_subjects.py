"""Who may not do what: each row is a request in somebody's name to a real API server, and the answer that it must get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from hack.bench.light import NAMESPACE
from tests.integration.engine.rbac.conftest import OURS, SUBJECTS, THEIRS
from tests.support.asking import Asking

pytestmark = pytest.mark.integration

METHODS = {"get": "GET", "list": "GET", "create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}
GROUPS = {
    "trainingjobs": "apis/modelmill.dev/v1alpha1",
    "modelversions": "apis/modelmill.dev/v1alpha1",
    "inferenceservices": "apis/modelmill.dev/v1alpha1",
    "jobs": "apis/batch/v1",
    "cronjobs": "apis/batch/v1",
    "deployments": "apis/apps/v1",
    "daemonsets": "apis/apps/v1",
    "statefulsets": "apis/apps/v1",
    "replicasets": "apis/apps/v1",
    "roles": "apis/rbac.authorization.k8s.io/v1",
    "rolebindings": "apis/rbac.authorization.k8s.io/v1",
    "clusterroles": "apis/rbac.authorization.k8s.io/v1",
    "clusterrolebindings": "apis/rbac.authorization.k8s.io/v1",
    "networkpolicies": "apis/networking.k8s.io/v1",
    "poddisruptionbudgets": "apis/policy/v1",
    "horizontalpodautoscalers": "apis/autoscaling/v2",
    "httproutes": "apis/gateway.networking.k8s.io/v1",
    "prometheusrules": "apis/monitoring.coreos.com/v1",
    "podmonitors": "apis/monitoring.coreos.com/v1",
    "servicemonitors": "apis/monitoring.coreos.com/v1",
    "prometheuses": "apis/monitoring.coreos.com/v1",
    "alertmanagerconfigs": "apis/monitoring.coreos.com/v1alpha1",
    "gateways": "apis/gateway.networking.k8s.io/v1",
    "leases": "apis/coordination.k8s.io/v1",
    "customresourcedefinitions": "apis/apiextensions.k8s.io/v1",
    "validatingadmissionpolicies": "apis/admissionregistration.k8s.io/v1",
    "validatingadmissionpolicybindings": "apis/admissionregistration.k8s.io/v1",
    "mutatingwebhookconfigurations": "apis/admissionregistration.k8s.io/v1",
    "certificatesigningrequests": "apis/certificates.k8s.io/v1",
    "tokenreviews": "apis/authentication.k8s.io/v1",
    "storageclasses": "apis/storage.k8s.io/v1",
    "priorityclasses": "apis/scheduling.k8s.io/v1",
}


@dataclass(frozen=True)
class Row:
    """A request. where: namespace, empty for what has none. what: plural, name and subresource, as in a path."""

    who: str
    verb: str
    what: str
    where: str = OURS

    @property
    def path(self) -> str:
        plural, _, rest = self.what.partition("/")
        place = f"namespaces/{self.where}/" if self.where else ""
        return f"/{GROUPS.get(plural, 'api/v1')}/{place}{plural}" + (f"/{rest}" if rest else "")

    def __str__(self) -> str:
        return f"{self.who} {self.verb} {self.what} {self.where}"


def rows(who: str, text: str, where: str = OURS) -> Iterator[Row]:
    """Yield the rows of a table with a line for each resource: what it is, then the verbs."""
    for line in text.split("\n"):
        what, *verbs = line.split()
        yield from (Row(who, verb, what, where) for verb in verbs)


OPERATOR_NEVER = [
    *rows(
        "operator",
        """secrets list create
secrets/own get update patch delete
serviceaccounts list create
serviceaccounts/default get patch delete
serviceaccounts/default/token create
pods create
pods/x get patch delete update
pods/x/exec create get
pods/x/attach create
pods/x/portforward create
pods/x/proxy get create
pods/x/log get
pods/x/eviction create
pods/x/ephemeralcontainers patch
pods/x/status update patch
services/x/proxy get
services/x/status patch
persistentvolumeclaims list create
endpoints list create
resourcequotas/x delete
limitranges/x delete
configmaps/x update
trainingjobs create
trainingjobs/x update patch delete
trainingjobs/x/status patch
inferenceservices create
inferenceservices/x update patch delete
inferenceservices/x/scale update patch
modelversions/x update
jobs/x update patch
jobs/x/status update
cronjobs create
deployments/x update
deployments/x/scale update
deployments/x/status patch
daemonsets create
statefulsets create
replicasets/x get patch delete
replicasets create
poddisruptionbudgets/x update
horizontalpodautoscalers/x update
horizontalpodautoscalers/x/status patch
httproutes/x update
httproutes/x/status update patch
gateways list create
prometheusrules/x update
podmonitors/x update
alertmanagerconfigs/x update
servicemonitors list create
prometheuses list create
roles create list
roles/x get update delete
rolebindings create list
rolebindings/x update delete
networkpolicies list create
networkpolicies/x delete
leases/modelmill-operator get update""",
    ),
    *rows(
        "operator",
        """namespaces list create
namespaces/rbac-ours get patch delete
nodes list
nodes/x get patch
nodes/x/proxy get create
persistentvolumes list
clusterroles create list
clusterroles/cluster-admin get update
clusterrolebindings create
clusterrolebindings/x patch
customresourcedefinitions create
customresourcedefinitions/trainingjobs.modelmill.dev get update patch delete
validatingadmissionpolicies list
validatingadmissionpolicies/modelmill-operator-references update delete
validatingadmissionpolicybindings/modelmill-operator-references update delete
mutatingwebhookconfigurations create
certificatesigningrequests create
storageclasses list
priorityclasses create""",
        "",
    ),
    *rows(
        "operator",
        """secrets list
secrets/modelmill-operator-alerts get
leases list
leases/another update
leases/modelmill-operator delete patch
pods create
rolebindings create""",
        NAMESPACE,
    ),
]

KINDS = ("trainingjobs", "modelversions", "inferenceservices")
CHANGES = "update patch delete"
TENANTS_NEVER = [
    *(row for kind in KINDS for row in rows("viewer", f"{kind} create\n{kind}/x {CHANGES}\n{kind}/x/status update")),
    *rows("viewer", "inferenceservices/x/scale update patch\nsecrets/own get\nserviceaccounts/trainer patch"),
    *(row for kind in KINDS for row in rows("editor", f"{kind}/x/status update patch")),
    *(row for kind in KINDS for row in rows("editor", f"{kind} list create\n{kind}/x {CHANGES}", THEIRS)),
    *(row for kind in KINDS for row in rows("admin", f"{kind}/x/status update patch")),
    *rows("admin", "customresourcedefinitions/trainingjobs.modelmill.dev update delete", ""),
    *rows("admin", "secrets/modelmill-operator-alerts get\ndeployments/modelmill-operator patch", NAMESPACE),
    *rows("scientist", "secrets list\nsecrets/other get\nsecrets/own patch delete\npods create\njobs create"),
    *rows("scientist", "trainingjobs list create\nsecrets/own get", THEIRS),
    *rows("scientist", "inferenceservices/x/scale update\ntrainingjobs/x/status update"),
    *(row for kind in KINDS for row in rows("editor of another namespace", f"{kind} list create\n{kind}/x {CHANGES}")),
]

NOBODY = [
    row
    for who in ("training pod", "pod with an account of the store", "anybody", "anonymous")
    for row in [
        *rows(
            who,
            "secrets list\nsecrets/own get\npods list create\npods/x/exec create\nconfigmaps list\nevents list create",
        ),
        *(row for kind in KINDS for row in rows(who, f"{kind} list create\n{kind}/x get patch delete")),
        *rows(who, "secrets/modelmill-operator-alerts get\nleases/modelmill-operator get update", NAMESPACE),
        *rows(who, "nodes list\nnamespaces list\ntokenreviews create", ""),
    ]
]

REFUSED = [*OPERATOR_NEVER, *TENANTS_NEVER, *NOBODY]

PERMITTED = [
    *rows(
        "operator", "jobs list create\njobs/x delete\nconfigmaps/x patch delete\nservices create\nmodelversions create"
    ),
    *rows(
        "operator",
        "trainingjobs/x/status update\nmodelversions/x/status update\ntrainingjobs/x/finalizers update\nmodelversions/x delete",
    ),
    *rows("operator", "pods list\nevents list\nreplicasets list"),
    *rows("operator", "tokenreviews create", ""),
    *rows("operator", "leases create\nleases/modelmill-operator get update", NAMESPACE),
    *(row for kind in KINDS for row in rows("viewer", f"{kind} list\n{kind}/x get\n{kind}/x/status get")),
    *(row for kind in KINDS for row in rows("editor", f"{kind} list create\n{kind}/x {CHANGES}")),
    *rows("editor", "inferenceservices/x/scale patch\nsecrets/own get"),
    *(row for kind in KINDS for row in rows("admin", f"{kind} list create\n{kind}/x {CHANGES}")),
    *rows("scientist", "trainingjobs list create\nsecrets/own get"),
]
"""That the subjects are who they should be: without these, every refusal could be a name misspelt."""


def test_the_table_is_as_long_as_it_should_be() -> None:
    assert len(set(map(str, REFUSED))) == len(REFUSED)
    assert len(REFUSED) >= 120
    assert not set(map(str, REFUSED)) & set(map(str, PERMITTED))


@pytest.mark.parametrize("row", REFUSED, ids=str)
def test_it_is_refused(asking: Asking, row: Row) -> None:
    answer = asking.ask(SUBJECTS[row.who], METHODS[row.verb], row.path, body(row))
    assert (answer.code, "forbidden" in answer.message) == (403, True), answer.message
    assert SUBJECTS[row.who].user in answer.message


@pytest.mark.parametrize("row", PERMITTED, ids=str)
def test_it_is_permitted(asking: Asking, row: Row) -> None:
    answer = asking.ask(SUBJECTS[row.who], METHODS[row.verb], row.path, body(row))
    assert answer.code not in (401, 403), answer.message


def body(row: Row) -> dict[str, Any] | None:
    """Return a body that is none: permission is asked before it is read."""
    return {} if row.verb in ("create", "update", "patch") else None
