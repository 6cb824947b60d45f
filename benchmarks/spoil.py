"""Spoils bytes as `fuzz.py` feeds them: flipped, cut, doubled, moved, replaced."""

import random

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
WORDS = (b"", b"\0", b'"', b",", b"\n", b"../", b"nan", b"1e999", b"-1", b"\xff\xfe")


def spoiled_input(sound, number, seed):
    """The input of a number, the same in every campaign of a seed."""
    draw = random.Random(f"{seed}-{number}")
    return spoiled(draw.choice(sound), draw)


def spoiled(content, draw):
    """A copy of some bytes with one to eight changes."""
    content = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4, 8))):
        draw.choice(CHANGES)(content, draw)
    return bytes(content)


def flip(content, draw):
    if content:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def cut(content, draw):
    del content[draw.randrange(len(content) + 1) :]


def remove(content, draw):
    start = draw.randrange(len(content) + 1)
    del content[start : start + draw.choice((1, 2, 4, 16, 256))]


def double(content, draw):
    start = draw.randrange(len(content) + 1)
    part = content[start : start + draw.choice((1, 4, 64, 1024))]
    content[start:start] = part * draw.choice((1, 2, 30))


def move(content, draw):
    a, b = (draw.randrange(len(content) + 1) for _ in range(2))
    content[a : a + 32], content[b : b + 32] = content[b : b + 32], content[a : a + 32]


def number(content, draw):
    place, size = draw.randrange(len(content) + 1), draw.choice((1, 2, 4))
    value = draw.choice(NUMBERS) & (256**size - 1)
    content[place : place + size] = value.to_bytes(size, draw.choice(("big", "little")))


def word(content, draw):
    place = draw.randrange(len(content) + 1)
    content[place : place + draw.choice((0, 1, 8))] = draw.choice(WORDS)


CHANGES = (flip, flip, cut, remove, double, move, number, number, word)
