"""May this user use the Secret and the service account that the object names? The admission policy, asked as anybody."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from hack.bench import load
from tests.integration.engine.rbac.conftest import OURS, SUBJECTS
from tests.support.api_server import Cluster
from tests.support.asking import Answer, Asking, Subject

pytestmark = pytest.mark.integration

Body = dict[str, Any]
PATHS = {
    kind: f"/apis/modelmill.dev/v1alpha1/namespaces/{OURS}/{kind}"
    for kind in ("trainingjobs", "modelversions", "inferenceservices")
}
ADMINISTRATOR = Subject("")
ROBOT = Subject("system:serviceaccount:gitops:deployer", ("system:serviceaccounts", "system:authenticated"))
SECRET, ACCOUNT = "spec.store.secretRef.name", "spec.store.serviceAccountName"
STORE: Mapping[str, Any] = {"uri": "s3://models/prod", "endpoint": "http://s3.store:7070"}


def store(secret: str | None = None, account: str | None = None, **more: Any) -> Body:
    named: Body = {**STORE, **more}
    if secret is not None:
        named["secretRef"] = {"name": secret}
    if account is not None:
        named["serviceAccountName"] = account
    return named


def training_job(where: Mapping[str, Any], name: str = "cars") -> Body:
    body = load.training_job(OURS, name)
    return {**body, "spec": {**body["spec"], "store": dict(where)}}


def model_version(where: Mapping[str, Any], name: str = "cars") -> Body:
    body = load.model_version(OURS, name)
    return {**body, "spec": {**body["spec"], "store": dict(where), "approval": "Pending"}}


MAKERS: Mapping[str, Callable[..., Body]] = {"trainingjobs": training_job, "modelversions": model_version}

Ask = Callable[..., Answer]


@pytest.fixture(scope="module", autouse=True)
def in_force(tenants: Cluster, asking: Asking) -> None:
    """Wait until the API server has compiled the policy: it does so a moment after it took it."""
    body = training_job(store("other"))

    def refuses() -> bool:
        return asking.ask(SUBJECTS["scientist"], "POST", PATHS["trainingjobs"], body).code == 403

    tenants.eventually(refuses, "the policy in force")


@pytest.fixture(scope="module")
def robot(tenants: Cluster) -> Subject:
    """What applies for everybody from a repository, with the cluster's widest role."""
    bound = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "rbac-test-robot"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": ROBOT.user}],
    }
    tenants.apply(bound)
    return ROBOT


def create(asking: Asking, who: str, kind: str, where: Mapping[str, Any]) -> Answer:
    return asking.ask(SUBJECTS[who], "POST", PATHS[kind], MAKERS[kind](where))


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize(
    ("who", "where", "field", "named"),
    [
        ("scientist", store("other"), SECRET, "other"),
        ("scientist", store("there-is-none"), SECRET, "there-is-none"),
        ("scientist", store("own", "store"), ACCOUNT, "store"),
        ("scientist", store("other", "trainer"), SECRET, "other"),
        ("scientist", store(None, "default"), ACCOUNT, "default"),
        ("scientist", store(None, "there-is-none"), ACCOUNT, "there-is-none"),
    ],
)
def test_what_a_person_may_not_use_cannot_be_named(
    asking: Asking, kind: str, who: str, where: Body, field: str, named: str
) -> None:
    answer = create(asking, who, kind, where)
    assert answer.code == 403
    assert f"{field}: {SUBJECTS[who].user} may not" in answer.message
    assert f" {named} in namespace {OURS}" in answer.message
    assert "name one that you may" in answer.message


PERMITTED = (
    ("scientist", store("own")),
    ("scientist", store("own", "trainer")),
    ("scientist", store()),
    ("editor", store("other", "store")),
    ("admin", store("other", "store")),
    ("editor", store("made-later")),
    ("operator", store("other", "store")),
)


@pytest.mark.parametrize(
    ("kind", "who", "where"),
    # The operator makes no TrainingJobs.
    [(kind, *one) for kind in MAKERS for one in PERMITTED if (kind, one[0]) != ("trainingjobs", "operator")],
)
def test_what_a_person_may_use_can_be_named(asking: Asking, kind: str, who: str, where: Body) -> None:
    assert create(asking, who, kind, where).code == 201


def test_a_robot_with_wide_rights_applies_anything(asking: Asking, robot: Subject) -> None:
    for kind, make in MAKERS.items():
        assert asking.ask(robot, "POST", PATHS[kind], make(store("other", "store"))).code == 201


@pytest.fixture
def foreign(asking: Asking) -> Iterator[str]:
    """A TrainingJob and a ModelVersion with a Secret that the scientist may not get; the name of both, nearly."""
    for kind, make in MAKERS.items():
        made = asking.ask(ADMINISTRATOR, "POST", PATHS[kind], make(store("other"), "foreign"), dry=False)
        assert made.code == 201, made.message
    yield "foreign"
    for kind, name in (("trainingjobs", "foreign"), ("modelversions", "foreign-1")):
        asking.ask(ADMINISTRATOR, "DELETE", f"{PATHS[kind]}/{name}", dry=False)


@pytest.mark.parametrize(
    "change",
    [
        {"store": {"uri": "s3://mine/prod"}},
        {"store": {"endpoint": "http://mine.example:80"}},
        {"store": {"serviceAccountName": "trainer"}},
        {"data": {"train": {"uri": "s3://payroll/"}}},
        {"train": {"sklearn": None, "container": {"image": "mine.example/reads-the-data:1"}}},
        {"runPolicy": {"suspend": True}},
    ],
    ids=["uri", "endpoint", "account", "data", "image", "suspend"],
)
def test_what_is_done_with_keys_of_others_cannot_be_changed(asking: Asking, foreign: str, change: Body) -> None:
    answer = asking.ask(SUBJECTS["scientist"], "PATCH", f"{PATHS['trainingjobs']}/{foreign}", {"spec": change})
    assert answer.code == 403
    assert f"{SECRET}: scientist@ours may not get Secret other" in answer.message
    assert asking.ask(SUBJECTS["editor"], "PATCH", f"{PATHS['trainingjobs']}/{foreign}", {"spec": change}).code == 200


def test_an_artifact_that_only_keys_of_others_can_remove_is_not_given_up(asking: Asking, foreign: str) -> None:
    path, change = f"{PATHS['modelversions']}/{foreign}-1", {"spec": {"deletionPolicy": "Delete"}}
    answer = asking.ask(SUBJECTS["scientist"], "PATCH", path, change)
    assert answer.code == 403
    assert f"{SECRET}: scientist@ours may not get Secret other" in answer.message
    assert asking.ask(SUBJECTS["editor"], "PATCH", path, change, dry=False).code == 200
    aliased = {"spec": {"aliases": ["champion"]}}
    assert asking.ask(SUBJECTS["scientist"], "PATCH", path, aliased).code == 200, "it was given up by who may"


def test_an_object_of_ones_own_cannot_be_turned_to_keys_of_others(asking: Asking) -> None:
    path = f"{PATHS['trainingjobs']}/mine"
    made = asking.ask(
        SUBJECTS["scientist"], "POST", PATHS["trainingjobs"], training_job(store("own"), "mine"), dry=False
    )
    assert made.code == 201, made.message
    try:
        change = {"spec": {"store": {"secretRef": {"name": "other"}}}}
        assert asking.ask(SUBJECTS["scientist"], "PATCH", path, change).code == 403
        replaced = copy.deepcopy(dict(made.body))
        replaced["spec"]["store"]["secretRef"]["name"] = "other"
        assert asking.ask(SUBJECTS["scientist"], "PUT", path, replaced).code == 403
        assert asking.ask(SUBJECTS["scientist"], "PATCH", path, {"spec": {"runPolicy": {"suspend": True}}}).code == 200
    finally:
        asking.ask(ADMINISTRATOR, "DELETE", path, dry=False)


@pytest.mark.parametrize(
    ("kind", "name", "change"),
    [
        ("trainingjobs", "foreign", {"metadata": {"annotations": {"modelmill.dev/run": "again"}}}),
        ("trainingjobs", "foreign", {"metadata": {"labels": {"team": "b"}}}),
        ("modelversions", "foreign-1", {"spec": {"approval": "Approved"}}),
        ("modelversions", "foreign-1", {"spec": {"aliases": ["champion"], "deletionPolicy": "Retain"}}),
        ("modelversions", "foreign-1", {"metadata": {"finalizers": ["example.test/hold"]}}),
    ],
)
def test_what_does_nothing_with_the_keys_can_be_changed(
    asking: Asking, foreign: str, kind: str, name: str, change: Body
) -> None:
    assert asking.ask(SUBJECTS["scientist"], "PATCH", f"{PATHS[kind]}/{name}", change).code == 200


def test_who_may_not_use_the_keys_may_delete(asking: Asking, foreign: str) -> None:
    for kind, name in (("trainingjobs", foreign), ("modelversions", f"{foreign}-1")):
        assert asking.ask(SUBJECTS["scientist"], "DELETE", f"{PATHS[kind]}/{name}").code == 200


def test_the_operator_writes_status_and_finalizer(asking: Asking, foreign: str) -> None:
    operator = SUBJECTS["operator"]
    for kind, name in (("trainingjobs", foreign), ("modelversions", f"{foreign}-1")):
        current = asking.ask(operator, "GET", f"{PATHS[kind]}/{name}").body
        body = {**current, "status": {"observedGeneration": 1}}
        assert asking.ask(operator, "PUT", f"{PATHS[kind]}/{name}/status", body).code == 200
    held = {"metadata": {"finalizers": ["modelmill.dev/in-use"]}}
    assert asking.ask(operator, "PATCH", f"{PATHS['modelversions']}/{foreign}-1", held).code == 200


LOGGED: Mapping[str, Any] = {"uri": "s3://logs"}


def inference_service(spec: Mapping[str, Any], name: str = "cars") -> Body:
    body = load.inference_service(OURS, name)
    return {**body, "spec": {**body["spec"], **spec}}


def logged(secret: str) -> Body:
    return {"payloadLog": {**LOGGED, "secretRef": {"name": secret}}}


def signed(secret: str) -> Body:
    return {"feedback": {"keySecretRef": {"name": secret}}}


def pulled(secret: str) -> Body:
    return {"runtime": {"podTemplate": {"imagePullSecrets": [{"name": secret}]}}}


def run_as(account: str) -> Body:
    return {"runtime": {"podTemplate": {"serviceAccountName": "trainer" if account == "own" else "store"}}}


def scoring(where: Body) -> Body:
    entry = {"name": "new", "input": {"uri": "s3://new", "format": "csv"}, "output": {"uri": "s3://scored"}}
    return {"batch": [{**entry, "name": "first", "store": {}}, {**entry, "store": where}]}


def scored_with(secret: str) -> Body:
    return scoring({"secretRef": {"name": secret}})


def scored_as(account: str) -> Body:
    return scoring({"serviceAccountName": "trainer" if account == "own" else "store"})


OF_SERVICES = [
    (scored_with, "spec.batch[].store.secretRef.name"),
    (scored_as, "spec.batch[].store.serviceAccountName"),
    (pulled, "spec.runtime.podTemplate.imagePullSecrets"),
    (run_as, "spec.runtime.podTemplate.serviceAccountName"),
    (logged, "spec.payloadLog.secretRef.name"),
    (signed, "spec.feedback.keySecretRef.name"),
]


@pytest.mark.parametrize(("naming", "field"), OF_SERVICES, ids=[field for _, field in OF_SERVICES])
def test_what_a_person_may_not_use_cannot_be_named_for_servers(
    asking: Asking, naming: Callable[[str], Body], field: str
) -> None:
    path, who = PATHS["inferenceservices"], SUBJECTS["scientist"]
    answer = asking.ask(who, "POST", path, inference_service(naming("other")))
    assert answer.code == 403
    assert f"{field}: {who.user} may not" in answer.message
    assert "that you may" in answer.message
    assert asking.ask(who, "POST", path, inference_service(naming("own"))).code == 201
    assert asking.ask(who, "POST", path, inference_service({})).code == 201
    assert asking.ask(SUBJECTS["editor"], "POST", path, inference_service(naming("other"))).code == 201


def test_as_many_names_as_there_may_be_are_asked_about(asking: Asking) -> None:
    """The API server bounds what an expression costs, of which a question to the authorizer takes a third."""

    def full(last: str) -> Body:
        secrets = [*(["own"] * 4), *(f"secret-{number}" for number in range(5)), last]
        entry = scoring({})["batch"][0]
        batch = [
            {**entry, "name": f"entry-{number}", "store": {"secretRef": {"name": secret}, "serviceAccountName": secret}}
            for number, secret in enumerate(secrets)
        ]
        pulls = [{"name": f"pull-{number}"} for number in range(8)]
        return inference_service({"batch": batch, "runtime": {"podTemplate": {"imagePullSecrets": pulls}}})

    path = PATHS["inferenceservices"]
    answer = asking.ask(SUBJECTS["editor"], "POST", path, full("other"))
    assert answer.code == 201, answer.message
    assert asking.ask(SUBJECTS["scientist"], "POST", path, full("other")).code == 403


def test_what_a_person_may_not_use_cannot_be_named_for_runs(asking: Asking) -> None:
    def job(secret: str) -> Body:
        body = training_job(store("own"))
        return {**body, "spec": {**body["spec"], "podTemplate": {"imagePullSecrets": [{"name": secret}]}}}

    path, who = PATHS["trainingjobs"], SUBJECTS["scientist"]
    answer = asking.ask(who, "POST", path, job("other"))
    assert answer.code == 403
    assert f"spec.podTemplate.imagePullSecrets: {who.user} may not get Secret other" in answer.message
    assert asking.ask(who, "POST", path, job("own")).code == 201
    assert asking.ask(SUBJECTS["editor"], "POST", path, job("other")).code == 201


@pytest.fixture
def foreign_service(asking: Asking) -> Iterator[str]:
    """An InferenceService whose servers have keys that the scientist may not get; its path."""
    body = inference_service({**logged("other"), **signed("other")}, "foreign")
    made = asking.ask(ADMINISTRATOR, "POST", PATHS["inferenceservices"], body, dry=False)
    assert made.code == 201, made.message
    yield f"{PATHS['inferenceservices']}/foreign"
    asking.ask(ADMINISTRATOR, "DELETE", f"{PATHS['inferenceservices']}/foreign", dry=False)


@pytest.mark.parametrize(
    "change",
    [
        {"payloadLog": {"uri": "s3://mine"}},
        {"payloadLog": {"endpoint": "http://mine.example:80"}},
        {"feedback": {"keySecretRef": {"key": "another"}}},
        {"runtime": {"warmupRequests": 1}},
        {"model": {"follow": None, "version": "cars-of-mine"}},
        scoring({}),
    ],
    ids=["uri", "endpoint", "key", "runtime", "version", "batch"],
)
def test_what_servers_do_with_keys_of_others_cannot_be_changed(
    asking: Asking, foreign_service: str, change: Body
) -> None:
    answer = asking.ask(SUBJECTS["scientist"], "PATCH", foreign_service, {"spec": change})
    assert answer.code == 403
    assert "scientist@ours may not get Secret other" in answer.message
    assert asking.ask(SUBJECTS["editor"], "PATCH", foreign_service, {"spec": change}).code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"replicas": 3}},
        {"spec": {"rollout": {"progressDeadlineSeconds": 60}}},
        {"spec": {"payloadLog": None, "feedback": None}},
        {"metadata": {"annotations": {"modelmill.dev/retry": "again"}}},
    ],
    ids=["replicas", "rollout", "without-keys", "annotation"],
)
def test_what_does_nothing_with_the_keys_of_servers_can_be_changed(
    asking: Asking, foreign_service: str, change: Body
) -> None:
    assert asking.ask(SUBJECTS["scientist"], "PATCH", foreign_service, change).code == 200


def test_the_policy_says_nothing_of_itself(tenants: Cluster) -> None:
    """The API server finds no fault with its expressions, for each kind that they are for."""
    policy = tenants.find("validatingadmissionpolicy", "modelmill-operator-references")
    assert policy is not None
    assert policy["spec"]["failurePolicy"] == "Fail"
    assert not (policy.get("status") or {}).get("typeChecking", {}).get("expressionWarnings")
