"""Less memory than the data would like to have."""

import json
import subprocess
import time

from faults import Pusher, api_to_wal, check_books, check_no_loss, dropped, loki_receiver, pushers_ready, wait_until_empty
from harness import BINARY, Invar, check, free_port, request, wait_until


def case_memory_limit(directory):
    """Many clients push large requests into a small budget: they are told to wait, and nothing is dropped."""
    limit = 8 << 20
    push_port = free_port()
    with loki_receiver(behaviour=lambda number: {"status": 204, "delay": 0.05}) as receiver:
        configuration = api_to_wal(receiver.url, push_port)
        with Invar(directory, configuration, flags=["--memory.limit=8MiB"]) as invar:
            pushers_ready(push_port)
            pushers = [Pusher(push_port, f"p{index}", per_request=1000, payload=lambda number: "x" * 900)
                       for index in range(12)]
            for pusher in pushers:
                pusher.start()
            most = 0
            end = time.monotonic() + 6
            while time.monotonic() < end:
                budget = json.loads(request(invar.port, "/api/v0/web/memory")[1])
                most = max(most, budget["used"])
                check(budget["limit"] == limit, f"{budget}")
                time.sleep(0.02)
            refusals = sum(p.answers.get(429, 0) + p.answers.get(503, 0) for p in pushers)
            check(refusals > 0, f"nobody was told to wait: {[p.answers for p in pushers]}")
            check(all(p.without_wait == 0 for p in pushers), "a refusal without Retry-After")
            check(all(p.acknowledged for p in pushers), "a client got nothing through")
            # Bytes that are there already are booked beyond the limit, never reserved: one request at most.
            check(most < limit + (4 << 20), f"{most} bytes were held with a limit of {limit}")
            check(any(entry["name"].startswith("loki.write.w") for entry in budget["minimums"]), f"{budget}")
            used = invar.metric("invar_memory_account_used_bytes")
            check(used is not None, "no invar_memory_account_used_bytes")
            memory = invar.memory("VmHWM")
            for pusher in pushers:
                pusher.stop()
            wait_until_empty(invar, "loki.write.w", 120)
            books = check_books(invar)
            check(all(dropped(book) == 0 for book in books.values()), f"dropped: {books}")
            check(invar.stop(60) == 0, "does not stop")
        check_no_loss(pushers, receiver)
        total = sum(len(p.acknowledged) for p in pushers)
        print(f"# {total} lines, {refusals} refusals, at most {most >> 10} KiB of {limit >> 10} held, {memory >> 20} MiB resident")


def case_minimums_beyond_the_limit(directory):
    """A configuration that cannot work within the budget is refused with the numbers, at start and at reload."""
    configuration = api_to_wal("http://127.0.0.1:1/loki/api/v1/push", free_port())
    with open(f"{directory}/config.alloy", "w") as file:
        file.write(configuration)
    done = subprocess.run(
        [BINARY, "run", f"{directory}/config.alloy", f"--storage.path={directory}/data", "--memory.limit=2MiB",
         f"--server.http.listen-addr=127.0.0.1:{free_port()}"], capture_output=True, text=True, timeout=60)
    text = done.stdout + done.stderr
    check(done.returncode != 0, "the configuration is accepted")
    check("needs at least 3MiB" in text and "memory budget is 2MiB" in text, f"no numbers: {text[-600:]}")
    with Invar(directory, configuration, flags=["--memory.limit=4MiB"]) as invar:
        invar.write(configuration.replace('name                = "main"', 'name = "main"\nbatch_size = "9MiB"'))
        status, body = invar.reload()
        check(status == 400 and "needs at least 19MiB" in body, f"{status}: {body}")
        wait_until(lambda: invar.components()["loki.write.w"]["health"]["state"] == "unhealthy", 10, "the health to tell")
        invar.write(configuration)
        check(invar.reload()[0] == 200, "the old configuration is refused")
        check(invar.stop(60) == 0, "does not stop")
