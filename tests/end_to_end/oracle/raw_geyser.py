"""A Yellowstone server over plain sockets that says exactly what a test wants, also what no gRPC library would say.

    server = RawGeyser(script)          # script(call) runs for each Subscribe, in a thread of its own
    …
    call.send(message)                  # one SubscribeUpdate, or bytes that are none
    call.raw(data)                      # bytes inside of the stream that are no gRPC message
    call.end(16, "No valid auth token") # trailers: a gRPC status code and its text
    call.hang()                         # says nothing until the client goes away

It speaks as much HTTP/2 (RFC 9113) as one client needs: no header of the client is read. A request whose message is empty (GetVersion,
SubscribeReplayInfo) is answered with UNIMPLEMENTED, any other is a Subscribe.
"""

import select
import socket
import struct
import threading
import urllib.parse

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 §3.4
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8  # §6
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
INITIAL_WINDOW_SIZE = 4  # §6.5.2
WINDOW_BYTES = 65535  # §6.9.2: of a connection and of a stream, until the client says otherwise
FRAME_BYTES_MAX = 16384
UNIMPLEMENTED = 12
ALL_PEERS_GONE = (ConnectionError, TimeoutError, OSError)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def header(name, value):
    """A literal without indexing and without Huffman (RFC 7541 §6.2.2); both texts are shorter than 127 bytes or cut."""
    name, value = name.encode(), value.encode()[:126]
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def trailers(code, text):
    return header("grpc-status", str(code)) + header("grpc-message", urllib.parse.quote(text, safe=" :!,.()"))


RESPONSE = b"\x88" + header("content-type", "application/grpc")  # 0x88 = ":status: 200" (RFC 7541, Appendix A)

METHOD_NOT_ALLOWED = b"\x48\x03405"  # ":status: 405": 0x48 = a literal whose name is entry 8, ":status" (§6.2.1)


class Gone(Exception):
    """The client has left, or has cancelled the call."""


class Call:
    """One Subscribe, seen from the server. Thread: the script's."""

    def __init__(self, connection, stream):
        self.connection = connection
        self.stream = stream
        self.window = connection.initial_window
        self.cancelled = False

    def send(self, message):
        self.raw(struct.pack(">BI", 0, len(message)) + message)

    def raw(self, data):
        rest = memoryview(data)  # what is left of a large message is not to be copied for each frame
        while rest:
            size = self.connection.take_window(self, min(len(rest), FRAME_BYTES_MAX))
            self.connection.write(frame(DATA, 0, self.stream, rest[:size]))
            rest = rest[size:]

    def end(self, code, text=""):
        self.connection.write(frame(HEADERS, END_HEADERS | END_STREAM, self.stream, trailers(code, text)))

    def hang(self):
        with self.connection.changed:
            self.connection.changed.wait_for(lambda: self.cancelled or self.connection.gone)

    def cut(self):
        """Ends the TCP connection in the middle of whatever is under way."""
        self.connection.sock.shutdown(socket.SHUT_RDWR)


class Connection:
    """One HTTP/2 connection. Threads: its own reads, those of the calls write."""

    def __init__(self, server, sock):
        self.server, self.sock = server, sock
        self.lock = threading.Lock()  # of writes
        self.changed = threading.Condition()  # guards the rest
        self.initial_window = self.window = WINDOW_BYTES
        self.calls = {}
        self.gone = False

    def run(self):
        try:
            if self.read(len(PREFACE)) == PREFACE:
                self.write(frame(SETTINGS, 0, 0))
                while True:
                    self.take(*self.read_frame())
        except (Gone, *ALL_PEERS_GONE):
            pass
        finally:
            with self.changed:
                self.gone = True
                self.changed.notify_all()
            self.sock.close()

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            if not more:
                raise ConnectionError("closed")
            data += more
        return data

    def read_frame(self):
        head = self.read(9)
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        return kind, flags, stream, self.read(int.from_bytes(head[:3], "big"))

    def write(self, data):
        try:
            with self.lock:
                self.sock.sendall(data)
        except ALL_PEERS_GONE as error:
            raise Gone from error

    def take(self, kind, flags, stream, payload):
        if kind == PING and not flags & ACK:
            self.write(frame(PING, ACK, 0, payload))
        elif kind == SETTINGS and not flags & ACK:
            self.take_settings(payload)
            self.write(frame(SETTINGS, ACK, 0))
        elif kind == HEADERS:
            self.calls[stream] = None  # until its message comes
        elif kind == DATA and len(payload) >= 5 and stream in self.calls and self.calls[stream] is None:
            self.begin(stream, payload)
        elif kind in (RST_STREAM, WINDOW_UPDATE):
            with self.changed:
                call = self.calls.get(stream)
                if kind == WINDOW_UPDATE:
                    target = call if stream else self
                    if target is not None:
                        target.window += struct.unpack(">I", payload)[0]
                elif call is not None:
                    call.cancelled = True
                self.changed.notify_all()

    def take_settings(self, payload):
        with self.changed:
            for at in range(0, len(payload), 6):
                key, value = struct.unpack(">HI", payload[at : at + 6])
                if key == INITIAL_WINDOW_SIZE:
                    for call in filter(None, self.calls.values()):
                        call.window += value - self.initial_window
                    self.initial_window = value
            self.changed.notify_all()

    def begin(self, stream, payload):
        if struct.unpack(">I", payload[1:5])[0] == 0:
            del self.calls[stream]
            return self.write(frame(HEADERS, END_HEADERS | END_STREAM, stream, RESPONSE + trailers(UNIMPLEMENTED, "method disabled")))
        call = self.calls[stream] = Call(self, stream)
        self.write(frame(HEADERS, END_HEADERS, stream, RESPONSE))
        threading.Thread(target=self.server.run_script, args=(call,), daemon=True).start()

    def take_window(self, call, wanted):
        """So many bytes as both windows allow, at least one, at most `wanted`; waits for them."""
        with self.changed:
            self.changed.wait_for(lambda: self.gone or call.cancelled or min(self.window, call.window) > 0)
            if self.gone or call.cancelled:
                raise Gone
            size = min(wanted, self.window, call.window)
            self.window -= size
            call.window -= size
            return size


class Listener:
    """Listens on a free port of 127.0.0.1 and runs serve(socket) for each connection in a thread of its own."""

    def __init__(self):
        self.connections = 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def close(self):
        # A thread that waits in accept is woken by shutdown, not by close.
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()


class Page(Connection):
    """Answers every request as a web server does that has no such page: over HTTP/2, without a word of gRPC."""

    def begin(self, stream, payload):
        self.write(frame(HEADERS, END_HEADERS | END_STREAM, stream, METHOD_NOT_ALLOWED + header("content-type", "text/html")))


class WebServer(Listener):
    def serve(self, sock):
        Page(self, sock).run()


class RawServer(Listener):
    """Runs script(socket), then closes: for what comes before HTTP/2."""

    def __init__(self, script):
        self.script = script
        super().__init__()

    def serve(self, sock):
        with sock:
            try:
                self.script(sock)
            except ALL_PEERS_GONE:
                pass


class Front(Listener):
    """Hands what comes on to another port of this machine, both ways; the first `refused` connections are closed at once."""

    def __init__(self, port, refused=0):
        self.target, self.refused = port, refused
        super().__init__()

    def serve(self, sock):
        with sock:
            try:
                if self.connections > self.refused:
                    with self.open(sock) as outer, socket.create_connection(("127.0.0.1", self.target)) as inner:
                        self.join(outer, inner)
            except ALL_PEERS_GONE:
                pass

    def open(self, sock):
        return sock

    @staticmethod
    def pending(_):
        return False

    def join(self, outer, inner):
        """Until one of them ends. One thread: an SSL socket is not to be read and written at the same time."""
        while True:
            ready = [outer] if self.pending(outer) else select.select([outer, inner], [], [])[0]
            for source, sink in ((outer, inner), (inner, outer)):
                if source in ready:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    sink.sendall(data)


class RawGeyser(Listener):
    """Runs script(call) for each Subscribe; a list of scripts is one for each, the last one for all later ones."""

    def __init__(self, scripts):
        self.scripts = scripts if isinstance(scripts, list) else [scripts]
        self.lock = threading.Lock()
        self.subscribes = 0
        super().__init__()

    def serve(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Connection(self, sock).run()

    def run_script(self, call):
        with self.lock:
            script = self.scripts[min(self.subscribes, len(self.scripts) - 1)]
            self.subscribes += 1
        try:
            script(call)
        except Gone:
            pass
