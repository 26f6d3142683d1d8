"""A scripted proxy: answers requests for images with chunks on the channel, as the Propeller proxy does, or as it should not."""

import base64
import collections
import json
import queue
import socket
import threading
import time
import uuid

import paho.mqtt.client as mqtt

import stack as s

WINDOW = 20  # messages
CHUNK_BYTES = 512000  # the Propeller proxy's own default


def split(content, size=CHUNK_BYTES):
    return [content[at : at + size] for at in range(0, len(content), size)]


def message(name, index, total, data):
    """One chunk as the proxy writes it: members in this order, no white space."""
    return json.dumps({"app_name": name, "chunk_idx": index, "total_chunks": total, "data": base64.b64encode(data).decode()},
                      separators=(",", ":"))


class Proxy:
    """`images` maps names to contents. `answer(name)` decides what a request causes; by default the image in order. Like
    the real one it answers on a thread of its own, one request after another."""

    def __init__(self, port, images=None, answer=None, qos=2):
        self.images, self.qos, self.topic = dict(images or {}), qos, "registry/server"
        self.answer = answer or self.deliver
        self.requests = []  # (time, name)
        self.asked = queue.Queue()
        self.last_chunk_sent = 0.0
        self.under_way = collections.deque()
        self.client = mqtt.Client(client_id=f"proxy-{uuid.uuid4()}")
        self.client.max_inflight_messages_set(100)
        subscribed = queue.Queue()
        self.client.on_subscribe = lambda *_: subscribed.put(True)
        self.client.on_connect = lambda client, *_: client.subscribe(f"{s.BASE}/registry/proplet", 2)
        self.client.on_message = self.on_message
        self.client.connect("127.0.0.1", port)
        self.client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client.loop_start()
        subscribed.get(timeout=10)
        threading.Thread(target=self.serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.asked.put(None)
        self.client.disconnect()
        self.client.loop_stop()

    def on_message(self, _client, _data, incoming):
        request = json.loads(incoming.payload)
        assert set(request) == {"app_name"}, request
        self.requests.append((time.monotonic(), request["app_name"]))
        self.asked.put(request["app_name"])

    def serve(self):
        while (name := self.asked.get()) is not None:
            self.answer(name)

    def names(self):
        return [name for _, name in self.requests]

    def send(self, name, index, total, data):
        self.publish(message(name, index, total, data))

    def publish(self, payload):
        # The client loses its connection when hundreds of large messages wait in it.
        if len(self.under_way) == WINDOW:
            self.under_way.popleft().wait_for_publish(20)
        self.under_way.append(self.client.publish(f"{s.BASE}/{self.topic}", payload, self.qos))
        self.last_chunk_sent = time.monotonic()

    def deliver(self, name, left_out=(), size=CHUNK_BYTES, order=lambda indices: indices):
        """Says nothing about images it does not have, as the real one."""
        if name not in self.images:
            return
        chunks = split(self.images[name], size)
        for index in order(list(range(len(chunks)))):
            if index not in left_out:
                self.send(name, index, len(chunks), chunks[index])
