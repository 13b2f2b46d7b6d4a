"""A tiny WebSocket server in this process, for tests of the clients: a script says what each connection does."""

import json
import socket
import struct
import threading

import raw_ws


class Connection:
    """The server's end of one connection, as a script sees it."""

    def __init__(self, sock, head, rest):
        self.sock = sock
        self.head = head
        self.reader = raw_ws.FrameReader(rest, from_client=True)

    def frame(self):
        """The next (fin, opcode, payload) of the client, None when it is gone."""
        while True:
            frame = self.reader.next()
            if frame is not None:
                return frame
            data = self.sock.recv(1 << 16)
            if not data:
                return None
            self.reader.data += data

    def request(self):
        """The next JSON message of the client that is no ping, None when it has closed or gone."""
        while True:
            frame = self.frame()
            if frame is None or frame[1] == raw_ws.CLOSE:
                return None
            if frame[1] == raw_ws.TEXT and json.loads(frame[2]) != {"type": "ping"}:
                return json.loads(frame[2])

    def send(self, message):
        self.send_frame(raw_ws.TEXT, json.dumps(message).encode())

    def send_frame(self, opcode, payload=b"", fin=True):
        self.sock.sendall(raw_ws.encode_frame(opcode, payload, fin=fin))

    def close(self, code, reason=""):
        self.send_frame(raw_ws.CLOSE, struct.pack(">H", code) + reason.encode())


class FakeServer:
    """Listens on a free port of 127.0.0.1 and runs `script(connection)` for each connection in a thread of its own.

    A script that raises is reported by `__exit__`, so that a test cannot pass over it.
    """

    def __init__(self, script):
        self.script = script
        self.errors = []
        self.threads = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self.listener.getsockname()[1]}/"

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, kind, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(30)
        if self.errors and kind is None:
            raise self.errors[0]

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self.serve, args=(sock,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def serve(self, sock):
        with sock:
            try:
                first, headers, rest = raw_ws.read_head(sock)
                if "sec-websocket-key" not in headers:
                    raise raw_ws.ProtocolError(f"no WebSocket handshake: {first}")
                accept = raw_ws.accept_key(headers["sec-websocket-key"])
                answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                sock.sendall((answer + f"Sec-WebSocket-Accept: {accept}\r\n\r\n").encode())
                self.script(Connection(sock, (first, headers), rest))
            except Exception as error:  # Any failure of a script belongs to the test that wrote it.
                self.errors.append(error)
