"""Reads and verifies a ledger bundle, from FORMAT.md alone and with the standard library only.

    reader.py BUNDLE KEYS

KEYS has verifier keys, one a line. Prints what it finds; ends with 1 and the reason at the first thing that
is wrong. A second implementation for the tests of the first: simple rather than fast.
"""

import base64
import hashlib
import hmac
import re
import sys
import uuid


class Refused(Exception):
    pass


def need(holds, why):
    if not holds:
        raise Refused(why)


# Ed25519, RFC 8032 section 5.1.

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def x_of(y, sign):
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        return None
    return P - x if x & 1 != sign else x


def add(one, other):
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(scalar, point):
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def decompress(data):
    y = int.from_bytes(data, "little")
    sign = y >> 255
    y &= (1 << 255) - 1
    x = x_of(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = x_of(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def ed25519(public, message, signature):
    if len(signature) != 64:
        return False
    a, r = decompress(public), decompress(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    left, right = times(s, BASE), add(r, times(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


# Fields.


class Bytes:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        need(self.at + length <= len(self.data), "too short")
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self, length):
        return int.from_bytes(self.take(length), "big")

    def hashes(self):
        count = self.number(1)
        need(count <= 64, "more hashes than a proof has")
        return [self.take(32) for _ in range(count)]

    def rest(self):
        return self.take(len(self.data) - self.at)

    def is_empty(self):
        return self.at == len(self.data)


def utf8(data):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("not UTF-8") from None


def b64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused("not base64") from None
    need(base64.b64encode(data).decode() == text, "another form of base64")
    return data


# Trees.


def sha256(data):
    return hashlib.sha256(data).digest()


def leaf(data):
    return sha256(b"\0" + data)


def node(left, right):
    return sha256(b"\1" + left + right)


def cover(first, end):
    """The sizes of the fewest perfect, aligned subtrees."""
    sizes = []
    while first < end:
        size = 1
        while first % (2 * size) == 0 and first + 2 * size <= end:
            size *= 2
        sizes.append(size)
        first += size
    return sizes


class Tree:
    """A list of perfect subtrees, of which neighbours of one size are joined."""

    def __init__(self):
        self.parts = []

    def push(self, size, root):
        while self.parts and self.parts[-1][0] == size:
            size, root = 2 * size, node(self.parts.pop()[1], root)
        self.parts.append((size, root))

    def root(self):
        if not self.parts:
            return sha256(b"")
        root = self.parts[-1][1]
        for _, left in reversed(self.parts[:-1]):
            root = node(left, root)
        return root


def split(size):
    half = 1
    while 2 * half < size:
        half *= 2
    return half


def root_by_inclusion(hash_, index, size, proof):
    """RFC 6962 section 2.1.1, from the top down."""
    if size == 1:
        need(not proof, "the inclusion proof is too long")
        return hash_
    need(proof, "the inclusion proof is too short")
    half = split(size)
    if index < half:
        return node(root_by_inclusion(hash_, index, half, proof[:-1]), proof[-1])
    return node(proof[-1], root_by_inclusion(hash_, index - half, size - half, proof[:-1]))


def roots_by_consistency(old, size, proof, old_root, whole=True):
    """RFC 6962 section 2.1.2: the roots of the old tree and of the new one."""
    if old == size:
        if whole:
            need(not proof, "the consistency proof is too long")
            return old_root, old_root
        need(len(proof) == 1, "the consistency proof has another length")
        return proof[0], proof[0]
    need(proof, "the consistency proof is too short")
    half = split(size)
    if old <= half:
        one, other = roots_by_consistency(old, half, proof[:-1], old_root, whole)
        return one, node(other, proof[-1])
    one, other = roots_by_consistency(old - half, size - half, proof[:-1], old_root, False)
    return node(proof[-1], one), node(proof[-1], other)


def check_consistency(one, other, proof):
    (old, old_root), (new, new_root) = sorted([one, other], key=lambda head: head[0])
    if old == 0:
        need(not proof and old_root == sha256(b""), "the empty tree")
        return
    roots = roots_by_consistency(old, new, proof, old_root)
    need(roots == (old_root, new_root), "a checkpoint is of another history")


# Notes.


def read_key(line):
    name, key_id, encoded = line.split("+", 2)
    data = b64(encoded)
    need(sha256(name.encode() + b"\n" + data)[:4].hex() == key_id, "the key's id")
    need(data[0] in (1, 4) and len(data) == 33, "the key's type")
    return name, bytes.fromhex(key_id), data[0], data[1:]


def open_note(data, origin, keys):
    """The head, and the witnesses with their times."""
    need(len(data) <= 128 << 10, "the note is too large")
    whole = utf8(data)
    need(not re.search("[\x00-\x09\x0b-\x1f]", whole), "control characters")
    at = whole.rfind("\n\n")
    need(at >= 0 and whole.endswith("\n"), "no signatures")
    text, lines = whole[: at + 1], whole[at + 2 : -1].split("\n")
    need(1 <= len(lines) <= 32, "the number of signatures")
    seen, log_signed, witnesses = set(), False, []
    for line in lines:
        match = re.fullmatch(r"— ([^\s+]+) (\S+)", line)
        need(match, "a signature line")
        name, signature = match[1], b64(match[2])
        need(len(signature) > 4 and (name, signature[:4]) not in seen, "a signature line")
        seen.add((name, signature[:4]))
        for key_name, key_id, kind, public in keys:
            if (key_name, key_id) != (name, signature[:4]):
                continue
            message, own = text.encode(), signature[4:]
            if kind == 4:
                time = int.from_bytes(own[:8], "big")
                need(time < 2**63, "the witness's time")
                message, own = f"cosignature/v1\ntime {time}\n".encode() + message, own[8:]
                witnesses.append((name, time))
            need(ed25519(public, message, own), f"the signature by {name}")
            log_signed = log_signed or (kind == 1 and name == origin)
    need(log_signed, "no trusted key has signed")
    lines = text[:-1].split("\n")
    need(len(lines) >= 3 and all(lines) and lines[0] == origin, "the checkpoint is of another log")
    need(re.fullmatch("0|[1-9][0-9]*", lines[1]) and int(lines[1]) < 2**63, "the tree's size")
    root = b64(lines[2])
    need(len(root) == 32, "the root")
    return text, (int(lines[1]), root), witnesses


# Entries.

KINDS = {1: "event", 2: "row_change"}
OUTCOMES = {1: "success", 2: "denied", 3: "failure"}
ACTORS = {1: "user", 2: "service_account", 3: "system", 4: "anonymous", 5: "database"}
FIELDS = {
    1: "actor_name",
    2: "object_name",
    3: "client_address",
    4: "detail",
    5: "before_image",
    6: "after_image",
    7: "database_user",
}
NAME = "[a-z_][a-z0-9_]*"


def read_entry(data):
    fields = Bytes(data)
    need(fields.take(8) == b"OPAMENT\0" and fields.number(2) == 1, "not an entry")
    kind, outcome, actor_kind, count = fields.take(4)
    need(kind in KINDS and outcome in OUTCOMES and actor_kind in ACTORS, "the entry's kind, outcome or actor")
    need(kind == 1 or outcome == 1, "a row change that did not succeed")
    entry = {"kind": KINDS[kind], "outcome": OUTCOMES[outcome], "actor_kind": ACTORS[actor_kind]}
    entry["seq"] = fields.number(8)
    entry["tenant"], entry["event"] = (uuid.UUID(bytes=fields.take(16)) for _ in range(2))
    entry["time"] = fields.number(8)
    need(entry["seq"] < 2**63 - 1 and entry["time"] < 2**63, "the entry's seq or time")
    actor = fields.take(16)
    entry["actor"] = str(uuid.UUID(bytes=actor)) if any(actor) else "-"
    for name, limit in [("action", 128), ("object_kind", 128), ("object_id", 1024), ("request", 256)]:
        text = fields.take(fields.number(2))
        need(len(text) <= limit, f"the entry's {name}")
        entry[name] = utf8(text)
    need(re.fullmatch(rf"{NAME}(\.{NAME})+", entry["action"]), "the entry's action")
    if entry["object_kind"]:
        need(re.fullmatch(NAME, entry["object_kind"]), "the entry's object")
    else:
        need(not entry["object_id"], "the entry's object")
    digests = [(fields.number(1), fields.take(32)) for _ in range(count)]
    numbers = [number for number, _ in digests]
    need(numbers == sorted(set(numbers)) and set(numbers) <= set(FIELDS), "the entry's digests")
    need(fields.is_empty(), "bytes behind the entry")
    entry["digests"] = dict(digests)
    return entry


def show(entry, contents):
    has_object = entry["object_kind"] or entry["object_id"]
    return " ".join(
        [
            str(entry["seq"]),
            str(entry["event"]),
            str(entry["time"]),
            entry["kind"],
            entry["actor_kind"],
            entry["actor"],
            entry["action"],
            entry["outcome"],
            f"{entry['object_kind']}:{entry['object_id']}" if has_object else "-",
            entry["request"] or "-",
            ",".join(FIELDS[number] for number in entry["digests"]),
            ",".join(f"{FIELDS[number]}={utf8(content)}" for number, content in contents),
        ]
    )


# The bundle.


def read_sections(data):
    fields = Bytes(data)
    need(fields.take(8) == b"OPAMBDL\0" and fields.number(2) == 1, "not a bundle")
    sections, heads, last = [], b"", b""
    while True:
        start = fields.at
        length = fields.number(1)
        if length == 0:
            break
        name = fields.take(length)
        need(length <= 100 and re.fullmatch(rb"[a-z0-9_-][a-z0-9._-]*(/[a-z0-9_-][a-z0-9._-]*)*", name), "a name")
        need(name > last, "the order of sections")
        last, size, digest = name, fields.number(4), fields.take(32)
        need(size <= 8 << 20, "the size of a section")
        heads += data[start : fields.at]
        body = fields.take(size)
        need(sha256(body) == digest, "a section's hash")
        sections.append((name.decode(), body))
    need(fields.number(4) == len(sections) and fields.take(32) == sha256(heads), "the list of sections")
    need(fields.is_empty(), "bytes behind the bundle")
    return sections


class Reader:
    def __init__(self, keys):
        self.keys, self.heads, self.range = keys, {}, None
        self.lines, self.contents, self.withheld, self.system = [], 0, 0, None

    def section(self, name, body):
        parts = name.split("/")
        if parts == ["ledger", "about"]:
            lines = utf8(body).split("\n")
            need(len(lines) == 4 and lines[0] == "OpenPAM ledger 1" and not lines[3], "ledger/about")
            self.name, self.tenant = lines[1], uuid.UUID(lines[2])
            need(str(self.tenant) == lines[2], "ledger/about")
        elif parts == ["ledger", "checkpoint"]:
            self.text, self.head, self.witnesses = self.open(body)
            self.heads = {self.head[0]: self.head[1]}
        elif parts[:2] == ["ledger", "consistent"]:
            fields = Bytes(body)
            proof = fields.hashes()
            _, head, _ = self.open(fields.rest())
            check_consistency(self.head, head, proof)
            self.heads[head[0]] = head[1]
        elif parts[:2] == ["ledger", "ranges"] and parts[3:] == ["bounds"]:
            self.end_range()
            self.begin_range(parts[2], Bytes(body))
        elif parts[:2] == ["ledger", "ranges"] and parts[3] == "entries":
            need(self.range is not None and self.range == parts[2], "entries without their range")
            fields = Bytes(body)
            while not fields.is_empty():
                self.entry(fields)
        elif parts == ["ledger", "system"]:
            fields = Bytes(body)
            index, proof = fields.number(8), fields.hashes()
            _, (size, root), _ = open_note(fields.rest(), f"{self.name}/system", self.keys)
            need(index < size, "the place in the system's log")
            need(root_by_inclusion(leaf(self.text.encode()), index, size, proof) == root, "the system's log")
            self.system = size
        else:
            need(parts[0] != "ledger", f"an unknown section: {name}")

    def open(self, note):
        return open_note(note, f"{self.name}/tenants/{self.tenant}", self.keys)

    def begin_range(self, name, fields):
        first, self.end, size = (fields.number(8) for _ in range(3))
        need(first <= self.end <= size < 2**63 and size == self.head[0], "the range's bounds")
        self.range, self.next, self.tree = name, first, Tree()
        for part in cover(0, first):
            self.tree.push(part, fields.take(32))
        self.right = [(part, fields.take(32)) for part in cover(self.end, size)]
        need(fields.is_empty(), "bytes behind the range proof")

    def end_range(self):
        if self.range is None:
            return
        need(self.next == self.end, "the range's entries are not all there")
        for part, root in self.right:
            self.tree.push(part, root)
        need(self.tree.root() == self.head[1], "the range leads to another root")
        self.range = None

    def entry(self, fields):
        data = fields.take(fields.number(2))
        entry = read_entry(data)
        need(entry["tenant"] == self.tenant, "another tenant's entry")
        need(entry["seq"] == self.next < self.end, "an entry is out of place")
        self.tree.push(1, leaf(data))
        self.next += 1
        need(self.heads.get(self.next) in (None, self.tree.root()) or self.next == self.head[0], "a checkpoint's root")
        contents, last = [], 0
        for _ in range(fields.number(1)):
            number, salt = fields.number(1), fields.take(32)
            content = fields.take(fields.number(4))
            need(last < number and len(content) <= 4 << 20, "a piece of content")
            digest = hmac.new(salt, bytes([number]) + content, hashlib.sha256).digest()
            need(entry["digests"].get(number) == digest, "content that does not fit its digest")
            contents.append((number, content))
            last = number
        self.contents += len(contents)
        self.withheld += len(entry["digests"]) - len(contents)
        self.lines.append(show(entry, contents))

    def finish(self):
        self.end_range()
        self.lines.append(f"checkpoint {self.head[0]} {self.head[1].hex()}")
        self.lines.extend(f"witness {name} {time}" for name, time in self.witnesses)
        self.lines.append(f"system {self.system}")
        self.lines.append(f"contents {self.contents} withheld {self.withheld}")
        return self.lines


def main(bundle, keys):
    with open(keys, encoding="utf-8") as lines:
        reader = Reader([read_key(line.rstrip("\n")) for line in lines])
    try:
        with open(bundle, "rb") as file:
            for name, body in read_sections(file.read()):
                reader.section(name, body)
        lines = reader.finish()
    except (Refused, AttributeError, ValueError, TypeError) as error:
        sys.exit(f"refused: {error}")
    print("\n".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
