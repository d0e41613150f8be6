"""The guided tour: proves that a session can be opened, then says where to look.

Argument: the output of `status --json`.
"""

import base64
import json
import os
import socket
import struct
import sys
import time
import urllib.parse

from api import Api, Problem

WAIT_SECONDS = 20
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Terminal:
    """A client of the terminal's WebSocket: just enough to run a command (RFC 6455)."""

    def __init__(self, api, target_id, credential_id):
        address = urllib.parse.urlsplit(api.url)
        query = urllib.parse.urlencode({"credential_id": credential_id, "cols": 100, "rows": 30, "reason": "deploy/dev demo"})
        self.socket = socket.create_connection((address.hostname, address.port), timeout=WAIT_SECONDS)
        self.socket.sendall(
            (
                f"GET /api/ws/connect/ssh/{target_id}?{query} HTTP/1.1\r\nHost: {address.netloc}\r\n"
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n"
                f"Sec-WebSocket-Protocol: openpam.terminal.v1\r\nOrigin: {api.url}\r\n"
                f"Cookie: {api.cookie_header()}\r\n\r\n"
            ).encode()
        )
        self.received = b""
        head = self.read_until(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            body = self.received.decode(errors="replace")
            raise OSError(f"the terminal was refused: {head.splitlines()[0].decode()} {body}")

    def read_until(self, mark):
        while mark not in self.received:
            self.fill()
        head, self.received = self.received.split(mark, 1)
        return head

    def fill(self):
        chunk = self.socket.recv(65536)
        if not chunk:
            raise OSError("the hub closed the connection")
        self.received += chunk

    def take(self, count):
        while len(self.received) < count:
            self.fill()
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def receive(self):
        """The next frame: its kind and its content."""
        first, length = self.take(2)
        length &= 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self.take(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self.take(8))
        return first & 0x0F, self.take(length)

    def send(self, kind, content):
        mask = os.urandom(4)
        length = bytes([0x80 | len(content)]) if len(content) < 126 else b"\xfe" + struct.pack(">H", len(content))
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(content))
        self.socket.sendall(bytes([0x80 | kind]) + length + mask + masked)

    def run(self, command, expected):
        """Types a command as soon as the session is ready; its output once `expected` is in it."""
        deadline = time.monotonic() + WAIT_SECONDS
        output, session_id = b"", None
        while time.monotonic() < deadline:
            kind, content = self.receive()
            if kind == PING:
                self.send(PONG, content)
            elif kind == CLOSE:
                raise OSError(f"the hub closed the terminal: {content[2:].decode(errors='replace')}")
            elif kind == BINARY:
                output += content
                if expected in output:
                    return session_id, output.decode(errors="replace")
            elif kind == TEXT:
                message = json.loads(content)
                if message["type"] == "ready":
                    session_id = message["session_id"]
                    self.send(BINARY, command + b"\n")
                elif message["type"] in ("error", "exit"):
                    raise OSError(f"the terminal ended: {message}")
        raise OSError("the command's output did not come back in time")

    def disconnect(self):
        self.send(TEXT, b'{"type":"disconnect"}')
        self.socket.close()


def prove(facts):
    """Opens a terminal on every target as the plain user; a line for each."""
    user = next(user for user in facts["users"] if user["username"] == "user" and user["login"] == "local")
    api = Api(facts["url"])
    api.sign_in(user["username"], user["password"])
    lines = []
    for target in facts["targets"]:
        started = time.monotonic()
        size = {"credential_id": target["credential_id"], "cols": 100, "rows": 30, "reason": "deploy/dev demo"}
        api.call("POST", f"/targets/{target['id']}/preflight", size)
        terminal = Terminal(api, target["id"], target["credential_id"])
        # The quotes keep the echo of what was typed from looking like its output.
        session_id, _output = terminal.run(b"echo 'proof''-of-work' $(whoami)", b"proof-of-work openpam-")
        terminal.disconnect()
        lines.append(f"  {target['name']:<10} a command ran in {time.monotonic() - started:.2f} s, session {session_id}")
    api.call("POST", "/auth/logout")
    return lines


STORY = """
OpenPAM is at {url}

Proved just now, as “user” (no role, a member of the group “engineers”):
{proof}

1. Work. Sign in through the provider (“Entra ID”) as bob / {bob}.
   The launcher shows build-01 and db-01; press Ctrl-K, type “db”, press Enter.
   db-01 is a production machine: a certificate of two minutes opened it, no password exists.
   Reload the page in the middle of a command: the terminal continues where it was.
2. Look over a shoulder. In another browser sign in as olga / {olga} (operator): Sessions lists
   bob's terminal. End it: bob's tab says who ended it, within a second.
3. Prove it. Sign in as carol / {carol} (auditor): she sees every session and the audit entries
   of what just happened, and cannot change anything.
4. Administer. Sign in as alice / {alice} (admin through her group) or as the local admin /
   {admin}: add a target, scan its host key, test its credential. No page shows a secret.
5. Take a right away. dave / {dave} has no groups: he may sign in and sees no target.

deploy/dev status lists all logins; deploy/dev logs hub shows what the hub says about it.
"""


def main():
    """Proves, then tells."""
    with open(sys.argv[1], encoding="utf-8") as file:
        facts = json.load(file)
    try:
        proof = prove(facts)
    except (Problem, OSError) as error:
        sys.exit(f"deploy/dev: error: no session could be opened: {error}")
    passwords = {user["username"]: user["password"] for user in facts["users"]}
    print(STORY.format(url=facts["url"], proof="\n".join(proof), **passwords))


main()
