"""Whose a child is: what marks an object as made for a parent, and what is done when something else has its name.

Names of children are made from the parent's, so that they may be taken: by an object of somebody else, by a child of a
deleted parent of the same name that the garbage collector has not come to yet, or by a child of ours that is going. The cache
holds labelled objects only and may be behind, so that it can say "ours" but never "free". Therefore every apply carries a
precondition that the API server checks as it writes: `metadata.resourceVersion` NEVER to make an object, `metadata.uid` to
change one. Neither costs a request, and between them there is no moment in which a stranger's object could be overwritten.

A level child has the uid of its parent in a label besides. Somebody who takes its owner reference away makes it nobody's: one
that is wanted gets its reference back with its next apply, and one that no plan wants any more is found by the label alone.

A manifest that says a resourceVersion was planned on that state of the object, or on none (NEVER). Where there is another,
the plan is out of date, and is made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelmill.engine.client import FIELD_MANAGER
from modelmill.engine.errors import ChildTerminating, NameConflict
from modelmill.engine.ownership import applied_by
from modelmill.kube.labels import MANAGED_BY_LABEL, OWNER_UID_LABEL
from modelmill.kube.objects import Manifest

NEVER = "1"
"""A resourceVersion that no object has: etcd counts from 1 and its first write is 2. An apply with it can only create."""


def made_for(parent: Manifest, manifest: Manifest) -> dict[str, Any]:
    """Return a copy with owner reference and label. A manifest that names its owners, even none, keeps them."""
    meta = dict(manifest["metadata"])
    meta["labels"] = {**(meta.get("labels") or {}), MANAGED_BY_LABEL: FIELD_MANAGER}
    if "ownerReferences" not in meta:
        meta["ownerReferences"] = [
            {
                "apiVersion": parent["apiVersion"],
                "kind": parent["kind"],
                "name": parent["metadata"]["name"],
                "uid": parent["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
    return {**manifest, "metadata": meta}


def kept_for(parent: Manifest, manifest: Manifest) -> dict[str, Any]:
    """Return a copy of a level child with owner reference and labels, among them the one that `owner_uid` reads."""
    body = made_for(parent, manifest)
    body["metadata"]["labels"][OWNER_UID_LABEL] = parent["metadata"]["uid"]
    return body


def owner_uid(obj: Manifest) -> str | None:
    """Return the uid of the controller; of a level child that has none, of the parent that it was applied for; else None.

    Of what others have made the label says nothing: the object must have an apply of ours, as in `check_applied`.
    """
    owner = _controller(obj)
    if owner is not None:
        return str(owner["uid"])
    uid = _labels(obj).get(OWNER_UID_LABEL)
    return uid if uid is not None and applied_by(obj, FIELD_MANAGER) else None


def only_new(body: Manifest) -> dict[str, Any]:
    """Return the body of an apply that makes the object, and is a Conflict when there is one of this name."""
    return {**body, "metadata": {**body["metadata"], "resourceVersion": NEVER}}


def only_existing(body: Manifest, existing: Manifest) -> dict[str, Any]:
    """Return the body of an apply that changes this very object: Conflict when it is gone, Invalid for a namesake."""
    return {**body, "metadata": {**body["metadata"], "uid": existing["metadata"]["uid"]}}


def only_as_planned(body: Manifest, version: str | None) -> Manifest:
    """Return the body of an apply that is a Conflict unless the object has this resourceVersion; None for any."""
    return body if version is None else {**body, "metadata": {**body["metadata"], "resourceVersion": version}}


def check_created(parent: Manifest, child: Manifest) -> None:
    """Return when a run-to-completion child is the parent's, whether it lives or goes.

    Raises ChildTerminating for one of an earlier parent, NameConflict for one of somebody else.
    """
    owner = _controller(child)
    if owner is None:
        if _labels(child).get(OWNER_UID_LABEL) != parent["metadata"]["uid"]:
            raise _conflict(parent, child, None)
    else:
        _check_owner(parent, child, owner)


def check_applied(parent: Manifest, child: Manifest) -> None:
    """Return when a level child is the parent's and stays.

    One without a controller that our apply has made is the parent's too: somebody took the reference away, or deleted an
    earlier parent with --cascade=orphan. Raises ChildTerminating for one that is going, NameConflict for one of somebody else.
    """
    owner = _controller(child)
    if owner is not None:
        _check_owner(parent, child, owner)
    elif not applied_by(child, FIELD_MANAGER):
        raise _conflict(parent, child, None)
    if "deletionTimestamp" in child["metadata"]:
        held = ", ".join(child["metadata"].get("finalizers") or ())
        why = f"; its finalizers hold it: {held}" if held else ""
        raise ChildTerminating(f"{_name(child)} is being deleted and is made anew when it is gone{why}")


def _check_owner(parent: Manifest, child: Manifest, owner: Mapping[str, Any]) -> None:
    if owner["uid"] == parent["metadata"]["uid"]:
        return
    same_group = owner.get("apiVersion", "").partition("/")[0] == parent["apiVersion"].partition("/")[0]
    if same_group and (owner.get("kind"), owner.get("name")) == (parent["kind"], parent["metadata"]["name"]):
        earlier = f"{_name(child)} of an earlier {parent['kind']} {parent['metadata']['name']}"
        raise ChildTerminating(
            f"{earlier} is not yet deleted by the garbage collector; it is made anew when it is gone"
        )
    raise _conflict(parent, child, owner)


def _conflict(parent: Manifest, child: Manifest, owner: Mapping[str, Any] | None) -> NameConflict:
    whose = "somebody else" if owner is None else f"somebody else ({owner.get('kind')} {owner.get('name')})"
    mend = f"delete it, or give this {parent['kind']} another name"
    return NameConflict(f"{_name(child)} belongs to {whose} and is left as it is; {mend}")


def _controller(child: Manifest) -> Mapping[str, Any] | None:
    owners = child["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


def _labels(child: Manifest) -> Mapping[str, str]:
    return child["metadata"].get("labels") or {}


def _name(child: Manifest) -> str:
    return f"{child['kind']} {child['metadata']['namespace']}/{child['metadata']['name']}"
