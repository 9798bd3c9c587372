"""Put the project and its test helpers on the import path, keep the network out, use one core."""

import importlib
import os
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS / "guard"), str(TESTS), str(TESTS.parent)]
os.environ["RNN_OFFLINE"] = "1"
# What a test opens a connection with, in this process or in one that it starts, is refused.
if "sitecustomize" in sys.modules:  # an installation's own
    del sys.modules["sitecustomize"]
importlib.import_module("sitecustomize")
inherited = [path for path in [os.environ.get("PYTHONPATH")] if path]
os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS / "guard"), *inherited])
# Tiny models only lose by a second thread, and badly so beside a busy process.  To be set
# before NumPy and PyTorch are imported; the scripts' own processes inherit it.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def not_in_a_notebook(monkeypatch):
    """The book's tests import ipykernel, after which `rnn_utils.run` would wait for main([...])."""
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
