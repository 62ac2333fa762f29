"""Decoders of what collectors send, written from the formats' specifications."""


def snappy(data):
    """Raw snappy block (google/snappy format_description.txt)."""
    length, position = varint(data, 0)
    out = bytearray()
    end = len(data)
    while position < end:
        tag = data[position]
        position += 1
        kind = tag & 3
        if kind == 0:
            count = tag >> 2
            if count >= 60:
                extra = count - 59
                count = int.from_bytes(data[position:position + extra], "little")
                position += extra
            count += 1
            out += data[position:position + count]
            position += count
            continue
        if kind == 1:
            count = 4 + ((tag >> 2) & 7)
            offset = ((tag >> 5) << 8) | data[position]
            position += 1
        elif kind == 2:
            count = 1 + (tag >> 2)
            offset = int.from_bytes(data[position:position + 2], "little")
            position += 2
        else:
            count = 1 + (tag >> 2)
            offset = int.from_bytes(data[position:position + 4], "little")
            position += 4
        start = len(out) - offset
        if offset >= count:
            out += out[start:start + count]
        else:
            for index in range(count):
                out.append(out[start + index])
    if len(out) != length:
        raise ValueError("snappy: wrong length")
    return bytes(out)


def varint(data, position):
    result = shift = 0
    while True:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7


def fields(data):
    """Every field of a protobuf message as (number, value); bytes, int, or 8 raw bytes."""
    position = 0
    end = len(data)
    while position < end:
        key, position = varint(data, position)
        kind = key & 7
        if kind == 0:
            value, position = varint(data, position)
        elif kind == 1:
            value = data[position:position + 8]
            position += 8
        elif kind == 2:
            length, position = varint(data, position)
            value = data[position:position + length]
            position += length
        else:
            raise ValueError(f"wire type {kind}")
        yield key >> 3, value


def signed(value):
    return value - (1 << 64) if value >= 1 << 63 else value


def label_text(pairs):
    return ",".join(f"{name}={value}" for name, value in sorted(pairs))


def remote_write(body):
    """Samples of a prometheus.WriteRequest as (labels, milliseconds, value)."""
    import struct

    for number, series in fields(snappy(body)):
        if number != 1:
            continue
        pairs = []
        samples = []
        for inner, value in fields(series):
            if inner == 1:
                pair = dict(fields(value))
                pairs.append((pair.get(1, b"").decode(), pair.get(2, b"").decode()))
            elif inner == 2:
                sample = dict(fields(value))
                samples.append(
                    (signed(sample.get(2, 0)), struct.unpack("<d", sample[1])[0] if 1 in sample else 0.0))
        for time, value in samples:
            yield label_text(pairs), time, value


def loki_push(body):
    """Entries of a logproto.PushRequest as (labels, nanoseconds, line)."""
    for number, stream in fields(snappy(body)):
        if number != 1:
            continue
        labels = ""
        entries = []
        for inner, value in fields(stream):
            if inner == 1:
                labels = value.decode()
            elif inner == 2:
                entries.append(dict(fields(value)))
        for entry in entries:
            time = dict(fields(entry.get(1, b"")))
            yield labels, time.get(1, 0) * 10**9 + time.get(2, 0), entry.get(2, b"").decode()
