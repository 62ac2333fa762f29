"""Receivers of logs of the OpenTelemetry family, with the programs that write logs on Debian as their peers."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess

from harness import Invar, Skip, check, free_port, wait_until
from sinks import LokiSink, Sink

PREVIEW = ["--stability.level=experimental"]


def to_loki(receiver, sink, flags=PREVIEW):
    """A configuration that sends what `receiver` makes to a Loki, whose lines are then JSON."""
    return f"""
{receiver}
otelcol.exporter.loki "out" {{
  forward_to = [loki.write.out.receiver]
}}
loki.write "out" {{
  endpoint {{
    url        = "{sink.url}"
    batch_wait = "100ms"
  }}
}}
"""


OUTPUT = "output { logs = [otelcol.exporter.loki.out.input] }"


def records(sink):
    return [json.loads(line) for _, _, line in sink.items()]


def case_otel_syslog_from_logger(directory):
    """util-linux's logger reaches otelcol.receiver.syslog: RFC 5424 and 3164, TCP and UDP, octet counting."""
    if not shutil.which("logger"):
        raise Skip("logger is missing")
    ports = [free_port() for _ in range(3)]
    with LokiSink() as sink:
        receivers = f"""
otelcol.receiver.syslog "tcp" {{
  tcp {{ listen_address = "127.0.0.1:{ports[0]}" }}
  {OUTPUT}
}}
otelcol.receiver.syslog "counted" {{
  enable_octet_counting = true
  tcp {{ listen_address = "127.0.0.1:{ports[1]}" }}
  {OUTPUT}
}}
otelcol.receiver.syslog "udp" {{
  protocol = "rfc3164"
  udp {{ listen_address = "127.0.0.1:{ports[2]}" }}
  {OUTPUT}
}}
"""
        with Invar(directory, to_loki(receivers, sink), PREVIEW) as invar:
            base = ["logger", "--server", "127.0.0.1", "--tag", "shop", "--priority", "local3.warning", "--id=77"]
            subprocess.run(base + ["--port", str(ports[0]), "--tcp", "--rfc5424", "over tcp"], check=True)
            subprocess.run(
                base + ["--port", str(ports[1]), "--tcp", "--rfc5424", "--octet-count", "counted"], check=True)
            subprocess.run(base + ["--port", str(ports[2]), "--udp", "--rfc3164", "over udp"], check=True)
            wait_until(lambda: len(sink.items()) >= 3, 30, "three messages at the receiver")
            check(invar.stop() == 0, "does not stop")
        found = {record["attributes"]["message"]: record for record in records(sink)}
        check(sorted(found) == ["counted", "over tcp", "over udp"], found)
        for message, record in found.items():
            attributes = record["attributes"]
            check(attributes["appname"] == "shop", attributes)
            check(attributes["facility"] == 19 and attributes["priority"] == 156, attributes)
            check(record["severity"] == "warning", record)
        check("timeQuality" in found["over tcp"]["attributes"]["structured_data"], found)


def case_otel_syslog_from_rsyslog(directory):
    """rsyslog forwards to otelcol.receiver.syslog over TCP, with the length in front of each message."""
    rsyslogd = shutil.which("rsyslogd") or "/usr/sbin/rsyslogd"
    if not os.path.exists(rsyslogd):
        raise Skip("rsyslogd is missing")
    port, source = free_port(), free_port()
    os.mkdir(f"{directory}/spool")
    with open(f"{directory}/rsyslog.conf", "w") as file:
        file.write(f"""
global(workDirectory="{directory}/spool")
module(load="imtcp")
input(type="imtcp" port="{source}" address="127.0.0.1")
action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" template="RSYSLOG_SyslogProtocol23Format"
       TCP_Framing="octet-counted" action.resumeRetryCount="-1" action.resumeInterval="1"
       queue.type="linkedList" queue.size="10000")
""")
    with LokiSink() as sink:
        configuration = to_loki(f"""
otelcol.receiver.syslog "in" {{
  enable_octet_counting = true
  tcp {{ listen_address = "127.0.0.1:{port}" }}
  {OUTPUT}
}}
""", sink)
        log = open(f"{directory}/rsyslog.log", "w")
        with Invar(directory, configuration, PREVIEW) as invar:
            daemon = subprocess.Popen(
                [rsyslogd, "-n", "-f", f"{directory}/rsyslog.conf", "-i", f"{directory}/rsyslog.pid"],
                stdout=log, stderr=log)
            try:
                def send():
                    with socket.create_connection(("127.0.0.1", source)) as connection:
                        for number in range(500):
                            connection.sendall(b"<29>Nov 26 12:00:00 host app[3]: message %d\n" % number)

                def is_up():
                    try:
                        socket.create_connection(("127.0.0.1", source)).close()
                        return True
                    except OSError:
                        return False

                wait_until(is_up, 20, "rsyslog")
                send()
                wait_until(lambda: len(sink.items()) >= 500, 30, "the messages at the receiver")
            finally:
                daemon.send_signal(signal.SIGTERM)
                daemon.wait(20)
                log.close()
            check(invar.stop() == 0, "does not stop")
        messages = {record["attributes"]["message"].strip() for record in records(sink)}
        check({f"message {number}" for number in range(500)} <= messages, f"{len(messages)} different messages")
        check(records(sink)[0]["attributes"]["appname"] == "app", records(sink)[0])


def otlp_lines(body):
    """Bodies of the log records of an OTLP/JSON request."""
    return [
        record["body"]["stringValue"]
        for resource in json.loads(body).get("resourceLogs", [])
        for scope in resource.get("scopeLogs", [])
        for record in scope.get("logRecords", [])]


def filelog(directory, port, more=""):
    return f"""
otelcol.storage.file "s" {{ directory = "{directory}/store" }}
otelcol.receiver.filelog "in" {{
  include       = ["{directory}/logs/*.log*"]
  start_at      = "beginning"
  storage       = otelcol.storage.file.s.handler
  poll_interval = "50ms"
  compression   = "auto"
  {more}
  output {{ logs = [otelcol.exporter.otlphttp.out.input] }}
}}
otelcol.exporter.otlphttp "out" {{
  encoding = "json"
  client {{
    endpoint    = "http://127.0.0.1:{port}"
    compression = "none"
  }}
  sending_queue {{ enabled = false }}
}}
"""


def rotate(directory, number):
    """Rotates as logrotate does: by renaming, by copying and truncating, with compression of the file before."""
    logrotate = shutil.which("logrotate") or "/usr/sbin/logrotate"
    if not os.path.exists(logrotate):
        raise Skip("logrotate is missing")
    way = ["copytruncate", "create"][number % 2]
    with open(f"{directory}/logrotate.conf", "w") as file:
        file.write(f"{directory}/logs/app.log {{\n rotate 50\n compress\n delaycompress\n {way}\n}}\n")
    subprocess.run(
        [logrotate, "--force", "--state", f"{directory}/logrotate.state", f"{directory}/logrotate.conf"], check=True)


def case_filelog_rotation_and_kill(directory):
    """Files rotated by logrotate in all its ways, and kill -9 in between: every line arrives, few of them twice."""
    os.mkdir(f"{directory}/logs")
    sent = 0

    def write(count):
        nonlocal sent
        with open(f"{directory}/logs/app.log", "a") as file:
            for _ in range(count):
                file.write(f"line {sent:06} {'x' * 80}\n")
                sent += 1

    with Sink(otlp_lines, answer=lambda number: 200) as sink:
        configuration = filelog(directory, sink.port)
        for life in range(4):
            with Invar(directory, configuration, PREVIEW) as invar:
                for rotation in range(3):
                    write(3000)
                    # The second time it may be in the middle of reading.
                    if rotation != 1:
                        wait_until(lambda: len(set(sink.items())) >= sent - 3000, 60, "most of the lines")
                    rotate(directory, life * 3 + rotation)
                write(2000)
                invar.kill()
        with Invar(directory, configuration, PREVIEW) as invar:
            wait_until(lambda: len(set(sink.items())) >= sent, 60, f"{sent} lines, {len(set(sink.items()))} are there")
            check(invar.stop() == 0, "does not stop")
        items = sink.items()
        wanted = {f"line {number:06} {'x' * 80}" for number in range(sent)}
        check(set(items) == wanted, f"{len(set(items) - wanted)} lines nobody wrote")
        twice = len(items) - len(wanted)
        check(twice < 4 * 3500, f"{twice} of {sent} lines came again")
        print(f"# {sent} lines, {twice} again after four kills")


def case_filelog_recombined_over_kill(directory):
    """Parts of a log that wait for the rest are read again after kill -9."""
    os.mkdir(f"{directory}/logs")
    operators = """operators = [{
    type = "recombine", combine_field = "body", is_last_entry = "body endsWith '.'", force_flush_period = "1h",
  }]"""
    with Sink(otlp_lines, answer=lambda number: 200) as sink:
        configuration = filelog(directory, sink.port, operators)
        with open(f"{directory}/logs/app.log", "a") as file:
            file.write("whole.\nfirst\nsecond\n")
            file.flush()
            with Invar(directory, configuration, PREVIEW) as invar:
                wait_until(lambda: sink.items() == ["whole."], 30, "the whole log")
                wait_until(lambda: os.path.exists(f"{directory}/store"), 30, "the store")
                invar.kill()
            file.write("third.\n")
        with Invar(directory, configuration, PREVIEW) as invar:
            wait_until(lambda: "first\nsecond\nthird." in sink.items(), 30, "the log in three parts")
            check(invar.stop() == 0, "does not stop")


def case_filelog_sinks(directory):
    """Operators that end a pipeline: a file, the standard output and nowhere; `let`, `cache` and `parse_to` on the way."""
    os.mkdir(f"{directory}/logs")
    operators = """operators = [
    {type = "regex_parser", regex = "^(?P<way>\\\\w+) (?P<number>\\\\d+)$", cache = {size = 10}},
    {type = "router", routes = [
      {expr = "attributes.way == 'file'", output = "archive"},
      {expr = "attributes.way == 'print'", output = "screen"},
      {expr = "let n = int(attributes.number); attributes.way == 'drop' and n > 1", output = "none"},
    ], default = "rest"},
    {type = "file_output", id = "archive", path = "%s/archive.log", format = "{{.Attributes.number}};{{.Body}}\\n"},
    {type = "stdout", id = "screen"},
    {type = "drop_output", id = "none"},
    {type = "noop", id = "rest"},
  ]""" % directory
    with Sink(otlp_lines, answer=lambda number: 200) as sink:
        with open(f"{directory}/logs/app.log", "w") as file:
            file.write("file 1\nprint 2\ndrop 1\ndrop 2\nfile 3\nsend 4\n")
        with Invar(directory, filelog(directory, sink.port, operators), PREVIEW) as invar:
            wait_until(lambda: sorted(sink.items()) == ["drop 1", "send 4"], 30, "what goes on")
            wait_until(
                lambda: os.path.exists(f"{directory}/archive.log")
                and open(f"{directory}/archive.log").read() == "1;file 1\n3;file 3\n", 30, "the file")
            books = invar.ledger()["otelcol.receiver.filelog.in"]
            check(books["unaccounted"] == 0 and sum(each["items"] for each in books["dropped"]) == 1, books)
            check(invar.stop() == 0, "does not stop")
        with open(invar.log) as output:
            lines = [json.loads(line) for line in output if line.startswith('{"observed_timestamp"')]
        check([line["body"] for line in lines] == ["print 2"], lines)
        check(lines[0]["attributes"]["number"] == "2" and lines[0]["timestamp"] == "0001-01-01T00:00:00Z", lines)


def case_otel_syslog_over_tls(directory):
    """Messages over TLS, from a client that shows a certificate; one without is turned away."""
    if not shutil.which("openssl"):
        raise Skip("openssl is missing")
    for name in ("server", "client"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{directory}/{name}.key",
             "-out", f"{directory}/{name}.pem"], check=True, capture_output=True)
    port = free_port()
    with LokiSink() as sink:
        configuration = to_loki(f"""
otelcol.receiver.syslog "in" {{
  tcp {{
    listen_address = "127.0.0.1:{port}"
    tls {{
      cert_file      = "{directory}/server.pem"
      key_file       = "{directory}/server.key"
      client_ca_file = "{directory}/client.pem"
    }}
  }}
  {OUTPUT}
}}
""", sink)
        with Invar(directory, configuration, PREVIEW) as invar:
            context = ssl.create_default_context(cafile=f"{directory}/server.pem")
            stranger = context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="127.0.0.1")
            try:
                stranger.sendall(b"<34>1 - h app - - - from nobody\n")
                check(stranger.recv(1) == b"", "a client without a certificate is spoken to")
            except (ssl.SSLError, ConnectionError):
                pass
            finally:
                stranger.close()
            context.load_cert_chain(f"{directory}/client.pem", f"{directory}/client.key")
            with socket.create_connection(("127.0.0.1", port)) as plain:
                with context.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
                    secure.sendall(b"<34>1 - h app - - - over TLS\n")
                    wait_until(lambda: sink.items(), 30, "the message at the receiver")
            check(invar.stop() == 0, "does not stop")
        messages = [record["attributes"]["message"] for record in records(sink)]
        check(messages == ["over TLS"], messages)
