"""Targets to scrape: many on one port, told apart by path. Values are known functions of what was served."""

import asyncio
import threading


class Targets:
    """Serves `/NAME` with the text that `bodies[NAME](scrape_number)` returns, counting complete responses.

    A body may be bytes, or a tuple (status, headers, iterable of bytes) for hostile answers.
    """

    def __init__(self, bodies):
        self.bodies = bodies
        self.served = {name: 0 for name in bodies}
        self.started = {name: 0 for name in bodies}
        self.connections = 0
        self.open = {}
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait()

    def _run(self, ready):
        asyncio.set_event_loop(self.loop)
        self.server = self.loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = self.server.sockets[0].getsockname()[1]
        ready.set()
        self.loop.run_forever()

    async def _serve(self, reader, writer):
        self.connections += 1
        self.open[asyncio.current_task()] = writer
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                name = head.split(b" ", 2)[1].decode().lstrip("/").split("?")[0]
                if name not in self.bodies:
                    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                    await writer.drain()
                    continue
                self.started[name] += 1
                body = self.bodies[name](self.started[name])
                if isinstance(body, tuple):
                    await self._serve_raw(writer, *body)
                    return
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: %d\r\n\r\n"
                    % len(body))
                writer.write(body)
                await writer.drain()
                self.served[name] += 1
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
            pass
        finally:
            self.connections -= 1
            del self.open[asyncio.current_task()]
            writer.close()

    async def _serve_raw(self, writer, status, headers, chunks):
        writer.write(b"HTTP/1.1 %d X\r\n%s\r\n" % (status, headers))
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()

    async def _end_connections(self):
        self.server.close()
        for writer in self.open.values():
            writer.transport.abort()
        await asyncio.gather(*self.open, return_exceptions=True)

    def close(self):
        asyncio.run_coroutine_threadsafe(self._end_connections(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def alloy(self, job="e2e"):
        """The targets as an Alloy list."""
        entries = ",\n".join(
            f'{{"__address__" = "127.0.0.1:{self.port}", "__metrics_path__" = "/{name}", "target" = "{name}"}}'
            for name in self.bodies)
        return f"[\n{entries},\n]"


def counting(series, labels='kind="a",zone="eu-west-1"'):
    """A body whose every series has the number of the scrape as its value."""
    prefixes = [f'e2e_value{{{labels},series="{index}"}} '.encode() for index in range(series)]

    def body(number):
        suffix = b"%d\n" % number
        return b"# TYPE e2e_value gauge\n" + suffix.join(prefixes) + suffix

    return body


def constant(text):
    encoded = text.encode()
    return lambda number: encoded
