"""The files of queues are damaged, too many, or have no room."""

import glob
import os
import random
import struct
import subprocess
import time

import segments
from faults import (Pusher, api_to_wal, check_books, check_no_loss, dropped, generator, held, loki_receiver, pushed,
                    pushers_ready, wait_until_empty)
from harness import LONG, Failure, Invar, Skip, check, free_port, request, wait_until


def backlog(directory, configuration, port, push_port, lines):
    """Fills the queue while nobody takes anything, then ends the process; the numbers pushed."""
    text = random.Random(5)
    noise = ["".join(text.choices("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_", k=1000))
             for _ in range(500)]
    with Invar(directory, configuration, port=port) as invar:
        pushers_ready(push_port)
        pusher = Pusher(
            push_port, "p", per_request=200, limit=lines,
            payload=lambda number: f"{number * 2654435761 % (1 << 32):x}" + noise[number % 500])
        pusher.start()
        pusher.join(120)
        check(not pusher.is_alive(), "the backlog takes too long")
        invar.kill()
    return pusher


def numbers_in(path):
    """The lines of each record of a segment: (offset, length, numbers)."""
    import wire

    with open(path, "rb") as file:
        data = file.read()
    found = []
    for offset, length, items in segments.records(data):
        start = offset + segments.HEADER
        lines = [number for _, number in pushed(wire.loki_push(data[start:start + length]))]
        check(len(lines) == items, f"a record says {items} items and has {len(lines)}")
        found.append((offset, length, lines))
    return found


def case_torn_and_flipped_segments(directory):
    """A bit of one segment flipped, the last one torn: their records are lost and counted, all others arrive."""
    choice = generator("segments")
    for round_number in range(20 if LONG else 2):
        where = f"{directory}/{round_number}"
        os.makedirs(where)
        push_port, port = free_port(), free_port()
        with loki_receiver() as receiver:
            configuration = api_to_wal(receiver.url, push_port)
            receiver.shut()
            pusher = backlog(where, configuration, port, push_port, 60_000)
            paths = sorted(glob.glob(f"{where}/data/loki.write.w/wal/*.segment"))
            check(len(paths) >= 3, f"only {len(paths)} segments")
            # A bit of a payload in the first, one of a header in the second, the end of the last cut off.
            lost = []
            for path, in_header in ((paths[0], False), (paths[1], True)):
                found = numbers_in(path)
                index = choice.randrange(len(found))
                offset, length, _ = found[index]
                place = offset + (choice.randrange(segments.HEADER) if in_header
                                  else segments.HEADER + choice.randrange(length))
                with open(path, "r+b") as file:
                    file.seek(place)
                    byte = file.read(1)[0]
                    file.seek(place)
                    file.write(bytes([byte ^ 1 << choice.randrange(8)]))
                lost += [number for _, _, numbers in found[index:] for number in numbers]
            found = numbers_in(paths[-1])
            offset, length, torn = found[-1]
            os.truncate(paths[-1], offset + choice.randrange(segments.HEADER + length))
            receiver.open()
            with Invar(where, configuration, port=port) as invar:
                wait_until(lambda: invar.ledger()["loki.write.w"]["restored"] > 0, 20, "the backlog")
                wait_until_empty(invar, "loki.write.w", 120)
                book = check_books(invar)["loki.write.w"]
                check(book["restored"] == 60_000 - len(torn), f"restored {book['restored']}, torn {len(torn)}")
                check(dropped(book, "damaged") == len(lost), f"{len(lost)} lines lost, the books: {book}")
                damaged = invar.metric("invar_queue_damaged_segments_total", component_id="loki.write.w")
                check(damaged == 2, f"{damaged} damaged segments counted")
                aside = wait_until(
                    lambda: len(glob.glob(f"{where}/data/loki.write.w/wal/*.damaged")) == 2, 10, "two files set aside")
                check(aside, "nothing was set aside")
                invar.stop(60)
            arrived = sorted(number for _, number in pushed(receiver.items()))
            wanted = sorted(set(range(60_000)) - set(lost) - set(torn))
            check(arrived == wanted, f"{len(arrived)} lines arrived, {len(wanted)} are readable")
            check(len(pusher.acknowledged) == 60_000, "not all was acknowledged")
            print(f"# {len(lost)} of 60000 lines behind flipped bits, {len(torn)} torn")


def case_full_disk(directory):
    """The disk of the queue fills: clients are told to wait, nothing acknowledged is lost, and room makes it go on."""
    data = f"{directory}/data"
    os.makedirs(data)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", data], capture_output=True, text=True)
    if made.returncode != 0:
        raise Skip(f"a small file system cannot be mounted: {made.stderr.strip()}")
    try:
        push_port, port = free_port(), free_port()
        noise = random.Random(7)
        with loki_receiver() as receiver:
            configuration = api_to_wal(receiver.url, push_port)
            receiver.shut()
            with Invar(directory, configuration, port=port) as invar:
                pushers_ready(push_port)
                pushers = [Pusher(push_port, f"p{index}", per_request=100,
                                  payload=lambda number: f"{noise.getrandbits(4000):x}") for index in range(2)]
                for pusher in pushers:
                    pusher.start()
                wait_until(lambda: any(p.answers.get(503, 0) + p.answers.get(429, 0) for p in pushers), 60,
                           "a client to be told to wait")
                refused = sum(p.answers.get(503, 0) + p.answers.get(429, 0) for p in pushers)
                wait_until(lambda: sum(p.answers.get(503, 0) + p.answers.get(429, 0) for p in pushers) > refused + 5, 60,
                           "more refusals")
                before = sum(len(p.acknowledged) for p in pushers)
                check(all(p.without_wait == 0 for p in pushers), "a refusal without Retry-After")
                check(set().union(*(p.answers for p in pushers)) <= {204, 429, 503}, f"{[p.answers for p in pushers]}")
                failed = invar.metric("invar_queue_failed_writes_total", component_id="loki.write.w")
                check(failed and failed > 0, f"{failed} failed writes counted")
                # With the disk still full: a crash and a start.
                invar.kill()
            with Invar(directory, configuration, port=port) as invar:
                wait_until(lambda: invar.ledger()["loki.write.w"]["restored"] > 0, 20, "the backlog")
                receiver.open()
                wait_until(lambda: sum(len(p.acknowledged) for p in pushers) > before, 60, "pushes to go on")
                for pusher in pushers:
                    pusher.stop()
                wait_until_empty(invar, "loki.write.w", 60)
                book = check_books(invar)["loki.write.w"]
                check(dropped(book) == 0, f"something was dropped: {book}")
                check(invar.stop(60) == 0, "does not stop")
            check_no_loss(pushers, receiver)
            total = sum(len(p.acknowledged) for p in pushers)
            print(f"# {before} lines when the disk was full, {total} in the end, answers {[p.answers for p in pushers]}")
    finally:
        subprocess.run(["umount", "-l", data], capture_output=True)


def make_backlog(directory, gibibytes):
    """A remote-write queue of that size, sparse: requests of one mebibyte of zeros. Returns its samples."""
    payload = bytes((1 << 20) - segments.HEADER - 40)
    trailer = struct.pack("<BBHHHQIIIIq", 1, 1, 0, 1, 0, 7, 0, 2000, 0, 0, int(time.time() * 1000))
    payload += trailer
    now = int(time.time() * 1000)
    header = segments.record_header(len(payload), segments.crc32c(payload), 2000, now, oldest=now)
    per_segment = 16
    count = gibibytes * 1024 // per_segment
    os.makedirs(directory)
    for number in range(1, count + 1):
        with open(f"{directory}/{number:010}.segment", "wb") as file:
            file.write(segments.segment_header(number))
            for index in range(per_segment):
                offset = 16 + index * (len(payload) + segments.HEADER)
                file.seek(offset)
                file.write(header)
                file.seek(offset + segments.HEADER + len(payload) - len(trailer))
                file.write(trailer)
            file.write(segments.footer(2000 * per_segment, per_segment, now))
    return count * per_segment * 2000


def case_start_with_a_large_backlog(directory):
    """A backlog of 10 GiB (2 GiB in the short form): ready within 2 s, with less than 32 MiB more memory."""
    gibibytes = 10 if LONG or os.environ.get("INVAR_BACKLOG") else 2
    configuration = """
        prometheus.remote_write "w" {
            endpoint {
                name = "main"
                url  = "http://127.0.0.1:1/api/v1/write"
            }
        }
        """

    def start(where, waiting):
        begun = time.monotonic()
        with Invar(where, configuration) as invar:
            wait_until(lambda: "prometheus.remote_write.w" in invar.components() and
                       invar.components()["prometheus.remote_write.w"]["health"]["state"] == "healthy", 30, "health")
            seconds = time.monotonic() - begun
            if waiting:
                wait_until(lambda: (invar.metric("prometheus_remote_storage_samples_retried_total",
                                                 component_id="prometheus.remote_write.w") or 0) > 0,
                           30, "the backlog to be offered to the receiver")
            book = check_books(invar)["prometheus.remote_write.w"]
            memory = invar.memory("VmHWM")
            invar.kill()
        return seconds, memory, book

    os.makedirs(f"{directory}/empty")
    empty = start(f"{directory}/empty", waiting=False)
    queue = f"{directory}/full/data/prometheus.remote_write.w/queue/main-{segments.fnv32('main'):08x}"
    samples = make_backlog(queue, gibibytes)
    full = start(f"{directory}/full", waiting=True)
    more = full[1] - empty[1]
    print(f"# {gibibytes} GiB, {samples} samples: {full[0]:.2f} s (empty {empty[0]:.2f} s), {more / (1 << 20):.1f} MiB more")
    check(full[2]["restored"] == samples, f"restored {full[2]['restored']} of {samples}")
    check(held(full[2]) == samples, f"holds {held(full[2])} of {samples}")
    check(full[0] < 2 + empty[0], f"started after {full[0]:.2f} s")
    check(more < 32 << 20, f"{more >> 20} MiB more memory")


def case_sync_always(directory):
    """With --storage.sync=always nothing changes but the time it takes; a wrong value is refused."""
    push_port = free_port()
    with loki_receiver() as receiver:
        configuration = api_to_wal(receiver.url, push_port)
        rates = {}
        for policy in ("1s", "always"):
            where = f"{directory}/{policy}"
            os.makedirs(where)
            with Invar(where, configuration, flags=[f"--storage.sync={policy}"]) as invar:
                pushers_ready(push_port)
                begun = time.monotonic()
                pushers = [Pusher(push_port, f"{policy}{index}", per_request=10, limit=1000) for index in range(4)]
                for pusher in pushers:
                    pusher.start()
                for pusher in pushers:
                    pusher.join(60)
                rates[policy] = 4000 / (time.monotonic() - begun)
                wait_until_empty(invar, "loki.write.w", 30)
                check_books(invar)
                invar.stop(60)
            check_no_loss(pushers, receiver)
        print(f"# lines a second from 4 clients, 10 lines a request: {rates['1s']:.0f} synchronised each second, "
              f"{rates['always']:.0f} always")
    try:
        with Invar(directory, configuration, flags=["--storage.sync=sometimes"]):
            raise Failure("--storage.sync=sometimes is accepted")
    except Failure as failure:
        check("--storage.sync" in str(failure), f"no word about the flag: {failure}")
