"""Receivers that are slow, silent, away, or refuse."""

import time

import wire
from cases_crash import scrape_to
from exposition import Targets, counting
from faults import (Pusher, Receiver, api_to_wal, check_books, check_no_loss, check_twice, dropped, held, loki_receiver,
                    pushed, pushers_ready, remote_write_receiver, wait_until_empty)
from harness import LONG, Invar, check, free_port, wait_until


def samples_of(receiver):
    """The counting samples that arrived, with the scrape's number."""
    for labels, _, value in receiver.items():
        if "__name__=e2e_value" in labels and value == value:
            yield labels, int(value)


def case_slow_silent_and_cutting_receivers(directory):
    """Requests that hang, are cut off or take long: repeated until confirmed, in order, nothing lost or doubled."""
    def behaviour(number):
        if number in (2, 5):
            return {"hang": True}
        if number in (3, 7, 8):
            return {"cut": True}
        return {"status": 204, "delay": 0.3 if number < 20 else 0}

    push_port = free_port()
    with remote_write_receiver(behaviour=behaviour) as metrics, loki_receiver(behaviour=behaviour) as logs:
        with Targets({"t": counting(100)}) as targets:
            configuration = scrape_to(metrics.url, targets.alloy()).replace(
                'name = "main"', 'name = "main"\nremote_timeout = "2s"', 1)
            configuration += api_to_wal(logs.url, push_port, endpoint='remote_timeout = "2s"')
            with Invar(directory, configuration) as invar:
                pushers_ready(push_port)
                pusher = Pusher(push_port, "p", pause=0.02)
                pusher.start()
                wait_until(lambda: metrics.requests >= 12 and logs.requests >= 9, 60, "the requests that go wrong")
                pusher.stop()
                wait_until_empty(invar, "loki.write.w", 60)
                served = targets.served["t"]
                wait_until(lambda: len({n for _, n in samples_of(metrics)}) >= served, 60, "all scrapes")
                books = check_books(invar)
                check(invar.stop(60) == 0, "does not stop")
            for component in ("loki.write.w", "prometheus.remote_write.w"):
                check(dropped(books[component]) == 0, f"dropped: {books[component]}")
            served = targets.served["t"]
        check_no_loss([pusher], logs)
        arrived = list(samples_of(metrics))
        check(len(arrived) == len(set(arrived)), "samples arrived twice")
        # The scrape in work at the end may have been given up by its target's reader.
        check(len(set(arrived)) >= 100 * (served - 1), f"{len(set(arrived))} samples of {served} scrapes")
        check_twice(logs.arrivals(), lambda item: next(pushed([item])), [], window=0,
                    but={("p", number) for number in pusher.repeated})


def case_statuses(directory):
    """429 and 5xx are repeated, 400 is not: it drops with a counted reason, and receiver and ledger agree."""
    plan = {2: {"status": 429, "headers": {"Retry-After": "1"}}, 4: {"status": 500}, 5: {"status": 503},
            7: {"status": 400}, 9: {"status": 429}}
    push_port = free_port()
    with remote_write_receiver(behaviour=lambda number: plan.get(number, 204)) as metrics:
        with loki_receiver(behaviour=lambda number: plan.get(number, 204)) as logs:
            with Targets({"t": counting(100)}) as targets:
                configuration = scrape_to(metrics.url, targets.alloy()) + api_to_wal(logs.url, push_port)
                with Invar(directory, configuration) as invar:
                    pushers_ready(push_port)
                    pusher = Pusher(push_port, "p", pause=0.02)
                    pusher.start()
                    wait_until(lambda: metrics.requests >= 12 and logs.requests >= 12, 60, "the refusals")
                    pusher.stop()
                    wait_until_empty(invar, "loki.write.w", 30)
                    books = check_books(invar)
                    book = books["loki.write.w"]
                    refused = dropped(book, "refused_by_destination")
                    check(refused > 0 and dropped(book) == refused, f"dropped: {book}")
                    check(book["out"] == len(logs.items()), f"{len(logs.items())} lines arrived, the books: {book}")
                    check(book["in"] == book["out"] + refused, f"the books: {book}")
                    check(invar.stop(60) == 0, "does not stop")
                lines = [line for line in invar.log_text().splitlines() if "Ledger at exit" in line]
                own = [line for line in lines if "prometheus.remote_write.w" in line]
                check(len(own) == 1 and "unaccounted=0" in own[0], f"the books at exit: {own}")
                fields = dict(part.split("=", 1) for part in own[0].split() if "=" in part)
                check(int(fields["dropped"]) > 0 and "http_status_400" in own[0], f"the books at exit: {own[0]}")
                check(int(fields["out"]) == len(metrics.items()),
                      f"{len(metrics.items())} samples arrived, the books at exit: {own[0]}")


def remote_write_2(body):
    """Samples of an io.prometheus.write.v2.Request: one entry each."""
    for number, series in wire.fields(wire.snappy(body)):
        if number == 5:
            for inner, _ in wire.fields(series):
                if inner == 2:
                    yield 1


class PartialReceiver(Receiver):
    """Says that it wrote nine tenths of what it was sent."""

    def take(self, body):
        super().take(body)
        sent = sum(1 for _ in remote_write_2(body))
        return {"X-Prometheus-Remote-Write-Samples-Written": str(sent * 9 // 10),
                "X-Prometheus-Remote-Write-Histograms-Written": "0",
                "X-Prometheus-Remote-Write-Exemplars-Written": "0"}


def case_partial_responses(directory):
    """A receiver that confirms a part of what it got: the rest is dropped with a counted reason."""
    with PartialReceiver(remote_write_2, "/api/v1/write") as receiver, Targets({"t": counting(200)}) as targets:
        configuration = scrape_to(receiver.url, targets.alloy()).replace(
            'name = "main"', 'name = "main"\nprotobuf_message = "io.prometheus.write.v2.Request"', 1)
        with Invar(directory, configuration, flags=["--stability.level=experimental"]) as invar:
            wait_until(lambda: len(receiver.items()) >= 2000, 60, "samples")
            check(invar.stop(60) == 0, "does not stop")
        line = next(line for line in invar.log_text().splitlines()
                    if "Ledger at exit" in line and "prometheus.remote_write.w" in line)
        fields = dict(part.split("=", 1) for part in line.split() if "=" in part)
        bodies = [sum(1 for _ in remote_write_2(body)) for _, body in receiver.accepted]
        written = sum(count * 9 // 10 for count in bodies)
        check(int(fields["out"]) == written, f"{written} written of {sum(bodies)}: {line}")
        check(int(fields["dropped"]) == sum(bodies) - written and fields["unaccounted"] == "0", f"the books: {line}")


def case_receiver_away_for_long(directory):
    """Hours in the long form's ten minutes, seconds here: memory stays flat, a restart in between changes nothing."""
    away = 600 if LONG else 15
    push_port, port = free_port(), free_port()
    with remote_write_receiver() as metrics, loki_receiver() as logs, Targets(
            {f"t{index}": counting(200) for index in range(5)}) as targets:
        configuration = scrape_to(metrics.url, targets.alloy(), interval="500ms") + api_to_wal(logs.url, push_port)
        metrics.shut()
        logs.shut()
        pusher = Pusher(push_port, "p", per_request=100, pause=0.02)
        with Invar(directory, configuration, port=port) as invar:
            pushers_ready(push_port)
            pusher.start()
            time.sleep(away / 4)
            early = invar.memory()
            time.sleep(away / 4)
            late = invar.memory()
            books = invar.ledger()
            for component in ("loki.write.w", "prometheus.remote_write.w"):
                check(held(books[component]) > 0 and dropped(books[component]) == 0, f"the books: {books[component]}")
            invar.kill()
            killed = time.monotonic()
        with Invar(directory, configuration, port=port) as invar:
            time.sleep(away / 2)
            restart = invar.memory()
            served = dict(targets.served)
            metrics.open()
            logs.open()
            wait_until(lambda: held(invar.ledger()["prometheus.remote_write.w"]) < 2000, 120, "the metrics' backlog")
            pusher.stop()
            wait_until_empty(invar, "loki.write.w", 120)
            books = check_books(invar, 60)
            check(dropped(books["loki.write.w"]) == 0, f"dropped: {books['loki.write.w']}")
            check(dropped(books["prometheus.remote_write.w"]) == 0, f"dropped: {books['prometheus.remote_write.w']}")
            check(invar.stop(60) == 0, "does not stop")
        check_no_loss([pusher], logs)
        check_twice(metrics.arrivals(), lambda item: item[:2], [killed], window=0)
        seen = {}
        for labels, number in samples_of(metrics):
            target = dict(pair.split("=", 1) for pair in labels.split(","))["target"]
            seen.setdefault(target, {}).setdefault(number, set()).add(labels)
        for target, last in served.items():
            short = [n for n in range(1, last) if len(seen.get(target, {}).get(n, ())) != 200]
            check(len(short) <= 1, f"{target}: scrapes {short[:5]} of {last} are not complete, one was cut by the kill")
        print(f"# {early >> 20} MiB, then {late >> 20} MiB with the backlog, {restart >> 20} MiB after the restart")
        check(late - early < 24 << 20, f"memory grew from {early >> 20} to {late >> 20} MiB while the receivers were away")
