"""The built program, for the cases that ask it."""

import os
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("INVAR_BINARY", os.path.join(ROOT, ".build", "release", "invar"))


class Skip(Exception):
    """The case cannot run here; the message says what is missing."""


def binary():
    if not os.access(BINARY, os.X_OK):
        raise Skip(f"{os.path.relpath(BINARY, ROOT)} is missing, build it with `make release`")
    return BINARY


def invar(command, text, *flags):
    """Runs a command on a configuration: its exit status and all it printed."""
    with tempfile.NamedTemporaryFile("w", suffix=".alloy") as file:
        file.write(text)
        file.flush()
        done = subprocess.run(
            [binary(), command, *flags, file.name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        return done.returncode, done.stdout.replace(file.name, "config.alloy")
