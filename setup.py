"""What the build does beside pyproject.toml: it puts the workflow into the package.

In git there is one copy of these files, at the top of the repository. In a wheel they lie in
`omniflow/checkout`, in the same order, where `omniflow run` finds them (`omniflow.workflow`).

With OMNIFLOW_BASELINE=1 the wheel also has the native engine, compiled for common processors of
this platform, for where there is no compiler.
"""

import os
import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
# Profiles and configurations by name: beside them lie the user's own.
WORKFLOW = (
    "Snakefile",
    "workflow/report/*.rst",
    "workflow/rules/*.smk",
    "workflow/scripts/*.py",
    *(f"profiles/{name}/config.v9+.yaml" for name in ("default", "local", "slurm")),
    *("envs/*.yaml", "envs/*.sh"),
    *(f"config/{name}.yaml" for name in ("closure", "demo", "measurement", "paper", "transfer")),
    "config/schema.json",
)


NATIVE = runpy.run_path(str(ROOT / "src" / "omniflow" / "native" / "__init__.py"))
WITH_BASELINE = os.environ.get("OMNIFLOW_BASELINE") == "1"


class BuildWithWorkflow(build_py):
    """Copies the workflow into a built package; an editable one finds it where it is."""

    def run(self) -> None:
        """Build as setuptools does, and copy."""
        super().run()
        if not self.editable_mode:
            for source, target in self._workflow():
                self.mkpath(str(Path(target).parent))
                self.copy_file(source, target)
            if WITH_BASELINE:
                compiler = os.environ.get("CXX", "c++")
                flags = NATIVE["BASELINE_FLAGS"]
                subprocess.run(NATIVE["command"](compiler, flags, self._baseline), check=True)

    def get_source_files(self) -> list[str]:
        """Return what a source distribution has to hold."""
        return [*super().get_source_files(), *(source for source, _ in self._workflow())]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Return what is built."""
        found = super().get_outputs(include_bytecode)
        if not self.editable_mode:
            found += [target for _, target in self._workflow()]
            found += [self._baseline] if WITH_BASELINE else []
        return found

    @property
    def _baseline(self) -> str:
        return str(Path(self.build_lib, "omniflow", "native", NATIVE["BASELINE"].name))

    def _workflow(self) -> Iterator[tuple[str, str]]:
        """Yield files, from the top of the repository, and where they are built."""
        for pattern in WORKFLOW:
            found = sorted(path.relative_to(ROOT) for path in ROOT.glob(pattern))
            if not found:
                raise FileNotFoundError(f"{ROOT / pattern}: no such file")
            for path in found:
                yield str(path), str(Path(self.build_lib, "omniflow", "checkout", path))


class Omniflow(Distribution):
    """A distribution of one platform where it has a library."""

    def has_ext_modules(self) -> bool:
        """Return whether it has a library."""
        return WITH_BASELINE


class WheelOfAnyPython(bdist_wheel):
    """A wheel for every version of Python, since the library knows nothing of it."""

    def get_tag(self) -> tuple[str, str, str]:
        """Return its tags."""
        return ("py3", "none", super().get_tag()[2])


setup(
    distclass=Omniflow,
    cmdclass={"build_py": BuildWithWorkflow, "bdist_wheel": WheelOfAnyPython},
)
