"""A client that runs inside the cluster: calls a service until it is told to stop, then prints what came back.

Sent as text to a pod of our image and run there: the standard library only. Its argument is JSON: ``url`` (one of
``http://host:port/path``), ``body``, ``headers``, ``connections``, ``pause`` (seconds between two calls of a
connection), ``calls`` (in all; 0: until standard input ends), ``keep`` (calls go over connections that stay open; one
that the server closed before it began to answer is sent again once, as any HTTP client with a pool does).
"""

import asyncio
import json
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

SECONDS = 15.0


async def exchange(reader, writer, request):
    writer.write(request)
    await writer.drain()
    first = await reader.readline()
    if not first:
        raise ConnectionResetError("closed before an answer")
    status, length, close = int(first.split()[1]), 0, False
    while (line := await reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        if name.lower() == "content-length":
            length = int(value)
        if name.lower() == "connection" and value.strip().lower() == "close":
            close = True
    return status, await reader.readexactly(length), close


class Caller:
    def __init__(self, asked):
        self.asked, self.address = asked, urlsplit(asked["url"])
        self.left = asked.get("calls") or float("inf")
        self.statuses, self.errors, self.models = Counter(), Counter(), Counter()
        self.again, self.seconds, self.bad_seconds, self.last, self.stop = 0, [], [], None, False
        body = json.dumps(asked["body"]).encode()
        host = self.address.netloc
        head = [f"POST {self.address.path} HTTP/1.1", f"host: {host}", "content-type: application/json"]
        head += [f"{name}: {value}" for name, value in asked.get("headers", {}).items()]
        head += [f"content-length: {len(body)}", f"connection: {'keep-alive' if asked.get('keep') else 'close'}"]
        self.request = ("\r\n".join(head) + "\r\n\r\n").encode() + body

    async def connection(self):
        streams = None
        while self.left > 0 and not self.stop:
            self.left -= 1
            began = time.monotonic()
            try:
                streams = await asyncio.wait_for(self.call(streams), SECONDS)
            except Exception as error:
                self.errors[f"{type(error).__name__}: {error}"[:120]] += 1
                self.bad_seconds.append(round(time.time(), 2))
                streams = None
            self.seconds.append(time.monotonic() - began)
            await asyncio.sleep(self.asked.get("pause", 0))
        if streams:
            streams[1].close()

    async def call(self, streams):
        kept = streams is not None
        if not kept:
            streams = await asyncio.open_connection(self.address.hostname, self.address.port or 80)
        try:
            status, content, close = await exchange(*streams, self.request)
        except ConnectionError:
            if not kept:
                raise
            self.again += 1
            streams = await asyncio.open_connection(self.address.hostname, self.address.port or 80)
            status, content, close = await exchange(*streams, self.request)
        self.statuses[str(status)] += 1
        if status == 200:
            self.last = json.loads(content)
            for answer in self.last.get("predictions", ()):
                self.models[answer.get("model_id")] += 1
        else:
            self.bad_seconds.append(round(time.time(), 2))
            self.errors[content.decode(errors="replace")[:120]] += 1
        if close or not self.asked.get("keep"):
            streams[1].close()
            return None
        return streams

    async def run(self):
        loop = asyncio.get_running_loop()
        connections = [asyncio.create_task(self.connection()) for _ in range(self.asked.get("connections", 1))]
        if not self.asked.get("calls"):
            print("calling", flush=True)
            await loop.run_in_executor(None, sys.stdin.read)
            self.stop = True
        await asyncio.gather(*connections)
        ordered = sorted(self.seconds)
        found = {"statuses": dict(self.statuses), "errors": dict(self.errors), "models": dict(self.models)}
        found |= {"sent_again": self.again, "calls": len(ordered), "last": self.last}
        found |= {"p50": ordered[len(ordered) // 2], "p99": ordered[int(len(ordered) * 0.99)], "slowest": ordered[-1]}
        if self.bad_seconds:
            found["bad_for"] = max(self.bad_seconds) - min(self.bad_seconds)
        print(json.dumps(found), flush=True)


asyncio.run(Caller(json.loads(sys.argv[1])).run())
