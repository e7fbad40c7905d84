"""Users of the cluster of several nodes, and their studies."""

import subprocess
import sys
from contextlib import contextmanager

import clusters
import yaml
from nodes import ACCOUNT, USERS, wait_for


class User:
    """One user: a home, a folder for studies, and a profile as docs/hpc.md advises."""

    def __init__(self, cluster, name="alice"):
        """Log in."""
        self.cluster, self.name = cluster, name
        self.home = cluster.folder / "home" / name
        self.scratch = cluster.folder / "scratch" / name
        self.scratch.mkdir(exist_ok=True)
        self.own(self.scratch)

    def own(self, folder):
        """Make a folder the user's."""
        subprocess.run(["chown", "-R", str(USERS[self.name]), folder], check=True)

    def profile(self, name="mysite", jobs=None, **resources):
        """Copy profiles/slurm and say what the site asks for; return its folder."""
        content = yaml.safe_load((clusters.ROOT / "profiles/slurm/config.v9+.yaml").read_text())
        content["default-resources"] |= {"slurm_account": ACCOUNT} | resources
        # The file system is local.
        content |= {"latency-wait": 10} | ({"jobs": jobs} if jobs else {})
        folder = self.home / name
        folder.mkdir(exist_ok=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(content))
        return folder

    def study(self, name, content, prepared=None):
        """Make a folder with a configuration; samples are those of a finished study, if given."""
        folder = self.scratch / name
        if prepared:
            clusters.with_samples(prepared, folder)
        clusters.write_config(folder, content)
        self.own(folder)
        return folder

    def enter(self, folder, *command):
        """Return the command line by which the user runs a command in a folder, at `login`."""
        return self.cluster.computers["login"].enter(*command, user=self.name, folder=folder)

    def ask(self, *command):
        """Return what a command at `login` says to the user."""
        return self.cluster.run(*command, user=self.name)

    @contextmanager
    def started(self, folder, profile, *options):
        """A study that runs meanwhile, in its folder; it is waited for at the end."""
        words = [sys.executable, clusters.IMPATIENT, "--configfile", "config.yaml"]
        words += ["--snakefile", clusters.ROOT / "Snakefile", "--profile", profile]
        with open(folder / "snakemake.log", "a") as log:
            process = subprocess.Popen(
                self.enter(folder, *words, *options), stdout=log, stderr=subprocess.STDOUT
            )
            try:
                yield process
                process.wait(timeout=900)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
                    wait_for(lambda: not self.jobs(), "the end of jobs", 300)

    def run(self, folder, profile, *options):
        """Run a study to its end; return its status and what it says."""
        begin = self.said(folder)
        with self.started(folder, profile, *options) as process:
            pass
        return process.returncode, self.said(folder).removeprefix(begin)

    def finish(self, folder, profile, *options):
        """Run a study, which must succeed; return what it says."""
        status, said = self.run(folder, profile, *options)
        assert status == 0, said[-6000:] + clusters.logs(folder)
        return said

    def said(self, folder):
        """Return what Snakemake has said of a study."""
        log = folder / "snakemake.log"
        return log.read_text() if log.exists() else ""

    def jobs(self):
        """Return the numbers of the user's jobs that wait or run."""
        return self.ask("squeue", "--me", "--noheader", "--format", "%A").split()

    def accounted(self, *fields):
        """Return these fields of the user's jobs, one list for every time that one ran."""
        words = [
            "--allocations",
            "--duplicates",
            "--noheader",
            "--parsable2",
            "--starttime",
            "now-1hour",
        ]
        said = self.ask("sacct", *words, "--format", ",".join(fields))
        return [line.split("|") for line in said.splitlines()]
