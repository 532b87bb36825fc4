"""The kubectl plugin as a module."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from types import ModuleType

from tests.support.programs import ROOT

PLUGIN = ROOT / "cli" / "kubectl-modelmill"


def load_plugin() -> ModuleType:
    """Return the plugin, which has no name that could be imported."""
    loader = importlib.machinery.SourceFileLoader("kubectl_modelmill", str(PLUGIN))
    spec = importlib.util.spec_from_loader("kubectl_modelmill", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
