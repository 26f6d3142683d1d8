"""One MQTT connection of a double, and the channel's second voice: whatever a double hears is a Heard."""

import dataclasses
import json
import socket
import threading
import time

import paho.mqtt.client as mqtt


@dataclasses.dataclass
class Heard:
    topic: str  # below the base topic
    payload: bytes
    qos: int
    retain: bool
    arrived: float


class Link:
    """Clean session, one handler, called on the connection's own thread. Ready when the constructor returns."""

    def __init__(self, port, base, topics, handler, *, qos=2, client_id="", will=None):
        self.base, self.qos = base, qos
        self.client = mqtt.Client(client_id=client_id, clean_session=True)
        if will:
            topic, message = will
            self.client.will_set(f"{base}/{topic}", json.dumps(message), 0, False)
        self.client.on_message = lambda client, data, message: handler(
            Heard(message.topic[len(base) + 1:], message.payload, message.qos, bool(message.retain), time.monotonic()))
        ready = threading.Event()
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.on_connect = lambda client, *_: client.subscribe([(f"{base}/{topic}", qos) for topic in topics])
        self.client.connect("127.0.0.1", port)
        self.client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client.loop_start()
        if not ready.wait(20):
            raise TimeoutError("the broker did not take the subscription")

    def publish(self, topic, message, wait=False):
        payload = message if isinstance(message, (bytes, str)) else json.dumps(message)
        sent = self.client.publish(f"{self.base}/{topic}", payload, self.qos)
        if wait:
            sent.wait_for_publish(30)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()
