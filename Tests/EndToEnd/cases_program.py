"""The program itself: flags, diagnostics, reload, stopping."""

import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

from exposition import Targets, counting
from harness import BINARY, ROOT, Failure, Invar, Program, Skip, check, free_port, request, wait_until
from sinks import RemoteWriteSink

ECHO = """
prometheus.relabel "r" { forward_to = [prometheus.echo.e.receiver] }
prometheus.echo "e" { }
"""


def command(*arguments, stdin=None):
    done = subprocess.run([BINARY, *arguments], input=stdin, capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def case_version_and_help(directory):
    code, out, _ = command("--version")
    check(code == 0 and out.startswith("invar"), f"--version: {code} {out}")
    for arguments in (["--help"], ["run", "--help"], ["fmt", "--help"], ["validate", "--help"]):
        code, out, _ = command(*arguments)
        check(code == 0 and "USAGE" in out, f"{arguments}: {code} {out[:100]}")
    for shell in ("bash", "zsh", "fish", "powershell"):
        code, out, _ = command("completion", shell)
        check(code == 0 and "invar" in out and "validate" in out, f"no completion script for {shell}")
    code, _, err = command("run", "x.alloy", "--cluster.enabled=true")
    check(code == 1 and "--cluster.enabled" in err, f"a flag without its feature is not refused by name: {code} {err}")
    code, _, err = command("run", "x.alloy", "--no.such.flag")
    check(code == 1, f"an unknown flag exits with {code}")


def case_bad_configuration_at_start(directory):
    path = os.path.join(directory, "bad.alloy")
    with open(path, "w") as file:
        file.write(
            'prometheus.echo "e" {\n\tformat = 5\n}\n\nprometheus.relabel "r" {\n\tforward_two = []\n}\n\n'
            'prometheus.scrap "s" { }\n')
    for arguments in (["validate", path], ["run", path, f"--storage.path={directory}/d", f"--server.http.listen-addr=127.0.0.1:{free_port()}"]):
        code, _, err = command(*arguments)
        check(code == 1, f"{arguments[0]} exits with {code}")
        check("bad.alloy:9:1" in err and "prometheus.scrape" in err, f"no place or suggestion for the unknown component: {err}")
    with open(path, "w") as file:
        file.write('prometheus.echo "e" {\n\tformat = 5\n}\n\nprometheus.relabel "r" {\n\tforward_two = []\n}\n')
    code, _, err = command("validate", path)
    check(code == 1, f"validate exits with {code}")
    for wanted in ("bad.alloy:2:11", "bad.alloy:6:2", 'missing required attribute "forward_to"', "forward_to"):
        check(wanted in err, f"{wanted} is not among the errors: {err}")


def case_examples_validate(directory):
    examples = sorted(glob.glob(os.path.join(ROOT, "Examples", "*.alloy")))
    check(examples, "there are no examples")
    for example in examples:
        code, _, err = command("validate", example)
        check(code == 0, f"{os.path.basename(example)}: {err}")
        code, _, err = command("fmt", "--test", example)
        check(code == 0, f"{os.path.basename(example)} is not formatted")


# Whether the Secret is there is not known when nothing runs.
LATER_VALUES = """remote.kubernetes.secret "s" {
  namespace = "n"
  name      = "credentials"
}

otelcol.auth.oauth2 "a" {
  client_id     = convert.nonsensitive(remote.kubernetes.secret.s.data["id"])
  client_secret = remote.kubernetes.secret.s.data["secret"]
  token_url     = "http://127.0.0.1/token"
  %s
}
"""


def case_validate_without_values(directory):
    path = os.path.join(directory, "c.alloy")
    for line, place in (("", None), ('timeout = "soon"', "10:"), ("tiemout = 1", "10:"), ("tls {\n bad = 1\n}", "11:")):
        with open(path, "w") as file:
            file.write(LATER_VALUES % line)
        code, _, err = command("validate", path)
        if place is None:
            check(code == 0, f"values that are not known are refused: {err}")
        else:
            check(code == 1 and f"c.alloy:{place}" in err, f"{line!r} is not refused: {err}")
            check("client_" not in err.split("\n")[0], f"{line!r} is not the first error: {err}")


def case_format(directory):
    source = b'prometheus.echo   "e" {\nformat="text" // why\n}\n'
    code, out, err = command("fmt", "-", stdin=source)
    check(code == 0 and out == 'prometheus.echo "e" {\n\tformat = "text" // why\n}\n', f"{code} {out!r} {err}")
    path = os.path.join(directory, "f.alloy")
    with open(path, "wb") as file:
        file.write(source)
    check(command("fmt", "-t", path)[0] == 1, "--test accepts an unformatted file")
    check(command("fmt", "-w", path)[0] == 0, "--write failed")
    check(command("fmt", "-t", path)[0] == 0, "--write left the file unformatted")


def case_http_interface(directory):
    with Invar(directory, ECHO) as invar:
        check(request(invar.port, "/-/healthy") == (200, b"All Alloy components are healthy.\n"), "not healthy")
        detail = json.loads(request(invar.port, "/api/v0/web/components/prometheus.relabel.r")[1])
        check(detail["referencesTo"] == ["prometheus.echo.e"], f"{detail['referencesTo']}")
        check(any(a["name"] == "receiver" for a in detail["exports"]), "the receiver is not exported")
        check(request(invar.port, "/api/v0/web/components/nothing")[0] == 404, "an unknown component is found")
        status, body = request(invar.port, "/-/support?duration=1")
        check(status == 200 and body[:2] == b"PK", f"support bundle: {status}")
        check("alloy_build_info" in invar.metrics(), "no build info")
        check(invar.stop() == 0, "SIGTERM does not exit with 0")


def case_stops_with_onlookers(directory):
    """Live streams, one whose reader has gone and one whose reader stays, hold up neither each other nor the end."""
    with Invar(directory, ECHO + "livedebugging { enabled = true }") as invar:
        def look(path):
            stream = socket.create_connection(("127.0.0.1", invar.port), timeout=20)
            stream.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            check(b" 200 " in stream.recv(4096), f"{path} is no stream")
            return stream

        # Nothing passes this component, so nothing is ever written that would notice.
        look("/api/v0/web/debug/prometheus.relabel.r").close()
        with look("/api/v0/web/debug/prometheus.relabel.r"), look("/api/v0/web/graph?window=1"):
            check(invar.stop() == 0, "does not stop")


def case_command_line(directory):
    """Flags of Alloy are accepted or refused by name; commands that are not there say so."""
    path = os.path.join(directory, "c.alloy")
    with open(path, "w") as file:
        file.write(ECHO.lstrip())
    for flag in ("--cluster.enabled", "--cluster.node-name=n", "--server.http.enable-graphql", "--config.extra-args=x",
                 "--windows.priority=high", "--feature.prometheus.direct-fanout.enabled"):
        code, _, err = command("run", path, flag)
        check(code == 1 and flag.split("=")[0] in err, f"{flag}: {code} {err}")
    for word in ("convert", "gql", "tools", "otel", "otel-supervisor"):
        code, _, err = command(word, "x")
        check(code == 1 and f'"{word}"' in err, f"{word}: {code} {err}")
    flags = ("--cluster.enabled=false", "--cluster.name=", "--cluster.wait-for-size=0", "--disable-reporting",
             "--windows.priority=normal", "--cluster.use-discovery-v1", "--feature.component-shutdown-deadline=5m")
    with Invar(directory, ECHO, flags=flags) as invar:
        check(invar.stop() == 0, "does not stop")
    check(command("-v")[:2] == command("--version")[:2], "-v is not --version")
    link = os.path.join(directory, "link.alloy")
    os.symlink(path, link)
    os.chmod(path, 0o600)
    with open(path, "w") as file:
        file.write('prometheus.echo   "e" { }')
    check(command("fmt", "-w", link)[0] == 0 and os.path.islink(link), "fmt -w replaces a link")
    check(os.stat(path).st_mode & 0o777 == 0o600, "fmt -w changes the mode")
    check(command("format", stdin=b'a "b"{}')[:2] == (0, 'a "b" { }\n'), "format does not read standard input")
    check(command("fmt", directory)[0] == 1, "a directory is formatted")


def case_secrets_stay_secret(directory):
    configuration = """
        logging { level = "debug" }
        prometheus.remote_write "w" {
            endpoint {
                url = "http://127.0.0.1:1/api/v1/write"
                basic_auth {
                    username = "someone"
                    password = sys.env("E2E_SECRET")
                }
            }
        }
        """
    secret = "hunter2-very-secret"
    with Invar(directory, configuration, environment={"E2E_SECRET": secret}) as invar:
        pages = ["/api/v0/web/components", "/api/v0/web/components/prometheus.remote_write.w", "/metrics", "/",
                 "/api/v0/web/ledger", "/-/support?duration=1"]
        for page in pages:
            status, body = request(invar.port, page)
            check(status == 200, f"{page}: {status}")
            check(secret.encode() not in body, f"{page} shows the secret")
        shown = request(invar.port, pages[1])[1].decode()
        check("someone" in shown and "(secret)" in shown, "the masked arguments are not shown")
        check(invar.stop() == 0, "does not stop")
        check(secret not in invar.log_text(), "the log shows the secret")


def case_basic_authentication_and_tls(directory):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{directory}/key.pem", "-out", f"{directory}/cert.pem"],
        check=True, capture_output=True)
    configuration = f"""
        http {{
            auth {{
                basic {{
                    username = "u"
                    password = "p"
                }}
            }}
            tls {{
                cert_file = "{directory}/cert.pem"
                key_file  = "{directory}/key.pem"
            }}
        }}
        """ + ECHO
    with Invar(directory, configuration, wait=False) as invar:
        def fetch(*extra):
            done = subprocess.run(
                ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", f"{directory}/cert.pem", *extra,
                 f"https://127.0.0.1:{invar.port}/metrics"], capture_output=True)
            return done.stdout.decode()

        wait_until(lambda: fetch("-u", "u:p") == "200", 20, "the server to speak TLS")
        check(fetch() == "401", f"without credentials: {fetch()}")
        check(fetch("-u", "u:wrong") == "401", "a wrong password is accepted")


def case_reload_under_load(directory):
    """Reloads, a third of them broken: nothing lost, unchanged components are not restarted."""
    rounds = 100
    bodies = {f"t{index}": counting(50) for index in range(10)}
    with Targets(bodies) as targets, RemoteWriteSink() as sink:
        def configuration(extra):
            return f"""
                prometheus.scrape "s" {{
                    targets         = {targets.alloy()}
                    scrape_interval = "1s"
                    scrape_timeout  = "900ms"
                    forward_to      = [prometheus.relabel.r.receiver]
                }}
                prometheus.relabel "r" {{
                    forward_to = [prometheus.remote_write.w.receiver]
                    rule {{
                        target_label = "round"
                        replacement  = "constant"
                    }}
                }}
                prometheus.remote_write "w" {{
                    endpoint {{ url = "{sink.url}" }}
                }}
                prometheus.echo "changing" {{ format = "{extra}" }}
                """

        with Invar(directory, configuration("text")) as invar:
            wait_until(lambda: sink.requests > 0, 30, "a first request")
            before = invar.components()
            for number in range(rounds):
                if number % 3 == 2:
                    invar.write("prometheus.scrape \"s\" {\n\tnonsense = 1\n}\nbroken")
                    status, body = invar.reload()
                    check(status == 400 and "config.alloy:" in body, f"a broken reload answers {status}: {body[:200]}")
                else:
                    invar.write(configuration("text" if number % 2 else "openmetrics"))
                    if number % 10 == 9:
                        os.kill(invar.pid, signal.SIGHUP)
                    else:
                        status, body = invar.reload()
                        check(status == 200, f"a good reload answers {status}: {body[:300]}")
            invar.write(configuration("text"))
            check(invar.reload()[0] == 200, "the last reload failed")
            after = invar.components()
            for name in ("prometheus.scrape.s", "prometheus.relabel.r", "prometheus.remote_write.w"):
                check(before[name]["startTime"] == after[name]["startTime"], f"{name} was restarted")
            wanted = {name: targets.served[name] for name in bodies}
            check(invar.stop() == 0, "does not stop")
        check_counting(sink.items(), wanted, series=50)


def check_counting(items, wanted, series):
    """Every series of every target has the values 1, 2, 3, ... once each, at least up to `wanted`."""
    values = {}
    for labels, _, value in items:
        if "__name__=e2e_value" in labels and value == value:
            values.setdefault(labels, []).append(int(value))
    check(len(values) == len(wanted) * series, f"{len(values)} series arrived instead of {len(wanted) * series}")
    for labels, got in values.items():
        target = next(name for name in wanted if f",target={name}," in labels + ",")
        check(len(set(got)) == len(got), f"{labels}: a sample arrived twice: {got}")
        check(sorted(got) == list(range(1, len(got) + 1)), f"{labels}: samples are missing: {got}")
        check(len(got) >= wanted[target], f"{labels}: {len(got)} of {wanted[target]} samples arrived")


def case_without_rights(directory):
    """As the chart runs it: not root, no capabilities, no new privileges."""
    program = BINARY
    rights = []
    if os.geteuid() == 0:
        # A place that another user may reach and write to.
        os.chmod(directory, 0o777)
        program = shutil.copy(BINARY, os.path.join(directory, "invar"))
        rights = ["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", "--bounding-set=-all", "--no-new-privs"]
    path = os.path.join(directory, "config.alloy")
    with open(path, "w") as file:
        file.write(
            'prometheus.exporter.self "s" { }\n\nprometheus.scrape "s" {\n\ttargets = prometheus.exporter.self.s.targets\n'
            '\tforward_to = [prometheus.echo.e.receiver]\n\tscrape_interval = "1s"\n\tscrape_timeout = "1s"\n}\n\n'
            'prometheus.echo "e" { }\n')
    port = free_port()
    arguments = [
        *rights, program, "run", path, f"--storage.path={directory}/data", f"--server.http.listen-addr=127.0.0.1:{port}",
        "--stability.level=experimental"]
    with Program(arguments, os.path.join(directory, "invar.log")) as invar:
        def answers():
            check(invar.is_running(), f"it stopped: {invar.log_text()[-2000:]}")
            try:
                return request(port, "/-/ready")[0] == 200
            except ConnectionRefusedError:
                return False
            except OSError as error:
                raise Failure(f"a connection was accepted and not answered: {error!r}") from error

        wait_until(answers, 60, "an answer")
        wait_until(lambda: "alloy_build_info" in invar.log_text(), 60, "a scrape")
        check(invar.stop() == 0, f"it did not stop well: {invar.log_text()[-2000:]}")


def case_first_command(directory):
    """The README's first command shows a first value within ten seconds of the build, needs no Prometheus, and stops."""
    if BINARY != os.path.join(ROOT, ".build", "release", "invar") or shutil.which("swift") is None:
        raise Skip("it builds and runs the release program")
    # A path with everything but Prometheus.
    tools = os.path.join(directory, "bin")
    os.makedirs(tools)
    for place in reversed(os.environ["PATH"].split(":")):
        for name in os.listdir(place) if os.path.isdir(place) else []:
            link = os.path.join(tools, name)
            if os.path.lexists(link):
                os.unlink(link)
            if name != "prometheus":
                os.symlink(os.path.join(place, name), link)
    port, otlp = free_port(), free_port()
    environment = {**os.environ, "PATH": tools, "INVAR_PORT": str(port), "OTLP_ENDPOINT": f"127.0.0.1:{otlp}",
                   "LOG_DIRECTORY": directory, "INVAR_RUN_SECONDS": "0.1"}
    process = subprocess.Popen([os.path.join(ROOT, "Scripts", "run.sh")], env=environment, stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.STDOUT)
    lines, times = [], {}
    for line in process.stdout:
        lines.append(line)
        for word in ("Waiting for", "First value"):
            if line.startswith(word):
                times[word] = time.monotonic()
    said = "".join(lines)
    check(process.wait(60) == 0 and "First value" in times, said)
    took = times["First value"] - times["Waiting for"]
    check(took < 10, f"the first value took {took:.1f} s")
    check(f"http://127.0.0.1:{port}/explore" in said and "Prometheus " not in said, said)
    print(f"# first value {took:.1f} s after the start")
