"""The process ends without notice while data flows."""

import os
import threading
import time

from exposition import Targets, counting
from faults import (Pusher, api_to_wal, check_books, check_no_loss, check_twice, dropped, generator, held, loki_receiver,
                    pushed, pushers_ready, remote_write_receiver, wait_until_empty)
from harness import LONG, Invar, check, free_port, wait_until


def scrape_to(url, targets, interval="200ms"):
    return f"""
        prometheus.scrape "s" {{
            targets         = {targets}
            scrape_interval = "{interval}"
            scrape_timeout  = "{interval}"
            forward_to      = [prometheus.remote_write.w.receiver]
        }}
        prometheus.remote_write "w" {{
            endpoint {{
                name = "main"
                url  = "{url}"
                queue_config {{
                    batch_send_deadline = "100ms"
                    min_backoff         = "30ms"
                    max_backoff         = "500ms"
                }}
            }}
        }}
        """


def case_metrics_survive_sigkill(directory):
    """Killed at random moments while scraping: only the scrape in work at a kill may be missing, nothing else."""
    kills_wanted = 100 if LONG else 8
    choice = generator("metrics-sigkill")
    names = [f"t{index}" for index in range(10)]
    kills = []
    excused = {name: set() for name in names}
    # A few refusals keep something in the queue at the moment of the kill.
    with remote_write_receiver(behaviour=lambda number: 500 if number % 5 == 0 else 204) as receiver:
        with Targets({name: counting(200) for name in names}) as targets:
            configuration = scrape_to(receiver.url, targets.alloy())
            port = free_port()
            for _ in range(kills_wanted):
                with Invar(directory, configuration, port=port) as invar:
                    time.sleep(choice.uniform(0.2, 1.5))
                    invar.kill()
                    kills.append(time.monotonic())
                # A response may still be on its way to a process that is gone.
                wait_until(lambda: targets.connections == 0, 30, "the targets to notice the kill")
                for name in names:
                    excused[name].update((targets.served[name], targets.started[name]))
            with Invar(directory, configuration, port=port) as invar:
                start = dict(targets.served)
                wait_until(lambda: all(targets.served[n] >= start[n] + 3 for n in names), 60, "three more scrapes")
                check(invar.stop(60) == 0, "does not stop")
            served = dict(targets.served)
            with open(f"{directory}/invar.log") as log:
                check("Ledger at exit" in log.read(), "the books are not in the log at exit")
        arrived = {name: {} for name in names}
        failed = {name: set() for name in names}
        for labels, when, value in receiver.items():
            pairs = dict(pair.split("=", 1) for pair in labels.split(","))
            # A slow machine makes scrapes time out: served, and not taken.
            if pairs["__name__"] == "up" and value == 0:
                failed[pairs["target"]].add(when)
            if pairs["__name__"] == "e2e_value" and value == value:
                counts = arrived[pairs["target"]].setdefault(int(value), set())
                counts.add(pairs["series"])
        missing = 0
        for name in names:
            timeouts = len(failed[name])
            for number in range(1, served[name] + 1):
                got = len(arrived[name].get(number, ()))
                if number in excused[name] or number == served[name]:
                    missing += 200 - got
                elif got == 0 and timeouts > 0:
                    timeouts -= 1
                else:
                    check(got == 200, f"{name}: of scrape {number} only {got} of 200 series arrived")
        twice = check_twice(receiver.arrivals(), lambda item: item[:2], kills, window=10)
        total = sum(served.values()) * 200
        print(f"# {len(kills)} kills, {total} samples served, {missing} of scrapes in work at a kill, {twice} arrived twice")


def case_logs_survive_sigkill(directory):
    """Killed at random moments while clients push: every acknowledged line arrives."""
    kills_wanted = 100 if LONG else 8
    choice = generator("logs-sigkill")
    kills = []
    push_port, port = free_port(), free_port()
    with loki_receiver(behaviour=lambda number: 500 if number % 7 == 0 else 204) as receiver:
        configuration = api_to_wal(receiver.url, push_port)
        pushers = [Pusher(push_port, f"p{index}", pause=0.005) for index in range(4)]
        started = False
        for _ in range(kills_wanted):
            with Invar(directory, configuration, port=port) as invar:
                pushers_ready(push_port)
                if not started:
                    started = True
                    for pusher in pushers:
                        pusher.start()
                time.sleep(choice.uniform(0.2, 1.5))
                invar.kill()
                kills.append(time.monotonic())
        with Invar(directory, configuration, port=port) as invar:
            pushers_ready(push_port)
            before = {pusher: len(pusher.acknowledged) for pusher in pushers}
            wait_until(lambda: all(len(p.acknowledged) > before[p] for p in pushers), 60, "more lines of every client")
            for pusher in pushers:
                pusher.stop()
            wait_until_empty(invar, "loki.write.w", 60)
            check_books(invar)
            check(invar.stop(60) == 0, "does not stop")
        check_no_loss(pushers, receiver)
        repeated = {(p.worker, n) for p in pushers for n in p.repeated}
        twice = check_twice(
            receiver.arrivals(), lambda item: next(pushed([item])), kills, window=10, but=repeated)
        total = sum(len(pusher.acknowledged) for pusher in pushers)
        print(f"# {len(kills)} kills, {total} lines acknowledged, {twice} arrived twice without a client's repetition")


def case_files_survive_sigkill(directory):
    """Killed while tailing files: every line arrives; twice only those since the positions were saved."""
    kills_wanted = 30 if LONG else 4
    choice = generator("files-sigkill")
    os.makedirs(f"{directory}/logs")
    written = [0] * 5
    stopping = threading.Event()

    def write():
        handles = [open(f"{directory}/logs/{index}.log", "ab") for index in range(5)]
        while not stopping.is_set():
            for index, handle in enumerate(handles):
                text = "".join(f"f{index}-{number} text\n" for number in range(written[index], written[index] + 20))
                handle.write(text.encode())
                handle.flush()
                written[index] += 20
            stopping.wait(0.02)
        for handle in handles:
            handle.close()

    writer = threading.Thread(target=write, daemon=True)
    kills = []
    at_kill = []
    port = free_port()
    with loki_receiver() as receiver:
        targets = ", ".join(f'{{"__path__" = "{directory}/logs/{index}.log"}}' for index in range(5))
        configuration = f"""
            loki.source.file "f" {{
                targets    = [{targets}]
                forward_to = [loki.write.w.receiver]
                file_watch {{
                    min_poll_frequency = "50ms"
                    max_poll_frequency = "100ms"
                }}
            }}
            loki.write "w" {{
                endpoint {{
                    url        = "{receiver.url}"
                    batch_wait = "100ms"
                }}
                wal {{ enabled = true }}
            }}
            """
        writer.start()
        for _ in range(kills_wanted):
            with Invar(directory, configuration, port=port) as invar:
                time.sleep(choice.uniform(0.3, 2.5))
                invar.kill()
                kills.append(time.monotonic())
                at_kill.append(list(written))
        with Invar(directory, configuration, port=port) as invar:
            stopping.set()
            writer.join()
            wanted = {(f"f{index}", number) for index in range(5) for number in range(written[index])}
            wait_until(lambda: wanted <= set(pushed(receiver.items())), 60, "all lines")
            wait_until_empty(invar, "loki.write.w", 30)
            check_books(invar)
            check(invar.stop(60) == 0, "does not stop")
        # Positions are saved every ten seconds, so all that was read since then is read again.
        twice = check_twice(
            receiver.arrivals(), lambda item: next(pushed([item])), kills, window=15 + 3 * kills_wanted,
            existed=lambda name, kill: name[1] < at_kill[kill][int(name[0][1:])])
        print(f"# {len(kills)} kills, {len(wanted)} lines, {twice} arrived twice")


def case_held_counts_survive_a_restart(directory):
    """With the receiver away, a restart finds on disk what was held before, and sends it."""
    push_port, port = free_port(), free_port()
    with loki_receiver() as receiver:
        configuration = api_to_wal(receiver.url, push_port)
        receiver.shut()
        with Invar(directory, configuration, port=port) as invar:
            pushers_ready(push_port)
            pusher = Pusher(push_port, "p", limit=5000)
            pusher.start()
            pusher.join(60)
            books = check_books(invar)
            check(held(books["loki.write.w"]) == 5000, f"holds {books['loki.write.w']}")
            invar.kill()
        for ending in ("kill", "stop"):
            with Invar(directory, configuration, port=port) as invar:
                wait_until(lambda: invar.ledger()["loki.write.w"]["restored"] == 5000, 20, "what was held before")
                books = check_books(invar)
                check(held(books["loki.write.w"]) == 5000, f"holds {books['loki.write.w']}")
                invar.kill() if ending == "kill" else invar.stop(60)
        receiver.open()
        with Invar(directory, configuration, port=port) as invar:
            wait_until(lambda: len(receiver.items()) >= 5000, 60, "the backlog")
            wait_until_empty(invar, "loki.write.w", 20)
            book = check_books(invar)["loki.write.w"]
            check(book["restored"] == 5000 and book["out"] == 5000, f"the books: {book}")
            metric = invar.metric("invar_component_items_restored_total", component_id="loki.write.w")
            check(metric == 5000, f"invar_component_items_restored_total is {metric}")
            invar.stop(60)
        check_no_loss([pusher], receiver)
        check(len(receiver.items()) == 5000, "something arrived twice")


def case_queue_of_a_removed_endpoint(directory):
    """What waits for an endpoint that is no longer configured goes with its queue, and is booked as dropped."""
    port = free_port()
    with remote_write_receiver() as receiver, Targets({"t": counting(100)}) as targets:
        configuration = scrape_to(receiver.url, targets.alloy())
        receiver.shut()
        with Invar(directory, configuration, port=port) as invar:
            wait_until(lambda: held(invar.ledger()["prometheus.remote_write.w"]) > 500, 20, "a backlog")
            invar.kill()
        receiver.open()
        with Invar(directory, configuration.replace('"main"', '"other"'), port=port) as invar:
            wait_until(lambda: dropped(invar.ledger()["prometheus.remote_write.w"], "stopped") > 500, 20, "the drop")
            wait_until(lambda: receiver.items(), 20, "new samples")
            book = invar.ledger()["prometheus.remote_write.w"]
            check(book["restored"] == dropped(book), f"the books: {book}")
            check(invar.stop(60) == 0, "does not stop")
        queues = os.listdir(f"{directory}/data/prometheus.remote_write.w/queue")
        check(len(queues) == 1 and queues[0].startswith("other-"), f"queues on disk: {queues}")


def case_first_start_over_alloys_files(directory):
    """Alloy's WAL directories and positions are no obstacle, and stay as they are; positions are taken over."""
    data = f"{directory}/data"
    foreign = {
        "prometheus.remote_write.w/wal/00000000": os.urandom(40_000),
        "prometheus.remote_write.w/wal/checkpoint.00000002/00000000": os.urandom(5000),
        "loki.write.w/wal/00000000": os.urandom(40_000),
        "loki.write.w/wal/checkpoint.000001.tmp/00000000": os.urandom(100),
        "loki.write.w/remote/main/segment_marker": os.urandom(20),
        "alloy_seed.json": b'{"uid":"x","created_at":"2024-01-01T00:00:00Z","version":"v1"}',
        "remotecfg/x": b"",
    }
    log = f"{directory}/app.log"
    first = "".join(f"old-{number} text\n" for number in range(100))
    with open(log, "w") as file:
        file.write(first + "".join(f"new-{number} text\n" for number in range(50)))
    positions = f"""positions:
  ? path: {log}
    labels: '{{filename="{log}"}}'
  : "{len(first)}"
  ? path: {log}
    labels: '{{}}'
  : "{len(first)}"
"""
    foreign["loki.source.file.f/positions.yml"] = positions.encode()
    for name, content in foreign.items():
        os.makedirs(os.path.dirname(f"{data}/{name}"), exist_ok=True)
        with open(f"{data}/{name}", "wb") as file:
            file.write(content)
    names = ["t"]
    with loki_receiver() as logs, remote_write_receiver() as metrics, Targets({"t": counting(10)}) as targets:
        configuration = scrape_to(metrics.url, targets.alloy()) + f"""
            loki.source.file "f" {{
                targets    = [{{"__path__" = "{log}"}}]
                forward_to = [loki.write.w.receiver]
            }}
            loki.write "w" {{
                endpoint {{
                    name = "main"
                    url  = "{logs.url}"
                }}
                wal {{ enabled = true }}
            }}
            """
        with Invar(directory, configuration) as invar:
            wait_until(lambda: len(logs.items()) >= 50 and len(metrics.items()) >= 10 * len(names), 30, "the data")
            check_books(invar)
            invar.stop(60)
        lines = set(pushed(logs.items()))
        check(("new", 49) in lines and ("new", 0) in lines, "lines behind the position are missing")
        check(not any(name == "old" for name, _ in lines), "lines before the position were read again")
    for name, content in foreign.items():
        if name.endswith("positions.yml"):
            continue
        with open(f"{data}/{name}", "rb") as file:
            check(file.read() == content, f"{name} was changed")
