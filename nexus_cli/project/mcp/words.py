"""Quality, reason and age in words."""

from __future__ import annotations

from datetime import UTC, datetime

from nexus_cli.wire.sample import Reason

NO_VALUE = "no_value"
MINUTE, HOUR, DAY = 60, 3600, 86_400
REASONS: dict[str, str] = {
    Reason.LINK_LOST: "the link to the device is lost",
    Reason.DEVICE_TIMEOUT: "the device did not answer in time",
    Reason.DEVICE_ERROR: "the device answered with an error",
    Reason.ILLEGAL_ADDRESS: "the device has no such address",
    Reason.TYPE_MISMATCH: "the device holds another type than declared",
    Reason.ACCESS_DENIED: "the device refuses access",
    Reason.NOT_A_NUMBER: "the device gives no number",
    Reason.OUT_OF_RANGE: "the value is outside the declared range",
    Reason.OVERFLOW: "the value does not fit its type",
    Reason.CLOCK_UNSYNCHRONISED: "the gateway's clock is not synchronised",
    Reason.OUT_OF_SERVICE: "the tag or its device is out of service",
    Reason.INPUT_BAD: "an input of the calculated tag is BAD",
    Reason.EXPRESSION_ERROR: "the expression of the calculated tag failed",
    Reason.GATEWAY_LOST: "the gateway is lost",
    Reason.SOURCE_BAD: "the source says that the value is bad",
    Reason.SOURCE_UNCERTAIN: "the source says that the value is uncertain",
    Reason.SYMBOL_CHANGED: "the symbol was changed in the controller",
    Reason.DECODE_ERROR: "the bytes can't be decoded",
    Reason.TOO_LARGE: "the value is too large",
    Reason.RATE_OF_CHANGE: "the value moved faster than its rule of quality allows",
    Reason.FLAT_LINE: "the value is the same for longer than its rule of quality allows",
    Reason.MISSING: "no value came for as long as its rule of quality allows",
    NO_VALUE: "nothing was published yet",
}


def reason_words(reason: str) -> str:
    """A reason as a sentence's part; one that is not known as it is."""
    return REASONS.get(reason, reason.replace("_", " "))


def age_words(seconds: float) -> str:
    """An age in at most two units: `0.4 s`, `42 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    for unit, name, lower, lower_name in ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "min"), (MINUTE, "min", 1, "s")):
        if whole >= unit:
            count, rest = whole // unit, whole % unit // lower
            return f"{count} {name} {rest} {lower_name}" if rest else f"{count} {name}"
    return f"{whole} s"


def time_text(time_us: int | None) -> str:
    """µs since 1970 as ISO 8601 in UTC to the millisecond; "" for none and 0."""
    if not time_us:
        return ""
    try:
        return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return ""
