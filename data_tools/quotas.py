"""Fills the quota of each class with whole groups, exactly wherever possible."""

import hashlib
import math
from collections import Counter

PLACES = 16_384  # of a quota that are filled by an exact search
ATTEMPTS = 20  # at placing groups of several classes
PORTIONS = (1, 0, 1, 2)  # of their share that these fill, attempt by attempt


def choose(sizes, quotas, salt):
    """Chooses whole groups that fill the quota of each class.

    Groups of several classes come first, in an order that hashes decide, until they
    have their share, and never beyond a quota. The groups of one class then fill
    what is left of its quota exactly if any choice of them does, else as far as they
    can; if something is missing, other orders are tried. A class whose groups hold
    no other class does not depend on any.

    Args:
        sizes: Dict of group to a Counter of the films of each class.
        quotas: Dict of class to number of films.
        salt: Text; another gives another choice.

    Returns:
        Set of groups.
    """
    pure, mixed = {label: [] for label in quotas}, {}
    for group in sorted(sizes, key=lambda group: digest(salt, group)):
        if len(sizes[group]) == 1:
            ((label, size),) = sizes[group].items()
            pure[label].append((group, size))
        else:
            mixed[group] = sizes[group]
    films = {group: size.total() for group, size in sizes.items()}
    share = sum(quotas.values()) / max(sum(films.values()), 1)
    share *= sum(films[group] for group in mixed)
    best, fewest = set(), math.inf
    for attempt in range(ATTEMPTS if mixed else 1):
        order = f"{salt}:{attempt}"
        mixed = {g: sizes[g] for g in sorted(mixed, key=lambda g: digest(order, g))}
        portion = PORTIONS[attempt % len(PORTIONS)]
        chosen, left = choose_mixed(mixed, quotas, portion * share)
        for label, members in pure.items():
            coin = digest(salt, f"class {label}")
            chosen |= choose_side(members, left[label], coin)
        missing = sum(quotas.values()) - sum(films[group] for group in chosen)
        if missing < fewest:
            best, fewest = chosen, missing
        if not missing:
            break
    return best


def choose_mixed(mixed, quotas, films):
    """Chooses groups of several classes, about so many films; returns what is left."""
    chosen, left, filled = set(), Counter(quotas), 0
    for group, size in mixed.items():
        # Up to half a group too many: the large are chosen as often as the small.
        due = filled + size.total() / 2 <= films
        if due and all(n <= left[label] for label, n in size.items()):
            chosen.add(group)
            left.subtract(size)
            filled += size.total()
    return chosen, left


def choose_side(members, quota, coin):
    """Fills a quota, or, by the toss of a coin, its complement.

    A group that is larger than what is left is passed over. Filling now this side
    and now the other, neither is short of large groups in the long run.

    Args:
        members: List of `(group, size)` in the order to be taken.
        quota: Number of films.
        coin: Integer.

    Returns:
        Set of groups with at most `quota` films.
    """
    total = sum(size for _, size in members)
    if coin % 2 and 0 < quota < total:
        others = fill(members, total - quota)
        chosen = {group for group, _ in members} - others
        if sum(size for group, size in members if group in chosen) == quota:
            return chosen
    return fill(members, quota)


def fill(members, quota):
    """Takes groups in order while the rest can still fill the quota.

    Args:
        members: List of `(group, size)`.
        quota: Number of films.

    Returns:
        Set of groups. Its films are `quota`, or as many below it as is possible;
        of a greater quota than `PLACES`, the first are filled without looking ahead.
    """
    chosen, position = set(), 0
    while quota > PLACES and position < len(members):
        group, size = members[position]
        if size <= quota:
            chosen.add(group)
            quota -= size
        position += 1
    members = members[position:]
    # Bit k of reach[i]: some of the groups from i on have k films together.
    mask, reach = (1 << quota + 1) - 1, [1]
    for _, size in reversed(members):
        sums = reach[-1] | (reach[-1] << size) & mask if size <= quota else reach[-1]
        reach.append(reach[-1] if sums == reach[-1] else sums)  # saves memory
    left = reach.pop().bit_length() - 1
    for group, size in members:
        rest = reach.pop()
        if size <= left and rest >> left - size & 1:
            chosen.add(group)
            left -= size
    return chosen


def digest(salt, name):
    """Returns a large whole number that depends on two texts alone."""
    return int.from_bytes(hashlib.sha256(f"{salt}:{name}".encode()).digest())
