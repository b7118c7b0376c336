# SPDX-License-Identifier: Apache-2.0
"""ASN.1 by hand: a DER and BER writer that can also write what is wrong, and a reader for both.

A library refuses to write broken structures; the tests need them.
"""

INTEGER, BITSTRING, OCTETS, NULL, OID = 0x02, 0x03, 0x04, 0x05, 0x06
UTF8, SEQUENCE, SET = 0x0C, 0x30, 0x31
PRINTABLE, T61, IA5, UTCTIME, GENTIME, BMP = 0x13, 0x14, 0x16, 0x17, 0x18, 0x1E


def length(n):
    """DER length octets."""
    if n < 0x80:
        return bytes([n])
    body = n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(body)]) + body


def tlv(tag, content):
    return bytes([tag]) + length(len(content)) + content


def seq(*items):
    return tlv(SEQUENCE, b"".join(items))


def set_of(*items):
    """SET OF in DER order."""
    return tlv(SET, b"".join(sorted(items)))


def integer(value):
    size = max(1, (value.bit_length() + 8) // 8)
    return tlv(INTEGER, value.to_bytes(size, "big", signed=True))


def octets(data):
    return tlv(OCTETS, data)


def bits(data, unused=0):
    return tlv(BITSTRING, bytes([unused]) + data)


def null():
    return b"\x05\x00"


def boolean(value):
    return tlv(0x01, b"\xff" if value else b"\x00")


def string(text, tag=PRINTABLE):
    codec = {UTF8: "utf-8", BMP: "utf-16-be"}.get(tag, "latin-1")
    return tlv(tag, text if isinstance(text, bytes) else text.encode(codec))


def oid(dotted):
    numbers = [int(n) for n in dotted.split(".")]
    out = bytearray([numbers[0] * 40 + numbers[1]])
    for number in numbers[2:]:
        septets = [number & 0x7F]
        while number > 0x7F:
            number >>= 7
            septets.append(0x80 | (number & 0x7F))
        out += bytes(reversed(septets))
    return tlv(OID, bytes(out))


def utctime(when):
    return tlv(UTCTIME, when.strftime("%y%m%d%H%M%SZ").encode())


def explicit(number, content):
    """[n] EXPLICIT, or IMPLICIT of a constructed type whose content this is."""
    return tlv(0xA0 | number, content)


def implicit(number, content):
    """[n] IMPLICIT of a primitive type."""
    return tlv(0x80 | number, content)


def implicit_seq(number, *items):
    """[n] IMPLICIT SEQUENCE."""
    return tlv(0xA0 | number, b"".join(items))


def indefinite(tag, content):
    """The constructed value in BER's indefinite length."""
    return bytes([tag | 0x20, 0x80]) + content + b"\x00\x00"


def constructed_octets(data, chunk=64, tag=OCTETS):
    """An OCTET STRING in pieces, indefinite length, as Java's and Android's writers do."""
    pieces = [data[i:i + chunk] for i in range(0, len(data), chunk)] or [b""]
    return indefinite(tag, b"".join(octets(piece) for piece in pieces))


class AsnError(ValueError):
    """What was read is not BER."""


class Node:
    """One value: tag, content, and the whole of its bytes."""

    __slots__ = ("tag", "content", "raw", "_children")

    def __init__(self, tag, content, raw):
        self.tag, self.content, self.raw = tag, content, raw
        self._children = None

    @property
    def children(self):
        if self._children is None:
            self._children = read_all(self.content)
        return self._children

    def __getitem__(self, index):
        return self.children[index]

    def __len__(self):
        return len(self.children)

    def find(self, tag):
        """The first child with the tag, or None."""
        return next((child for child in self.children if child.tag == tag), None)

    def oid(self):
        if self.tag != OID:
            raise AsnError("tag %02x is no OID" % self.tag)
        numbers, value = [], 0
        for byte in self.content:
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                numbers.append(value)
                value = 0
        first = min(numbers[0] // 40, 2)
        return ".".join(str(n) for n in [first, numbers[0] - 40 * first] + numbers[1:])

    def integer(self):
        return int.from_bytes(self.content, "big", signed=True)

    def octets(self):
        """The bytes of an OCTET STRING, also of a constructed one."""
        if not self.tag & 0x20:
            return self.content
        return b"".join(child.octets() for child in self.children)


def read(data, offset=0):
    """(node, offset behind it)."""
    start = offset
    try:
        tag, first = data[offset], data[offset + 1]
    except IndexError:
        raise AsnError("cut short") from None
    offset += 2
    if first == 0x80:
        begin = offset
        while data[offset:offset + 2] != b"\x00\x00":
            if offset >= len(data):
                raise AsnError("no end of contents")
            _, offset = read(data, offset)
        return Node(tag, data[begin:offset], data[start:offset + 2]), offset + 2
    if first > 0x80:
        size = first & 0x7F
        first = int.from_bytes(data[offset:offset + size], "big")
        offset += size
    if offset + first > len(data):
        raise AsnError("cut short")
    return Node(tag, data[offset:offset + first], data[start:offset + first]), offset + first


def read_all(data):
    nodes, offset = [], 0
    while offset < len(data):
        node, offset = read(data, offset)
        nodes.append(node)
    return nodes


def parse(data):
    """Exactly one value."""
    node, end = read(data)
    if end != len(data):
        raise AsnError("%d bytes behind the value" % (len(data) - end))
    return node
