"""Everything a request can be refused with, as one class: the status, and what is wrong in words for people."""

from __future__ import annotations

from typing import Any

CODES = {
    400: "BAD_REQUEST",
    404: "RESOURCE_DOES_NOT_EXIST",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    411: "LENGTH_REQUIRED",
    413: "REQUEST_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""The names are those of MLflow where it has one."""


class Refused(Exception):
    """A request that gets no prediction; rows count from 0, as in what the client sent."""

    def __init__(
        self, message: str, *, status: int = 400, column: str | None = None, row: int | None = None, expected: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.column = column
        self.row = row
        self.expected = expected

    def document(self, request_id: str) -> dict[str, Any]:
        """The body of the answer: `error` as the Open Inference Protocol has it, the next two as MLflow has them."""
        told: dict[str, Any] = {
            "error": self.message,
            "error_code": CODES.get(self.status, "BAD_REQUEST"),
            "message": self.message,
            "request_id": request_id,
        }
        details = {"column": self.column, "row": self.row, "expected": self.expected or None}
        return told | {name: value for name, value in details.items() if value is not None}


def wrong_value(column: str, row: int, expected: str, found: Any) -> Refused:
    """A value that its column does not take."""
    text = f"column `{column}`, row {row}: expected {expected}, found {_shown(found)}"
    return Refused(text, column=column, row=row, expected=expected)


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return (text if len(text) <= 60 else text[:57] + "...").encode("utf-8", "replace").decode()
