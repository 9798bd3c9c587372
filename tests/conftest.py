"""Put the project and its test helpers on the import path, keep the network out, use one core."""

import os
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS.parent)]
os.environ["RNN_OFFLINE"] = "1"
# Tiny models only lose by a second thread, and badly so beside a busy process.  To be set
# before NumPy and PyTorch are imported; the scripts' own processes inherit it.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
