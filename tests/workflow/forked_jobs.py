"""A `python` whose processes are forked from one that has imported what jobs need.

The processor time of a small job is mostly imports. Forked, it is still a process of its own, which
runs the script that the workflow names, with its arguments, folder, environment and output.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import socket
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import BaseRequestHandler, ForkingMixIn, UnixStreamServer
from tempfile import TemporaryDirectory

# Says what the job is, hands over its three streams, and ends as the job has ended.
PYTHON = f"""#!{sys.executable} -IS
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect(os.path.join(os.path.dirname(__file__), "socket"))
socket.send_fds(server, [b"streams"], [0, 1, 2])
server.sendall(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode())
server.shutdown(socket.SHUT_WR)
sys.exit(int(server.recv(1) or 1))
"""


@contextmanager
def python() -> Iterator[None]:
    """Put it first on PATH within this context."""
    with TemporaryDirectory() as folder:  # a short path, as those of sockets have to be
        python = Path(folder, "python")
        python.write_text(PYTHON)
        python.chmod(0o755)
        server = _Server(f"{folder}/socket", _Job)
        process = multiprocessing.get_context("fork").Process(target=server.serve_forever)
        process.start()
        os.environ["PATH"] = os.pathsep.join([folder, os.environ["PATH"]])
        try:
            yield
        finally:
            process.terminate()


class _Server(ForkingMixIn, UnixStreamServer):
    """Forks a process for every job, until the one that has made it ends."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self._maker = os.getpid()

    def service_actions(self) -> None:
        super().service_actions()
        if os.getppid() != self._maker:
            sys.exit()


class _Job(BaseRequestHandler):
    """Is a job, in the process that has been forked for it."""

    def handle(self) -> None:
        _, streams, *_ = socket.recv_fds(self.request, len("streams"), 3)
        with self.request.makefile() as file:
            sys.argv[:], folder, environment = json.load(file)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
            code = b"0"
        except SystemExit as end:
            code = b"1" if end.code else b"0"
            print(end.code or "", end="\n" if end.code else "", file=sys.stderr)
        except BaseException:
            code = b"1"
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        self.request.sendall(code)
