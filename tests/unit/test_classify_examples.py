"""The examples in the docstrings of the classify room run."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module

import pytest

import xmsec.classify

MODULES = sorted(
    {"xmsec.content.classifiers", *(found.name for found in pkgutil.walk_packages(xmsec.classify.__path__, "xmsec.classify."))}
    - {"xmsec.classify.presidio"}  # has none, and its import costs over a second
)


@pytest.mark.parametrize("module", MODULES)
def test_its_examples_run(module: str) -> None:
    assert doctest.testmod(import_module(module)).failed == 0
