"""How many bytes of unanswered requests are held, over all connections."""

from __future__ import annotations

SMALL_BYTES = 16 * 1024
RESERVED = 4  # a part of so much of the budget is for those who hold little


class ByteBudget:
    """Bytes that all connections together hold between two callbacks. A read may overdraw it once, by what it brought.

    Who holds more than SMALL_BYTES may fill three quarters of it only: half-sent uploads then leave room for the
    small requests of those whose head and body come in two pieces. largest: what one may hold.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.largest = most - most // RESERVED
        self.held = 0

    @property
    def is_spent(self) -> bool:
        """Whether as much is held as may be."""
        return self.held > self._most

    def allows(self, before: int, now: int) -> bool:
        """Return whether one who holds `before` may hold `now`."""
        return self.held - before + now <= (self._most if now <= SMALL_BYTES else self.largest)

    def change(self, before: int, now: int) -> None:
        """Take note that one who held `before` holds `now`."""
        self.held += now - before
