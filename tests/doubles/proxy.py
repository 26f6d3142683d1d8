"""A registry proxy: sends the modules it has in chunks to everybody, and says nothing about those it has not.

As the real one: chunks of 512,000 bytes before base64, numbered from 0, under the very name that was asked for; a
request for a name that is being sent is dropped. A `disturbance` turns the list of chunks of one request into what is
really published, so a test can lose, repeat, reorder or falsify some.
"""

import base64
import json
import queue
import threading

import link

CHUNK_BYTES = 512000


def chunks_of(name, module, chunk_bytes=CHUNK_BYTES):
    parts = [module[at:at + chunk_bytes] for at in range(0, len(module), chunk_bytes)] or [b""]
    return [{"app_name": name, "chunk_idx": index, "total_chunks": len(parts),
             "data": base64.b64encode(part).decode()} for index, part in enumerate(parts)]


class Proxy:
    def __init__(self, port, base, modules, *, qos=2, chunk_bytes=CHUNK_BYTES,
                 disturbance=lambda request, chunks: chunks):
        self.modules, self.chunk_bytes, self.disturbance = modules, chunk_bytes, disturbance
        self.requests, self.in_flight, self.last_chunk = [], set(), None  # names; names; time
        self.lock, self.queue = threading.Lock(), queue.Queue()
        self.link = link.Link(port, base, ["registry/proplet"], self.heard, qos=qos)
        self.thread = threading.Thread(target=self.send, daemon=True)
        self.thread.start()

    def heard(self, heard):
        name = json.loads(heard.payload)["app_name"]
        with self.lock:
            self.requests.append((heard.arrived, name))
            if name in self.in_flight or name not in self.modules:
                return
            self.in_flight.add(name)
        self.queue.put(name)

    def send(self):
        while (name := self.queue.get()) is not None:
            asked = sum(1 for _, request in self.requests if request == name)
            for chunk in self.disturbance(asked, chunks_of(name, self.modules[name], self.chunk_bytes)):
                self.publish(chunk)
            with self.lock:
                self.in_flight.discard(name)

    def publish(self, chunk):
        self.link.publish("registry/server", chunk, wait=True)

    def asked_for(self, name):
        with self.lock:
            return sum(1 for _, request in self.requests if request == name)

    def close(self):
        self.link.close()
        self.queue.put(None)
        self.thread.join()
