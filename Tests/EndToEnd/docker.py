"""A Docker daemon of our own, from the system's packages: no bridge, no firewall, an image made of busybox.

It gets a containerd of its own: dockerd would else take the system's wherever that one's socket is, and wait in vain
where a containerd that has gone left its socket behind.
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import tarfile
import urllib.parse

from harness import Program, Skip, check, wait_until

TOOLS = ("dockerd", "containerd", "runc", "busybox")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def missing_tools():
    return [name for name in TOOLS if not shutil.which(name, path=PATH)]


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


class Daemon:
    """dockerd with its state below `directory`; skips the case where it cannot run."""

    def __init__(self, directory):
        lacking = missing_tools()
        if lacking:
            raise Skip(f"{', '.join(lacking)} not installed")
        if os.geteuid() != 0:
            raise Skip("a Docker daemon needs root")
        self.directory = f"{directory}/docker"
        os.makedirs(self.directory)
        self.socket = f"{self.directory}/docker.sock"
        self.containerd = self.program = None
        try:
            self.start_containerd()
            self.start()
            self.make_image()
        except BaseException:
            self.stop_all()
            raise

    def start_containerd(self):
        state = f"{self.directory}/containerd"
        os.makedirs(state)
        configuration = f"{state}/config.toml"
        with open(configuration, "w") as file:
            file.write(f'''version = 2
root = "{state}/root"
state = "{state}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{state}/socket"
''')
        self.containerd_socket = f"{state}/socket"
        self.containerd = Program(
            [shutil.which("containerd", path=PATH), "--config", configuration], f"{state}/containerd.log", {"PATH": PATH})

        def is_up():
            return not self.containerd.is_running() or os.path.exists(self.containerd_socket)

        wait_until(is_up, 60, "containerd")
        self.check_started(self.containerd, "containerd")

    def check_started(self, program, name):
        if not program.is_running():
            reason = program.log_text().strip().splitlines()[-1:] or [""]
            raise Skip(f"{name} does not start here: {reason[0][-200:]}")

    def start(self):
        state = self.directory
        self.program = Program(
            [shutil.which("dockerd", path=PATH), "--data-root", f"{state}/data", "--exec-root", f"{state}/exec",
             "--pidfile", f"{state}/pid", "--host", f"unix://{self.socket}", "--storage-driver", "vfs",
             "--containerd", self.containerd_socket, "--iptables=false", "--ip6tables=false", "--bridge=none",
             "--live-restore"],
            f"{state}/dockerd.log", {"PATH": PATH})

        def is_up():
            return not self.program.is_running() or self.answers()

        wait_until(is_up, 60, "the Docker daemon")
        self.check_started(self.program, "dockerd")

    def answers(self):
        try:
            return self.ask("GET", "/_ping", raw=True) == b"OK"
        except (OSError, http.client.HTTPException):
            return False

    def stop(self):
        """The daemon alone: its containers go on, with containerd, for a start to find."""
        self.program.stop(60)

    def stop_all(self):
        try:
            if self.program:
                self.stop()
        finally:
            if self.containerd:
                self.containerd.stop(60)

    def ask(self, method, path, body=None, raw=False):
        connection = Connection(self.socket)
        try:
            headers = {} if body is None else {
                "Content-Type": "application/x-tar" if isinstance(body, bytes) else "application/json"}
            data = body if body is None or isinstance(body, bytes) else json.dumps(body)
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        check(response.status < 300 or raw or response.status == 304, f"{method} {path}: {response.status} {answer[:300]}")
        return answer if raw or not answer.strip().startswith((b"{", b"[")) else json.loads(answer)

    def make_image(self):
        archive = f"{self.directory}/image.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(os.path.realpath(shutil.which("busybox", path=PATH)), "bin/busybox")
            for name in ("sh", "sleep", "cat"):
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        with open(archive, "rb") as file:
            self.ask("POST", "/images/create?fromSrc=-&repo=local/box&tag=1", file.read(), raw=True)

    def run(self, name, script, tty=False, label="discovered", labels=None):
        """Starts a container; a machine that starts none skips the case."""
        made = self.ask("POST", f"/containers/create?name={urllib.parse.quote(name)}", {
            "Image": "local/box:1", "Cmd": ["/bin/sh", "-c", script], "Tty": tty, "OpenStdin": True,
            "Labels": labels or {label: "yes"}, "HostConfig": {"NetworkMode": "none"}})
        answer = self.ask("POST", f"/containers/{made['Id']}/start", raw=True)
        if answer:
            raise Skip(f"containers do not start here: {answer.decode()[:200]}")
        return made["Id"]

    def restart(self, container):
        self.ask("POST", f"/containers/{container}/restart?t=0", raw=True)

    def remove(self, container):
        self.ask("DELETE", f"/containers/{container}?force=1", raw=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            if self.answers():
                for container in self.ask("GET", "/containers/json?all=1"):
                    self.remove(container["Id"])
        finally:
            self.stop_all()
            # What the daemon mounted below its state would keep the directory from going.
            with open("/proc/mounts") as mounts:
                inside = [line.split()[1] for line in mounts if line.split()[1].startswith(self.directory)]
            for mount in reversed(inside):
                subprocess.run(["umount", "-l", mount], check=False)
