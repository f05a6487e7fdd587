"""Throttling of logins: free tries, then pauses that double. Pure: the time comes in.

Three counts: of a user from one address, which grows to a minute; of an address with any user, and of a user from any
address, which guard against spraying and against many addresses. The last two let pass who logged in from there
before, so that an attacker elsewhere, or behind the same proxy, can lock no other user out.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

MOST_KEYS = 10_000
"""Of each count; beyond it the one that was used longest ago is forgotten."""
FORGOTTEN_S = 900.0
"""A count without a further failure is forgotten after this time, in seconds."""
REMEMBERED_S = 30 * 86_400.0
"""How long a user's address is known after a login, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a count slows down: `free` tries, then pauses of 1, 2, 4 … `longest_s` seconds."""

    free: int
    longest_s: float

    def pause_s(self, failures: int) -> float:
        """The pause after so many failures."""
        return 0.0 if failures < self.free else float(min(self.longest_s, 2.0 ** min(failures - self.free, 30)))


PAIR = Pace(free=5, longest_s=60.0)
ADDRESS = Pace(free=20, longest_s=60.0)
USER = Pace(free=30, longest_s=2.0)


class _Counts:
    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._found: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._found)

    def wait_s(self, key: Hashable, now_s: float) -> float:
        failures, last_s = self._found.get(key, (0, 0.0))
        if not failures or now_s - last_s > FORGOTTEN_S:
            return 0.0
        return max(0.0, last_s + self._pace.pause_s(failures) - now_s)

    def add(self, key: Hashable, now_s: float) -> None:
        failures, last_s = self._found.pop(key, (0, now_s))
        self._found[key] = (1 if now_s - last_s > FORGOTTEN_S else failures + 1, now_s)
        while len(self._found) > MOST_KEYS:
            self._found.popitem(last=False)

    def take_back(self, key: Hashable) -> None:
        """One failure less: the try succeeded."""
        failures, last_s = self._found.get(key, (0, 0.0))
        if failures > 1:
            self._found[key] = (failures - 1, last_s)
        else:
            self._found.pop(key, None)

    def clear(self, key: Hashable) -> None:
        self._found.pop(key, None)


class Throttle:
    """Counts failed logins; its memory is bounded by `MOST_KEYS`."""

    def __init__(self) -> None:
        """Nothing was tried yet."""
        self._pairs, self._addresses, self._users = _Counts(PAIR), _Counts(ADDRESS), _Counts(USER)
        self._known: OrderedDict[tuple[str, str], float] = OrderedDict()

    def __len__(self) -> int:
        """How many keys are held."""
        return len(self._pairs) + len(self._addresses) + len(self._users) + len(self._known)

    def begin(self, user: str, address: str, *, now_s: float) -> float:
        """Ask for a try; gives 0.0 when it may be made, else how many seconds to wait.

        A try counts as failed until `succeeded`: many at the same time count, too. `user` is "" for a login whose user
        is not known before (OpenID).
        """
        network = network_of(address)
        waits = [self._pairs.wait_s((user, network), now_s)]
        if not self._is_known(user, network, now_s):
            waits += [self._addresses.wait_s(network, now_s), self._users.wait_s(user, now_s) if user else 0.0]
        wait_s = max(waits)
        if wait_s <= 0.0:
            self._pairs.add((user, network), now_s)
            self._addresses.add(network, now_s)
            if user:
                self._users.add(user, now_s)
        return wait_s

    def succeeded(self, user: str, address: str, *, now_s: float) -> None:
        """The try that `begin` permitted was right."""
        network = network_of(address)
        self._pairs.clear((user, network))
        self._addresses.take_back(network)
        self._users.take_back(user)
        self._known.pop((user, network), None)
        self._known[(user, network)] = now_s
        while len(self._known) > MOST_KEYS:
            self._known.popitem(last=False)

    def _is_known(self, user: str, network: str, now_s: float) -> bool:
        since_s = self._known.get((user, network))
        return bool(user) and since_s is not None and now_s - since_s <= REMEMBERED_S


def network_of(address: str) -> str:
    """What counts as one address: of IPv6 the first 64 bits, which one subscriber has."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:100]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), 64), strict=False))
