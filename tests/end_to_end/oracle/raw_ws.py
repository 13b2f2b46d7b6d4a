"""A minimal WebSocket client (RFC 6455) over a plain socket, for tests that must see exactly what the server sends.

    with raw_ws.connect("ws://127.0.0.1:8877/") as client:
        client.send({"type": "subscribe", "view": "TokenMint/list"})
        for message in client.messages(deadline_seconds=30):
            ...

Reading happens only inside `message` and `messages`: a client that does not call them is a slow reader, and
`pause_reading` with a small `receive_buffer_bytes` makes the server's socket fill soon. Pings that come in are
answered while reading.
"""

import base64
import hashlib
import json
import os
import socket
import struct
import time
from urllib.parse import urlsplit

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
DEADLINE_SECONDS = 120  # a server that answers later than that does not answer
NO_CLOSE_FRAME = 1006  # RFC 6455 §7.1.5: the connection ended without a Close frame


class Closed(Exception):
    """The server ended the connection; `code` is its close code, 1006 when it sent no Close frame."""

    def __init__(self, code, reason=""):
        super().__init__(f"closed with {code} {reason}".strip())
        self.code = code
        self.reason = reason


class Refused(Exception):
    """The server answered the upgrade with something else; `status`, `headers` (lower-case names), `body`."""

    def __init__(self, status, headers, body):
        super().__init__(f"HTTP {status}: {body[:200]!r}")
        self.status = status
        self.headers = headers
        self.body = body


class ProtocolError(Exception):
    """The server broke RFC 6455."""


def accept_key(key):
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


def masked(payload, mask):
    whole = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(len(payload), "big")


def encode_frame(opcode, payload, mask=None, fin=True):
    """The wire bytes of one frame; clients must give a mask of 4 bytes, servers none."""
    head = bytes([(0x80 if fin else 0) | opcode])
    flag, size = (0x80 if mask else 0), len(payload)
    if size < 126:
        head += bytes([flag | size])
    elif size < 1 << 16:
        head += bytes([flag | 126]) + struct.pack(">H", size)
    else:
        head += bytes([flag | 127]) + struct.pack(">Q", size)
    return head + (mask + masked(payload, mask) if mask else payload)


class FrameReader:
    """Cuts frames out of the bytes given to it; of either side, masks are taken off."""

    def __init__(self, data=b"", from_client=False):
        self.data = bytearray(data)
        self.from_client = from_client

    def next(self):
        """(fin, opcode, payload), or None while the frame is not whole."""
        data = self.data
        if len(data) < 2:
            return None
        if data[0] & 0x70:
            raise ProtocolError("a reserved bit is set")
        size, at = data[1] & 0x7F, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(data) < at + width:
                return None
            size = int.from_bytes(data[at : at + width], "big")
            at += width
        has_mask = bool(data[1] & 0x80)
        if has_mask != self.from_client:
            raise ProtocolError("a frame of a client without mask, or of a server with one (RFC 6455 §5.1)")
        mask = bytes(data[at : at + 4]) if has_mask else b""
        at += len(mask)
        if len(data) < at + size:
            return None
        payload = bytes(data[at : at + size])
        fin, opcode = bool(data[0] & 0x80), data[0] & 0x0F
        if opcode >= CLOSE and (size > 125 or not fin):
            raise ProtocolError("a control frame is cut or longer than 125 bytes (RFC 6455 §5.5)")
        del data[: at + size]
        return fin, opcode, masked(payload, mask) if has_mask else payload


class Client:
    """One connection. Thread: one. Owns: the socket. Errors: Closed, TimeoutError, ProtocolError from reading."""

    def __init__(self, sock, rest):
        self.sock = sock
        self.reader = FrameReader(rest)
        self.parts = []  # payloads of a message whose last frame has not come
        self.first_opcode = None
        self.pongs = []  # payloads of pongs received
        self.pings = 0  # pings received and answered
        self.closed = None  # Closed, once the connection has ended

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, message):
        """Sends a value as JSON, or text as it is."""
        text = message if isinstance(message, str) else json.dumps(message)
        self.send_frame(TEXT, text.encode())

    def send_frame(self, opcode, payload=b"", fin=True):
        self.sock.sendall(encode_frame(opcode, payload, os.urandom(4), fin))

    def ping(self, payload=b""):
        self.send_frame(PING, payload)

    def close(self, code=1000, reason="", deadline_seconds=DEADLINE_SECONDS):
        """Starts the closing handshake and reads on to its end; returns the code that the server echoed."""
        self.send_frame(CLOSE, struct.pack(">H", code) + reason.encode())
        return self.close_code(deadline_seconds)

    def close_code(self, deadline_seconds=DEADLINE_SECONDS):
        """Reads until the server closes, dropping what comes before; returns the code."""
        try:
            for _ in self.messages(deadline_seconds):
                pass
        except Closed as closed:
            return closed.code
        raise TimeoutError(f"the server did not close within {deadline_seconds} s")

    def pause_reading(self, seconds):
        """A slow reader: takes nothing from the socket for a while."""
        time.sleep(seconds)

    def messages(self, deadline_seconds):
        """Every message that comes before the deadline, parsed; ends at the deadline."""
        end = time.monotonic() + deadline_seconds
        while True:
            try:
                yield json.loads(self.message(end - time.monotonic()))
            except TimeoutError:
                return

    def message(self, deadline_seconds=DEADLINE_SECONDS):
        """The next data message: text of a text message, bytes of a binary one."""
        end = time.monotonic() + deadline_seconds
        while True:
            if self.closed:
                raise self.closed
            frame = self.reader.next()
            if frame is None:
                self.receive(end)
                continue
            message = self.take(*frame)
            if message is not None:
                return message

    def receive(self, end):
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError("no message before the deadline")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionError as error:
            self.closed = Closed(NO_CLOSE_FRAME, str(error))
            return
        if data:
            self.reader.data += data
        else:
            self.closed = Closed(NO_CLOSE_FRAME)

    def take(self, fin, opcode, payload):
        """One frame in; returns a message when it is whole."""
        if opcode == PING:
            self.pings += 1
            self.send_frame(PONG, payload)
        elif opcode == PONG:
            self.pongs.append(payload)
        elif opcode == CLOSE:
            code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
            self.closed = Closed(code, payload[2:].decode())
        elif opcode in (CONTINUATION, TEXT, BINARY):
            if (opcode == CONTINUATION) != bool(self.first_opcode):
                raise ProtocolError("a fragment without a beginning, or a message inside another (RFC 6455 §5.4)")
            self.first_opcode = self.first_opcode or opcode
            self.parts.append(payload)
            if fin:
                whole, kind = b"".join(self.parts), self.first_opcode
                self.parts, self.first_opcode = [], None
                return whole.decode() if kind == TEXT else whole
        else:
            raise ProtocolError(f"opcode {opcode}")
        return None


def read_head(sock):
    """Reads an HTTP head; returns (first line, headers by lower-case name, bytes that came after it)."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(4096)
        if not more:
            raise Closed(NO_CLOSE_FRAME, "in the HTTP head")
        data += more
    head, rest = data.split(b"\r\n\r\n", 1)
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return first, headers, rest


def connect(url, headers=None, receive_buffer_bytes=None, deadline_seconds=DEADLINE_SECONDS):
    """Opens a connection and does the handshake; raises Refused when the server answers anything but 101."""
    parts = urlsplit(url)
    sock = socket.socket(socket.AF_INET6 if ":" in parts.hostname else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if receive_buffer_bytes:
            # It must be set before the connection is made: the window is announced in the first segment.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        sock.settimeout(deadline_seconds)
        sock.connect((parts.hostname, parts.port))
        key = base64.b64encode(os.urandom(16)).decode()
        path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        lines = {"Host": parts.netloc, "Upgrade": "websocket", "Connection": "Upgrade"}
        lines.update({"Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13", **(headers or {})})
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        sock.sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        first, answered, rest = read_head(sock)
        status = int(first.split()[1])
        if status != 101:
            raise Refused(status, answered, read_body(sock, answered, rest))
        if answered.get("sec-websocket-accept") != accept_key(key):
            raise ProtocolError("Sec-WebSocket-Accept does not answer the key")
        return Client(sock, rest)
    except BaseException:
        sock.close()
        raise


def read_body(sock, headers, rest):
    """The body of a refusal: Content-Length bytes, or all there is until the server closes."""
    size = int(headers["content-length"]) if "content-length" in headers else None
    while size is None or len(rest) < size:
        more = sock.recv(4096)
        if not more:
            break
        rest += more
    return rest
