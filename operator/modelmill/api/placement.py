"""Where pods may run, as whom, and with what priority: a part of Kubernetes' PodSpec, in the same words.

What is not here cannot be said. Terms about pods mean those of the own namespace: with `namespaces` a pod could keep those of
others from nodes.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from modelmill.api.base import ObjectName, Part, rules

_ATOMIC: Final[dict[str, Any]] = {"x-kubernetes-list-type": "atomic"}
LABEL_KEY: Final = r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
LABEL_VALUE: Final = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
LabelKey = Annotated[str, Field(pattern=LABEL_KEY, max_length=317)]
LabelValue = Annotated[str, Field(pattern=LABEL_VALUE, max_length=63)]


def _expressions(numbers: bool) -> dict[str, Any]:
    """Return the rule about the values of an expression. numbers: whether Gt and Lt are among the operators."""
    some = "(self.operator in ['In', 'NotIn'] && has(self.values) && self.values.size() > 0)"
    none = "(self.operator in ['Exists', 'DoesNotExist'] && (!has(self.values) || self.values.size() == 0))"
    single = "has(self.values) && self.values.size() == 1 && self.values[0].matches('^[0-9]{1,9}$')"
    one = f"(self.operator in ['Gt', 'Lt'] && {single})"
    words = "need values, Exists and DoesNotExist take none"
    if not numbers:
        return rules((f"{some} || {none}", f"of pods In and NotIn {words}"))
    return rules((f"{some} || {none} || {one}", f"of nodes In and NotIn {words}, Gt and Lt take one whole number"))


class Toleration(Part):
    """A taint that the pod may be scheduled in spite of."""

    key: Annotated[str, Field(max_length=316)] | None = Field(default=None, description="Key of the taint.")
    operator: Literal["Exists", "Equal"] | None = Field(default=None, description="How key and value are compared.")
    value: Annotated[str, Field(max_length=63)] | None = Field(default=None, description="Value of the taint.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint. Left out: every effect."
    )


class NodeExpression(Part):
    """What a label of a node must be."""

    model_config = Part.model_config | {"json_schema_extra": _expressions(numbers=True)}
    key: LabelKey = Field(description="Key of the label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = Field(description="How it is compared.")
    values: list[LabelValue] = Field(
        default_factory=list, max_length=32, description="What it is compared with.", json_schema_extra=_ATOMIC
    )


class NodeTerm(Part):
    """Expressions that must all hold."""

    match_expressions: list[NodeExpression] = Field(
        min_length=1, max_length=8, description="What labels of the node must be.", json_schema_extra=_ATOMIC
    )


class NodeTerms(Part):
    """Terms of which one must hold."""

    node_selector_terms: list[NodeTerm] = Field(
        min_length=1, max_length=8, description="One of them must hold.", json_schema_extra=_ATOMIC
    )


class WeightedNodeTerm(Part):
    """A term that counts for a node."""

    weight: int = Field(ge=1, le=100, description="How much it counts.")
    preference: NodeTerm = Field(description="What nodes it counts for.")


class NodeAffinity(Part):
    """Nodes that the pod needs or prefers."""

    required_during_scheduling_ignored_during_execution: NodeTerms | None = Field(
        default=None, description="What the node must be."
    )
    preferred_during_scheduling_ignored_during_execution: list[WeightedNodeTerm] = Field(
        default_factory=list, max_length=8, description="What the node had better be.", json_schema_extra=_ATOMIC
    )


class LabelExpression(Part):
    """What a label of a pod must be."""

    model_config = Part.model_config | {"json_schema_extra": _expressions(numbers=False)}
    key: LabelKey = Field(description="Key of the label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How it is compared.")
    values: list[LabelValue] = Field(
        default_factory=list, max_length=32, description="What it is compared with.", json_schema_extra=_ATOMIC
    )


class LabelSelector(Part):
    """Pods by their labels."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                f"!has(self.matchLabels) || self.matchLabels.all(key, key.matches('{LABEL_KEY}'))",
                "a key of matchLabels is no name of a label",
            )
        )
    }
    match_labels: dict[str, LabelValue] = Field(
        default_factory=dict, description="Labels that they have.", json_schema_extra={"maxProperties": 16}
    )
    match_expressions: list[LabelExpression] = Field(
        default_factory=list, max_length=8, description="What their labels are.", json_schema_extra=_ATOMIC
    )


class PodTerm(Part):
    """Pods of the namespace, and what the node has in common with theirs."""

    label_selector: LabelSelector = Field(description="Which pods, of the same namespace.")
    topology_key: LabelKey = Field(description="Label of which their node has the same value.")


class WeightedPodTerm(Part):
    """A term that counts for a node."""

    weight: int = Field(ge=1, le=100, description="How much it counts.")
    pod_affinity_term: PodTerm = Field(description="What nodes it counts for.")


class PodAffinity(Part):
    """Pods that the pod is to be near to, or far from."""

    required_during_scheduling_ignored_during_execution: list[PodTerm] = Field(
        default_factory=list, max_length=8, description="What must hold of the node.", json_schema_extra=_ATOMIC
    )
    preferred_during_scheduling_ignored_during_execution: list[WeightedPodTerm] = Field(
        default_factory=list, max_length=8, description="What had better hold of the node.", json_schema_extra=_ATOMIC
    )


class Affinity(Part):
    """Which nodes the pod needs or prefers, by their labels and by the pods that run there."""

    node_affinity: NodeAffinity | None = Field(default=None, description="Nodes by their labels.")
    pod_affinity: PodAffinity | None = Field(default=None, description="Pods of the namespace to be near to.")
    pod_anti_affinity: PodAffinity | None = Field(default=None, description="Pods of the namespace to be far from.")


class PullSecret(Part):
    """A Secret of the same namespace."""

    name: ObjectName = Field(description="Name of the Secret.")


class Placement(Part):
    """What may be said about where pods run. Everything else of them is decided by the operator."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                "!has(self.priorityClassName) || !self.priorityClassName.startsWith('system-')",
                "priorityClassName must not begin with system-: these classes are for what the cluster runs by",
            )
        )
    }
    node_selector: dict[str, Annotated[str, Field(max_length=63)]] = Field(
        default_factory=dict,
        description="Labels that the node must have.",
        json_schema_extra={"maxProperties": 32},
    )
    tolerations: list[Toleration] = Field(
        default_factory=list,
        max_length=32,
        description="Taints that the pod may be scheduled in spite of.",
        json_schema_extra=_ATOMIC,
    )
    affinity: Affinity | None = Field(default=None, description="Which nodes the pod needs or prefers.")
    priority_class_name: ObjectName | None = Field(
        default=None, description="PriorityClass of the pod. A ResourceQuota says who may use which."
    )
    image_pull_secrets: list[PullSecret] = Field(
        default_factory=list,
        max_length=8,
        description="Secrets to pull the pod's images with, beside those of its service account.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class SpreadConstraint(Part):
    """How evenly the pods of a revision are spread."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                "!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
                "minDomains needs whenUnsatisfiable DoNotSchedule",
            )
        )
    }
    max_skew: int = Field(ge=1, le=1000, description="How many pods more one domain may have than another.")
    topology_key: LabelKey = Field(description="Label of nodes; those of one value are a domain.")
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(
        description="What becomes of a pod that cannot be placed so."
    )
    min_domains: int | None = Field(default=None, ge=1, le=1000, description="Fewest domains that are to be used.")


class ServerPlacement(Placement):
    """What may be said about the pods of a server. Everything else of them is decided by the operator."""

    topology_spread_constraints: list[SpreadConstraint] = Field(
        default_factory=list,
        max_length=8,
        description="How the pods of a revision are spread. Left out: over the nodes, as well as it goes.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["topologyKey", "whenUnsatisfiable"],
        },
    )
    service_account_name: ObjectName | None = Field(
        default=None, description="Service account of the pods. Left out: that of the version's store."
    )
