"""Segment files as `Sources/Storage/SegmentLog/SegmentFormat.swift` describes them, for breaking and for making them."""

import struct

HEADER = 36


def crc32c_table():
    table = []
    for index in range(256):
        value = index
        for _ in range(8):
            value = value >> 1 ^ 0x82F63B78 if value & 1 else value >> 1
        table.append(value)
    return table


TABLE = crc32c_table()


def crc32c(data, seed=0):
    crc = seed ^ 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def segment_header(number):
    return b"INVRSEG1" + struct.pack("<Q", number)


def record_header(length, payload_checksum, items, appended, oldest=0, tag=0):
    rest = struct.pack("<IIIqq", payload_checksum, items, tag, oldest, appended)
    start = struct.pack("<I", length)
    return start + struct.pack("<I", crc32c(start + rest)) + rest


def footer(items, records, newest):
    body = b"INVREND1" + struct.pack("<QQq", items, records, newest)
    return body + struct.pack("<II", crc32c(body), 0)


def records(data):
    """(offset, length, items) of each record of a segment's bytes."""
    offset = 16
    while offset + HEADER <= len(data) and data[offset:offset + 8] != b"INVREND1":
        length, _, _, items = struct.unpack_from("<IIII", data, offset)
        if offset + HEADER + length > len(data):
            return
        yield offset, length, items
        offset += HEADER + length


def fnv32(text):
    value = 2166136261
    for byte in text.encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value
