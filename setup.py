"""What the build does beside pyproject.toml: it puts the workflow into the package.

In git there is one copy of these files, at the top of the repository. In a wheel they lie in
`omniflow/checkout`, in the same order, where `omniflow run` finds them (`omniflow.workflow`).
"""

from collections.abc import Iterator
from pathlib import Path

from setuptools import setup
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


class BuildWithWorkflow(build_py):
    """Copies the workflow into a built package; an editable one finds it where it is."""

    def run(self) -> None:
        """Build as setuptools does, and copy."""
        super().run()
        if not self.editable_mode:
            for source, target in self._workflow():
                self.mkpath(str(Path(target).parent))
                self.copy_file(source, target)

    def get_source_files(self) -> list[str]:
        """Return what a source distribution has to hold."""
        return [*super().get_source_files(), *(source for source, _ in self._workflow())]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Return what is built."""
        return [
            *super().get_outputs(include_bytecode),
            *(target for _, target in self._workflow() if not self.editable_mode),
        ]

    def _workflow(self) -> Iterator[tuple[str, str]]:
        """Yield files, from the top of the repository, and where they are built."""
        for pattern in WORKFLOW:
            found = sorted(path.relative_to(ROOT) for path in ROOT.glob(pattern))
            if not found:
                raise FileNotFoundError(f"{ROOT / pattern}: no such file")
            for path in found:
                yield str(path), str(Path(self.build_lib, "omniflow", "checkout", path))


setup(cmdclass={"build_py": BuildWithWorkflow})
