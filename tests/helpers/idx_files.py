"""Files in the format of MNIST."""

import struct


def images_file(num: int, height: int = 28, width: int = 28, first: int = 0) -> bytes:
    pixels = bytes((first + i) % 251 for i in range(num * height * width))
    return struct.pack(">IIII", 2051, num, height, width) + pixels


def labels_file(*labels: int) -> bytes:
    return struct.pack(">II", 2049, len(labels)) + bytes(labels)
