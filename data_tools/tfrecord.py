"""Records of TFRecord files and the examples in them, written without TensorFlow.

A record is the length of its payload (8 bytes, little-endian), a checksum of these 8
bytes, the payload, and a checksum of the payload (4 bytes each). The payload is a
protocol buffer of type `tf.train.Example`.

Reference:
    TensorFlow, "TFRecord and tf.train.Example" and `tensorflow/core/example/`,
    `example.proto` and `feature.proto`.
"""

import struct

import google_crc32c


def picture(row, line, encoded):
    """Makes the record of a picture.

    Args:
        row: Its row of the manifest.
        line: Its line there, the header being line 1.
        encoded: Bytes of the PNG or JPEG file.

    Returns:
        The record, and where in it the picture begins.
    """
    features = {
        "image/encoded": encoded,
        "image": row["image"].encode(),
        "label": row["label"].encode(),
        "row": line,
    }
    data = record(example(features))
    return data, data.index(encoded)


def example(features):
    """Encodes a `tf.train.Example`.

    Args:
        features: Dict of name to value: bytes, or an integer from 0.

    Returns:
        Bytes, the same for the same features in whatever order.

    Example:
    >>> tf.train.Example.FromString(tfrecord.example({"label": b"normal", "row": 2}))
    """
    entries = [
        field(1, field(1, name.encode()) + field(2, feature(value)))
        for name, value in sorted(features.items())
    ]
    return field(1, b"".join(entries))


def feature(value):
    """Encodes a `Feature`: a list of one byte string (1) or integer (3)."""
    if isinstance(value, bytes):
        return field(1, field(1, value))
    return field(3, field(1, varint(value)))


def field(number, content):
    """Encodes a field that has a length (wire type 2)."""
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def varint(value):
    """Encodes an integer from 0, seven bits to a byte, the lowest first."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def record(payload):
    """Frames a payload with its length and both checksums."""
    length = struct.pack("<Q", len(payload))
    return length + checksum(length) + payload + checksum(payload)


def checksum(content):
    """Returns the CRC32C, rotated by 15 bits and shifted, as the format asks."""
    crc = google_crc32c.value(content)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return struct.pack("<I", masked)
