"""A TCP link that is slow, stalls or is cut: a proxy in front of a broker, without root or network namespaces.

To the peers of a TCP connection a lost segment is a pause of about one retransmission time-out, so that is what a loss is
here: the chunk, and all that is behind it in the same direction, waits.
"""

import random
import socket
import threading
import time


class Link:
    def __init__(self, target_port, delay=0.0, loss=0.0, retransmission=0.2, seed=1):
        self.target_port, self.delay, self.loss, self.retransmission = target_port, delay, loss, retransmission
        self.random = random.Random(seed)
        self.connections, self.stalls, self.sockets = 0, 0, []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.cut()

    def cut(self):
        """Resets every connection."""
        for one in self.sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.sockets.clear()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
            except OSError:
                near.close()
                continue
            self.connections += 1
            for one in (near, far):
                one.settimeout(None)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets += [near, far]
            for source, sink in ((near, far), (far, near)):
                chunks = []
                ready = threading.Condition()
                threading.Thread(target=self.read, args=(source, chunks, ready), daemon=True).start()
                threading.Thread(target=self.write, args=(sink, chunks, ready), daemon=True).start()

    def read(self, source, chunks, ready):
        while True:
            try:
                chunk = source.recv(1448)  # a segment's worth, so that loss is per segment
            except OSError:
                chunk = b""
            with ready:
                chunks.append((time.monotonic() + self.delay, chunk))
                ready.notify()
            if not chunk:
                return

    def write(self, sink, chunks, ready):
        while True:
            with ready:
                ready.wait_for(lambda: chunks)
                due, chunk = chunks.pop(0)
            if self.random.random() < self.loss:
                self.stalls += 1
                due += self.retransmission
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                if not chunk:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(chunk)
            except OSError:
                return
