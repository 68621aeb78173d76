"""
Random OTLP trace requests, tidy and hostile, for the differential test of the walker.

A request is grown from `SHAPES`, OTLP's own field numbers. Because fields are drawn with
repetition and in any order, duplicates, merged submessages and split `value`s come by
themselves. A *tidy* request is what a careful sender could write; an *odd* one adds
unknown fields, groups, wrong wire types, overlong varints and lengths that lie. Mutants
of both follow. The same seed always gives the same cases.
"""

import random
import struct
from collections.abc import Iterator
from typing import Final

VARINT, FIXED64, LEN, GROUP, END_GROUP, FIXED32 = range(6)

SHAPES: Final[dict[str, tuple[tuple[int, str], ...]]] = {
    "request": ((1, "resource_spans"),),
    "resource_spans": ((1, "resource"), (2, "scope_spans"), (2, "scope_spans"), (3, "text")),
    "resource": ((1, "key_value"), (1, "key_value"), (2, "varint"), (3, "entity_ref")),
    "entity_ref": ((1, "text"), (2, "text")),
    "scope_spans": ((1, "scope"), (2, "span"), (2, "span"), (2, "span"), (3, "text")),
    "scope": ((1, "text"), (2, "text"), (3, "key_value"), (4, "varint")),
    "span": (
        (1, "id16"), (2, "id8"), (3, "text"), (4, "id8"), (16, "fixed32"), (5, "text"),
        (6, "varint"), (7, "fixed64"), (8, "fixed64"), (9, "key_value"), (9, "key_value"),
        (9, "key_value"), (9, "key_value"), (10, "varint"), (11, "event"), (13, "link"),
        (15, "status"),
    ),
    "event": ((1, "fixed64"), (2, "text"), (3, "key_value"), (4, "varint")),
    "link": ((1, "id16"), (2, "id8"), (3, "text"), (4, "key_value"), (6, "fixed32")),
    "status": ((2, "text"), (3, "varint")),
    "key_value": (
        (1, "text"), (1, "text"), (2, "any_value"), (2, "any_value"), (2, "any_value"),
        (3, "varint"),
    ),
    "any_value": (
        (1, "text"), (2, "varint"), (3, "varint"), (4, "double"), (5, "array_value"),
        (6, "kvlist_value"), (7, "bytes"), (8, "varint"),
    ),
    "array_value": ((1, "any_value"),),
    "kvlist_value": ((1, "key_value"),),
}  # fmt: skip
"""Message name to its (field number, kind); a field listed twice is drawn twice as often."""

MOST: Final = {
    "request": 3, "resource_spans": 4, "resource": 4, "entity_ref": 2, "scope_spans": 5,
    "scope": 3, "span": 20, "event": 2, "link": 2, "status": 2, "key_value": 4,
    "any_value": 2, "array_value": 2, "kvlist_value": 2,
}  # fmt: skip
"""Message name to the most fields drawn for it; each draws between one and this, rarely none."""

WIRE_TYPES: Final = {"varint": VARINT, "fixed64": FIXED64, "double": FIXED64, "fixed32": FIXED32}
"""Scalar kinds that are not length-delimited."""

EDGE_INTS: Final = (
    0, 1, 2, 127, 128, 255, 256, 2**14, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**35, 2**53,
    2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1,
)  # fmt: skip
EDGE_DOUBLES: Final = tuple(
    struct.pack("<d", x)
    for x in (0.0, -0.0, 1.2, -1.5, float("nan"), float("inf"), float("-inf"), 5e-324, 1.8e308)
)
TEXTS: Final = (
    b"", b"a", b"service.name", b"gen_ai.request.model", b"gen_ai.usage.input_tokens",
    "naïve ☃".encode(), b"x" * 130,
)  # fmt: skip
NOT_UTF8: Final = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"ok\x80")


def varint(value: int, extra: int = 0) -> bytes:
    """Write `value` (u64) with `extra` needless continuation bytes."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    if extra:
        out[-1] |= 0x80
        out += b"\x80" * (extra - 1) + b"\x00"
    return bytes(out)


def tag(number: int, wire: int) -> bytes:
    """Write the key of field `number` with wire type `wire`."""
    return varint(number << 3 | wire)


def delimited(number: int, body: bytes) -> bytes:
    """Write a length-delimited field."""
    return tag(number, LEN) + varint(len(body)) + body


def groups(number: int, depth: int, body: bytes = b"") -> bytes:
    """Write `depth` groups of one number inside each other, all closed."""
    return tag(number, GROUP) * depth + body + tag(number, END_GROUP) * depth


class CaseMaker:
    """An endless, seeded source of requests; one per worker and chunk of work."""

    def __init__(self, seed: str) -> None:
        """Start at `seed`; equal seeds give equal cases."""
        self._random = random.Random(seed)
        self._odd = 0.0
        self._earlier: list[bytes] = [b""]

    def cases(self) -> Iterator[bytes]:
        """Yield one grown request, a handful of its mutants and one near miss, for ever."""
        while True:
            self._odd = self._random.choice((0.0, 0.0, 0.01, 0.05))
            grown = self._message("request", 0)
            yield grown
            for _ in range(4):
                yield self._mutant(grown)
            yield in_span(delimited(9, self._nearly_usual_attribute()))
            self._earlier.append(grown)
            del self._earlier[:-20]

    def _message(self, shape: str, depth: int) -> bytes:
        fields = SHAPES[shape]
        # Values nest in themselves; past this depth they end, else some would never.
        most = MOST[shape] if depth < 9 else 0
        parts = []
        for _ in range(min(most, 1 + self._below(most)) if self._below(16) else 0):
            number, kind = fields[self._below(len(fields))]
            parts.append(self._field(number, kind, depth))
            if self._is_odd():
                parts.append(self._oddity(number, kind, depth))
        return b"".join(parts)

    def _field(self, number: int, kind: str, depth: int) -> bytes:
        wire = WIRE_TYPES.get(kind, LEN)
        body = self._body(kind, depth)
        head = varint(number << 3 | wire, self._below(4) if self._is_odd() else 0)
        if wire != LEN:
            return head + body
        return head + varint(len(body), self._below(5) if self._is_odd() else 0) + body

    def _body(self, kind: str, depth: int) -> bytes:
        if kind == "key_value" and self._below(2):
            return self._usual_attribute(depth)
        if kind in SHAPES:
            return self._message(kind, depth + 1)
        choose, random_bytes = self._random.choice, self._random.randbytes
        match kind:
            case "text":
                body = choose(NOT_UTF8) if self._is_odd() else choose(TEXTS)
            case "varint":
                body = varint(self._integer(), self._below(3) if self._is_odd() else 0)
            case "double":
                body = choose(EDGE_DOUBLES) if self._below(2) else random_bytes(8)
            case "id16":
                body = random_bytes(choose((16, 16, 16, 0, 8, 17)))
            case "id8":
                body = random_bytes(choose((8, 8, 8, 0, 7, 16)))
            case "bytes":
                body = random_bytes(self._below(6))
            case _:
                body = random_bytes({"fixed64": 8, "fixed32": 4}[kind])
        return body

    def _usual_attribute(self, depth: int) -> bytes:
        """Make the layout that every sender writes."""
        number, kind = self._random.choice(SHAPES["any_value"])
        value = self._field(number, kind, depth + 2)
        return delimited(1, self._random.choice(TEXTS)) + delimited(2, value)

    def _nearly_usual_attribute(self) -> bytes:
        """
        Make an attribute a byte away from the usual layout.

        A decoder has a short way for that layout, and must know when it does not apply.
        """
        if self._below(2):
            near = bytearray(self._usual_attribute(4))
            near[-1 - self._below(min(len(near), 6))] = self._below(256)
            return bytes(near)
        number, kind = self._random.choice(SHAPES["any_value"])
        value = self._field(number, kind, 6) + bytes([self._below(256)])
        return delimited(1, b"k") + delimited(2, value)

    def _integer(self) -> int:
        if self._below(2):
            return self._random.choice(EDGE_INTS)
        return self._random.getrandbits(1 + self._below(64))

    def _oddity(self, number: int, kind: str, depth: int) -> bytes:
        """Make a field that a strict reader must skip, merge or refuse."""
        choose = self._random.choice
        match self._below(8):
            case 0:  # an unknown field
                odd = self._scalar(choose((17, 99, 19000, 2**29 - 1)))
            case 1:  # a known field under another wire type
                odd = self._scalar(number)
            case 2:  # an unknown group around anything
                odd = groups(choose((3, 50)), 1 + self._below(3), self._scalar(7))
            case 3:  # nesting near every limit a decoder may have
                odd = groups(20, choose((1, 60, 93, 94, 95, 96, 97, 98, 99, 100, 101)))
            case 4:  # nested values, far deeper than any decoder's stack
                odd = delimited(2, nested_lists(choose((3, 30, 60, 200))))
            case 5:  # a length that lies
                length = choose(EDGE_INTS)
                odd = tag(number, LEN) + varint(length) + self._body(kind, depth)[:length]
            case 6:  # a varint of up to eleven bytes, its top bits overflowing
                odd = tag(number, VARINT) + b"\xff" * self._below(11) + bytes([self._below(256)])
            case _:  # a bare tag, perhaps with number 0 or a reserved wire type
                odd = bytes([self._below(256)])
        return odd

    def _scalar(self, number: int) -> bytes:
        match self._below(5):
            case 0:
                return tag(number, VARINT) + varint(self._integer())
            case 1:
                return tag(number, FIXED64) + self._random.randbytes(8)
            case 2:
                return tag(number, FIXED32) + self._random.randbytes(4)
            case 3:
                return groups(number, 1)
            case _:
                return delimited(number, self._random.randbytes(self._below(4)))

    def _mutant(self, grown: bytes) -> bytes:
        out = bytearray(grown)
        for _ in range(self._random.choice((1, 1, 1, 2, 3))):
            self._mutate(out)
        return bytes(out)

    def _mutate(self, out: bytearray) -> None:
        at = self._below(len(out) + 1)
        end = min(len(out), at + 1 + self._below(12))
        match self._below(10):
            case 0 | 1 if at < len(out):
                out[at] ^= 1 << self._below(8)
            case 2 if at < len(out):
                out[at] = self._random.choice((0, 1, 0x7F, 0x80, 0xFF, self._below(256)))
            case 3 if at < len(out):  # off by one: mostly a length or a wire type
                out[at] = (out[at] + self._random.choice((1, 255))) % 256
            case 4:
                del out[at:]
            case 5:
                del out[at:end]
            case 6:
                out[at:at] = out[at:end]
            case 7:
                other = self._random.choice(self._earlier)
                start = self._below(len(other) + 1)
                out[at:at] = other[start : start + 1 + self._below(40)]
            case 8:  # at the very end, where it leaves the rest valid
                out += self._oddity(1 + self._below(16), "bytes", 5)
            case _:
                out[at:at] = self._oddity(1 + self._below(16), "bytes", 5)

    def _is_odd(self) -> bool:
        return self._odd > 0.0 and self._random.random() < self._odd

    def _below(self, limit: int) -> int:
        # randrange costs three times this; the bias of a 53-bit product is irrelevant here.
        return int(self._random.random() * limit)


def nested_lists(depth: int) -> bytes:
    """Write an AnyValue of `depth` arrays inside each other."""
    value = b""
    for _ in range(depth):
        value = delimited(5, delimited(1, value))
    return value


def in_span(body: bytes) -> bytes:
    """Wrap span fields in a request with one resource and one scope."""
    return delimited(1, delimited(2, delimited(2, body)))


def in_value(body: bytes) -> bytes:
    """Wrap AnyValue fields in one span attribute called `k`."""
    return in_span(delimited(9, delimited(1, b"k") + delimited(2, body)))


_LONG = b"\xff" * 9
CORNERS: Final[dict[str, bytes]] = {
    "empty request": b"",
    "tag of five bytes": b"\x92\x80\x80\x80\x00\x00",
    "tag of six bytes": b"\x92\x80\x80\x80\x80\x00\x00",
    "tag past 32 bits": b"\x92\x80\x80\x80\x10\x00",
    "field number 0": b"\x02\x00",
    "field number 0 inside a skipped group": b"\x53\x00\x01\x54",
    "largest field number": b"\xfd\xff\xff\xff\x0f" + bytes(4),
    "wire type 6": b"\x56\x00",
    "wire type 7 inside a skipped group": b"\x53\x5f\x54",
    "end of a group never begun": b"\x54",
    "group closed by another number": b"\x53\x5c",
    "group never closed": b"\x53",
    "group that ends inside its parent's length": in_span(b"\x53"),
    "length of five bytes": b"\x0a\x80\x80\x80\x80\x00",
    "length of six bytes": b"\x0a\x80\x80\x80\x80\x80\x00",
    "length of 2 GiB": b"\x0a\xff\xff\xff\xff\x07",
    "length of 4 GiB": b"\x0a\x80\x80\x80\x80\x10",
    "length wraps 64 bits": b"\x0a" + _LONG + b"\x01",
    "child longer than its parent, data follows": b"\x0a\x02\x12\x04" + bytes(8),
    "spans cut inside a tag": delimited(1, delimited(2, b"\x12\x00\x80")),
    "varint of ten bytes, overflowing": in_value(b"\x18" + _LONG + b"\x7f"),
    "varint of eleven bytes": in_value(b"\x18" + _LONG + b"\xff\x01"),
    "int of one byte, half a field follows": in_value(b"\x18\x05\x08"),
    "int of one byte, a field follows": in_value(b"\x18\x05\x10\x01"),
    "int of two bytes, the second needless": in_value(b"\x18\x85\x00"),
    "int without its last byte": in_value(b"\x18\x85"),
    "double, a field follows": in_value(b"\x21" + bytes(8) + b"\x10\x01"),
    "double of seven bytes": in_value(b"\x21" + bytes(7)),
    "string longer than its value": in_value(b"\x0a\x03ab"),
    "string shorter than its value": in_value(b"\x0a\x01ab"),
    "value before its key": in_span(delimited(9, delimited(2, b"\x18\x07") + delimited(1, b"k"))),
    "bool of 2^36": in_value(b"\x10\x80\x80\x80\x80\x80\x01"),
    "bool of 2^64": in_value(b"\x10" + b"\x80" * 9 + b"\x02"),
    "negative int": in_value(b"\x18" + _LONG + b"\x01"),
    "kind past 32 bits": in_span(b"\x30\x81\x80\x80\x80\x10"),
    "negative kind": in_span(b"\x30" + _LONG + b"\x01"),
    "start under another wire type": in_span(b"\x38\x05"),
    "name under another wire type": in_span(b"\x28\x05"),
    "span as a group": delimited(1, delimited(2, b"\x13\x28\x05\x14")),
    "last value wins": in_value(b"\x18\x07\x0a\x01x"),
    "value replaced by an empty array": in_value(b"\x18\x07\x2a\x00"),
    "value replaced by a string-table index": in_value(b"\x0a\x01x\x40\x03"),
    "value merged from two parts": in_span(
        delimited(9, delimited(2, b"\x18\x07") + delimited(1, b"k") + delimited(2, b""))
    ),
    "attribute without key or value": in_span(delimited(9, b"")),
    "status merged from two parts": in_span(
        delimited(15, b"\x18\x02") + delimited(15, delimited(2, b"why"))
    ),
    "resource merged from two parts": delimited(
        1,
        delimited(1, delimited(1, delimited(1, b"a"))) + delimited(1, delimited(1, b"")),
    ),
    "scope after its spans": delimited(
        1, delimited(2, delimited(2, b"") + delimited(1, delimited(1, b"late")))
    ),
    "name that is not UTF-8": in_span(delimited(5, b"\xff\xfe")),
    "nested lists, 1,000 deep": in_value(nested_lists(1000)),
    **{f"groups at the top, {n} deep": groups(20, n) for n in (99, 100, 101, 100_000)},
    **{f"groups in a span, {n} deep": in_span(groups(20, n)) for n in (96, 97, 98)},
    **{f"groups in a value, {n} deep": in_value(groups(20, n)) for n in (94, 95, 96)},
}
"""Requests that pin one subtle rule each; see `wire_diff` for the rules."""
