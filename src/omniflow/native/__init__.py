"""C++ sources of the native engine, see omniflow.training.native, and how they are compiled.

The build of a wheel reads this module too, without the packages that others need.
"""

from __future__ import annotations

import platform
from pathlib import Path

SOURCES = Path(__file__).parent
X86 = platform.machine() in ("x86_64", "AMD64")
# Multiplication and addition in one step, vector square roots (no errno), the widest vectors. No
# -ffast-math: sums keep their order, so that two runs agree bit by bit. On some processors (AMD's)
# GCC would do the two steps one by one in some loops and not in others, so that results depended on
# how many events a chunk has.
FLAGS = (
    *("-std=c++17", "-O2", "-ftree-vectorize", "-ffp-contract=fast", "-fno-math-errno"),
    *("-DNDEBUG", "-shared", "-fPIC", "-fvisibility=hidden", "-pthread"),
    *(("--param=avoid-fma-max-bits=0",) if X86 else ()),
)
PROCESSOR = ("-march=native", "-mprefer-vector-width=512") if X86 else ("-mcpu=native",)
# The library that a wheel may bring along for where there is no compiler, for the processors of the
# last ten years; what it needs of the flags in /proc/cpuinfo.
BASELINE = SOURCES / "baseline.so"
BASELINE_FLAGS = (
    *(*FLAGS, "-march=x86-64-v3" if X86 else "-march=armv8-a", "-DOMNIFLOW_FLOAT=float"),
    *("-static-libgcc", "-static-libstdc++"),
)
NEEDED = {"abm", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"} if X86 else {"asimd"}


def command(compiler: str, flags: tuple[str, ...], library: str) -> list[str]:
    """Return the command that compiles the library."""
    return [compiler, *flags, *map(str, sorted(SOURCES.glob("*.cpp"))), "-o", library]
