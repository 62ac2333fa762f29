"""The Debian package and the image, built from the release binary."""

import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile

import yaml
from binary import ROOT, Skip, binary
from helmfile import DEPLOY
from manifests import Failure, equal, expect


def need(*tools):
    for tool in tools:
        if not shutil.which(tool):
            raise Skip(f"{tool} is not installed")


def run(*command, seconds=600, **options):
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=seconds, **options
    )
    if done.returncode != 0:
        raise Failure(f"{os.path.basename(command[0])} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def linked():
    """The release binary, if it runs where no toolchain is, as `make release` makes it."""
    if "/lib/swift/linux/" in run("ldd", binary()):
        raise Skip("the release binary needs the Swift runtime; build it with `make release`")
    return binary()


class Package:
    """The package, built once for the cases that look at it."""

    directory = None
    path = None

    @classmethod
    def built(cls):
        need("dpkg-deb", "dpkg-shlibdeps", "strip")
        program = linked()
        if cls.path is None:
            cls.directory = tempfile.TemporaryDirectory()
            cls.path = run(os.path.join(DEPLOY, "debian", "build.sh"), program, cls.directory.name).strip()
        return cls.path


def case_package_contents():
    path = Package.built()
    version = run(binary(), "--version").split()[2]
    fields = dict(re.findall(r"^([A-Z][\w-]+): (.*)$", run("dpkg-deb", "--field", path), flags=re.M))
    equal((fields["Package"], fields["Version"]), ("invar", version), "fields")
    equal(os.path.basename(path), f"invar_{version}_{fields['Architecture']}.deb", "file name")
    for library in ("libc6", "libre2-9", "libsnappy1v5", "libyaml-0-2", "ca-certificates"):
        expect(re.search(rf"(^|, ){library}( |,|$)", fields["Depends"]), f"no dependency on {library}")
    found = {}
    for line in run("dpkg-deb", "--contents", path).splitlines():
        mode, owner, *_, name = line.split(" -> ")[0].split()
        equal(owner, "root/root", f"owner of {name}")
        found[name.removeprefix(".")] = mode
    for name, mode in {
        "/usr/lib/systemd/system/invar.service": "-rw-r--r--",
        "/usr/lib/sysusers.d/invar.conf": "-rw-r--r--",
        "/etc/invar/config.alloy": "-rw-r--r--",
        "/etc/default/invar": "-rw-r--r--",
        "/usr/share/doc/invar/copyright": "-rw-r--r--",
        "/usr/share/doc/invar/Deployment.md": "-rw-r--r--",
    }.items():
        equal(found.get(name), mode, name)
    expect("/usr/bin/invar" in found, "no program")
    for name, mode in found.items():
        expect(mode[5] != "w" and mode[8] != "w", f"{name} is writable for others")


def case_package_installs_and_goes():
    path = Package.built()
    need("dpkg", "systemd-sysusers")
    if os.geteuid() != 0:
        raise Skip("dpkg installs as root")
    with tempfile.TemporaryDirectory() as root:
        scratch_root(root)

        def dpkg(*arguments):
            flags = ("--force-depends", "--force-script-chrootless", "--log=/dev/null")
            return run("dpkg", f"--root={root}", *flags, *arguments)

        dpkg("--install", path)
        with open(f"{root}/etc/passwd") as file:
            user = re.search(r"^invar:x:(\d+):(\d+):.*:/var/lib/invar:.*nologin$", file.read(), flags=re.M)
        expect(user, "no user")
        for name, mode in (("etc/invar", 0o750), ("etc/invar/config.alloy", 0o640)):
            status = os.stat(f"{root}/{name}")
            equal((status.st_uid, status.st_gid), (0, int(user.group(2))), f"owner of {name}")
            equal(status.st_mode & 0o777, mode, f"mode of {name}")
        expect(run(f"{root}/usr/bin/invar", "--version").startswith("invar, version"), "the program does not run")
        for command in ("fmt", "validate"):
            run(f"{root}/usr/bin/invar", command, f"{root}/etc/invar/config.alloy")

        # What the administrator changed outlives an upgrade and a removal, not a purge.
        with open(f"{root}/etc/invar/config.alloy", "a") as file:
            file.write("// mine\n")
        dpkg("--install", path)
        dpkg("--remove", "invar")
        expect(not os.path.lexists(f"{root}/usr/bin/invar"), "the program is still there")
        with open(f"{root}/etc/invar/config.alloy") as file:
            expect(file.read().endswith("// mine\n"), "the configuration was replaced")
        os.makedirs(f"{root}/var/lib/invar/x")
        dpkg("--purge", "invar")
        left = [
            name for name in ("etc/invar", "etc/default/invar", "var/lib/invar") if os.path.lexists(f"{root}/{name}")
        ]
        equal(left, [], "what a purge leaves")


def scratch_root(root):
    for name in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "etc", "tmp"):
        os.makedirs(f"{root}/{name}")
    open(f"{root}/var/lib/dpkg/status", "w").close()


def unit_root(root):
    """A root with the unit and the commands it names."""
    os.makedirs(f"{root}/usr/lib/systemd/system")
    os.makedirs(f"{root}/usr/bin")
    shutil.copy(os.path.join(DEPLOY, "systemd", "invar.service"), f"{root}/usr/lib/systemd/system")
    for name in ("invar", "kill"):
        with open(f"{root}/usr/bin/{name}", "w") as file:
            file.write("#!/bin/sh\n")
        os.chmod(f"{root}/usr/bin/{name}", 0o755)
    return f"{root}/usr/lib/systemd/system/invar.service"


def case_unit_verifies():
    need("systemd-analyze")
    with tempfile.TemporaryDirectory() as root:
        unit_root(root)
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f"--root={root}", "invar.service"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)  # fmt: skip
        equal((done.returncode, done.stdout), (0, ""), "verdict")


def case_unit_is_confined():
    need("systemd-analyze")
    with tempfile.TemporaryDirectory() as root:
        path = unit_root(root)
        # 10 is everything allowed; the words begin at: OK 0, MEDIUM 4, EXPOSED 7.
        report = run(
            "systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=25", f"--root={root}", path
        )
    expect(re.search(r"Overall exposure level for invar\.service: [0-2]\.\d", report), report[-300:])


def case_unit_arguments():
    with open(os.path.join(DEPLOY, "systemd", "invar.service")) as file:
        unit = file.read()
    with open(os.path.join(DEPLOY, "debian", "invar.default")) as file:
        settings = dict(re.findall(r'^([A-Z_]+)="?([^"\n]*)"?$', file.read(), flags=re.M))
    start = re.search(r"^ExecStart=(.*)$", unit, flags=re.M).group(1)
    expect(set(re.findall(r"\$\{?([A-Z_]+)", start)) == set(settings), f"{start} and its settings differ")
    equal(re.search(r"^ExecReload=(.*)$", unit, flags=re.M).group(1), "kill -HUP $MAINPID", "reload")
    known = run(binary(), "run", "--help")
    flags = re.findall(r"--[a-z.-]+", start + " " + settings["INVAR_ARGS"])
    equal([flag for flag in flags if flag not in known], [], "flags the program does not have")


class Image:
    """Buildah with a store of its own, and what is built in it."""

    def __init__(self, directory):
        self.command = [
            "buildah", "--root", f"{directory}/root", "--runroot", f"{directory}/run", "--storage-driver", "vfs"]  # fmt: skip
        self.environment = {**os.environ, "BUILDAH_ISOLATION": "chroot", "BUILDAH": " ".join(self.command)}

    def __call__(self, *arguments, **options):
        return run(*self.command, *arguments, env=self.environment, **options)


def case_image_runs():
    need("buildah", "mmdebstrap")
    program = linked()
    if os.geteuid() != 0:
        raise Skip("the image is built as root")
    with tempfile.TemporaryDirectory() as directory:
        image = Image(directory)
        done = subprocess.run(
            [os.path.join(DEPLOY, "container", "build.sh"), program, "invar:test"], env=image.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1800)  # fmt: skip
        if done.returncode == 3:
            raise Skip(f"Debian's packages are out of reach: {done.stdout.strip()[-300:]}")
        equal(done.returncode, 0, f"exit status of the build ({done.stdout[-2000:]})")
        config = json.loads(image("inspect", "--type", "image", "invar:test"))["OCIv1"]["config"]
        equal(config["Entrypoint"], ["/bin/invar"], "entry point")
        equal(config["Cmd"], ["run", "/etc/alloy/config.alloy", "--storage.path=/var/lib/alloy/data"], "arguments")
        equal(config["User"], "65532:65532", "user")
        equal(list(config["ExposedPorts"]), ["12345/tcp"], "ports")

        box = image("from", "--pull-never", "invar:test").strip()
        try:
            check_box(image, box)
        finally:
            image("rm", box)


def check_box(image, box):
    equal(image("run", box, "--", "id", "-u").strip(), "65532", "user")
    expect(image("run", box, "--", "/bin/alloy", "--version").startswith("invar, version"), "/bin/alloy is not invar")
    image("run", box, "--", "/bin/invar", "validate", "/etc/alloy/config.alloy")

    # The command line of the chart, on a port of the program's choice; it stops when its input ends.
    script = (
        "/bin/alloy run /etc/alloy/config.alloy --storage.path=/tmp/alloy --server.http.listen-addr=127.0.0.1:0 "
        "--server.http.ui-path-prefix=/ --stability.level=experimental 2>&1 & read line; kill $!; wait $!"
    )
    process = subprocess.Popen(
        [*image.command, "run", box, "--", "sh", "-c", script], env=image.environment, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            address = re.search(r"now listening for http traffic.*addr=\"?([0-9.:]+)", line)
            if address:
                break
        else:
            raise Failure("the collector did not start: " + "".join(said)[-2000:])
        connection = http.client.HTTPConnection(address.group(1), timeout=60)
        connection.request("GET", "/-/ready")
        equal(connection.getresponse().status, 200, "status of /-/ready")
        connection.close()
    finally:
        process.stdin.close()
        process.stdout.read()
        status = process.wait(120)
    equal(status, 0, "exit status")


def case_image_ignores_the_rest():
    # The build needs these, and nothing of a work tree's build folder or history goes to it.
    with open(os.path.join(ROOT, ".containerignore")) as file:
        rules = file.read().split()
    equal(rules[0], "*", "first rule")
    with open(os.path.join(DEPLOY, "Containerfile")) as file:
        copied = re.findall(r"^COPY (?!--from)(\S+) ", file.read(), flags=re.M)
    for name in copied:
        expect(f"!{name}" in rules, f"{name} is copied and ignored")
        expect(os.path.exists(os.path.join(ROOT, name)), f"{name} is not there")


def case_versions_agree():
    with open(os.path.join(ROOT, "Sources", "InvarCLI", "Invar.swift")) as file:
        version = re.search(r'static let version = "([^"]+)"', file.read()).group(1)
    with open(os.path.join(DEPLOY, "charts", "invar", "Chart.yaml")) as file:
        chart = yaml.safe_load(file)
    equal(chart["appVersion"], version, "appVersion of the chart")
    with open(os.path.join(ROOT, "Docs", "Deployment.md")) as file:
        named = set(re.findall(r"(?<![\d.])\d+\.\d+\.\d+(?![\d.]*\d)", file.read()))
    equal(named, {version}, "versions in the documentation")
