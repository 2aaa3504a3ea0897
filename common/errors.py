"""Every error that a user can meet, as one tree.

GroundtoneError
├── InvalidRequest          400 invalid_request_error
├── AuthenticationFailed    401 authentication_error
├── PermissionDenied        403 permission_error
├── NotFound                404 not_found_error (another tenant's id too)
├── Conflict                409 conflict
├── Gone                    410 not_found_error, `snapshot_gone`
├── TooLarge                413 invalid_request_error
├── UnsupportedMedia        415 invalid_request_error
├── Unprocessable           422 invalid_request_error, `idempotency_key_reused`
├── RateLimited             429 rate_limit_error, with Retry-After
├── InternalError           500 api_error
└── Unavailable             503 api_error, with Retry-After
    ├── EngineUnavailable       `engine_unavailable`
    ├── KnowledgeUnavailable    `knowledge_unavailable`
    ├── AuditUnavailable        `audit_unavailable`
    ├── Overloaded              `overloaded`
    └── Draining                `draining`

A message has two sentences: what is wrong, and what to do. It never holds a path, an address, SQL, a prompt or a
document's text: those belong to the log, which knows the request's id.
"""

import math
from enum import StrEnum
from typing import Any, ClassVar


class ErrorType(StrEnum):
    """OpenAI's `error.type`."""

    INVALID_REQUEST = "invalid_request_error"
    AUTHENTICATION = "authentication_error"
    PERMISSION = "permission_error"
    NOT_FOUND = "not_found_error"
    CONFLICT = "conflict"
    RATE_LIMIT = "rate_limit_error"
    API = "api_error"


class ErrorCode(StrEnum):
    """`error.code`: what a program branches on."""

    INVALID_JSON = "invalid_json"
    INVALID_VALUE = "invalid_value"
    MISSING_FIELD = "missing_field"
    UNSUPPORTED_FIELD = "unsupported_field"
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    UNREADABLE_DOCUMENT = "unreadable_document"
    SUSPICIOUS_DOCUMENT = "suspicious_document"
    INVALID_ADAPTER = "invalid_adapter"
    INVALID_API_KEY = "invalid_api_key"
    PERMISSION_DENIED = "permission_denied"
    NOT_FOUND = "not_found"
    MODEL_NOT_FOUND = "model_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    REVISION_MISMATCH = "revision_mismatch"
    GATE_NOT_PASSED = "gate_not_passed"
    SNAPSHOT_GONE = "snapshot_gone"
    TOO_LARGE = "too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
    INTERNAL_ERROR = "internal_error"
    ENGINE_UNAVAILABLE = "engine_unavailable"
    KNOWLEDGE_UNAVAILABLE = "knowledge_unavailable"
    AUDIT_UNAVAILABLE = "audit_unavailable"
    OVERLOADED = "overloaded"
    DRAINING = "draining"


class GroundtoneError(Exception):
    """An error with its HTTP status, type and code.

    `what` says in one sentence what is wrong, `do` in one what the caller can do; `param` names the request field.
    """

    status: ClassVar[int] = 500
    type: ClassVar[ErrorType] = ErrorType.API
    default_code: ClassVar[ErrorCode] = ErrorCode.INTERNAL_ERROR
    default_retry_after: ClassVar[float | None] = None

    def __init__(
        self,
        what: str,
        do: str,
        *,
        code: ErrorCode | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{what} {do}")
        self.code = code or self.default_code
        self.param = param
        self.retry_after = retry_after if retry_after is not None else self.default_retry_after

    def headers(self) -> dict[str, str]:
        """`Retry-After` in whole seconds, where there is a time to come back."""
        return {} if self.retry_after is None else {"retry-after": str(max(1, math.ceil(self.retry_after)))}

    def body(self) -> dict[str, Any]:
        """The contract's error object: `{"error": {"message", "type", "code", "param"}}`."""
        return {"error": {"message": str(self), "type": self.type, "code": self.code, "param": self.param}}


class InvalidRequest(GroundtoneError):
    status = 400
    type = ErrorType.INVALID_REQUEST
    default_code = ErrorCode.INVALID_VALUE


class AuthenticationFailed(GroundtoneError):
    status = 401
    type = ErrorType.AUTHENTICATION
    default_code = ErrorCode.INVALID_API_KEY


class PermissionDenied(GroundtoneError):
    status = 403
    type = ErrorType.PERMISSION
    default_code = ErrorCode.PERMISSION_DENIED


class NotFound(GroundtoneError):
    status = 404
    type = ErrorType.NOT_FOUND
    default_code = ErrorCode.NOT_FOUND


class MethodNotAllowed(GroundtoneError):
    status = 405
    type = ErrorType.INVALID_REQUEST
    default_code = ErrorCode.METHOD_NOT_ALLOWED


class Conflict(GroundtoneError):
    status = 409
    type = ErrorType.CONFLICT
    default_code = ErrorCode.CONFLICT


class Gone(GroundtoneError):
    status = 410
    type = ErrorType.NOT_FOUND
    default_code = ErrorCode.SNAPSHOT_GONE


class TooLarge(GroundtoneError):
    status = 413
    type = ErrorType.INVALID_REQUEST
    default_code = ErrorCode.TOO_LARGE


class UnsupportedMedia(GroundtoneError):
    status = 415
    type = ErrorType.INVALID_REQUEST
    default_code = ErrorCode.UNSUPPORTED_MEDIA_TYPE


class Unprocessable(GroundtoneError):
    status = 422
    type = ErrorType.INVALID_REQUEST
    default_code = ErrorCode.IDEMPOTENCY_KEY_REUSED


class RateLimited(GroundtoneError):
    status = 429
    type = ErrorType.RATE_LIMIT
    default_code = ErrorCode.RATE_LIMIT_EXCEEDED
    default_retry_after = 1.0


class InternalError(GroundtoneError):
    pass


class Unavailable(GroundtoneError):
    status = 503
    default_retry_after = 2.0


class EngineUnavailable(Unavailable):
    default_code = ErrorCode.ENGINE_UNAVAILABLE


class KnowledgeUnavailable(Unavailable):
    default_code = ErrorCode.KNOWLEDGE_UNAVAILABLE


class AuditUnavailable(Unavailable):
    default_code = ErrorCode.AUDIT_UNAVAILABLE


class Overloaded(Unavailable):
    default_code = ErrorCode.OVERLOADED


class Draining(Unavailable):
    default_code = ErrorCode.DRAINING


def _leaves(cls: type[GroundtoneError]) -> list[type[GroundtoneError]]:
    return [cls, *(leaf for sub in cls.__subclasses__() for leaf in _leaves(sub))]


def from_body(status: int, body: dict[str, Any], retry_after: float | None = None) -> GroundtoneError:
    """The error that another groundtone process sent over HTTP, as the exception it was there."""
    error = body.get("error") or {}
    code = ErrorCode(error.get("code") or ErrorCode.INTERNAL_ERROR)
    family = [cls for cls in _leaves(GroundtoneError) if cls.status == status] or [InternalError]
    cls = next((cls for cls in family if cls.default_code == code), family[0])
    raised = cls(str(error.get("message", "")), "", code=code, param=error.get("param"), retry_after=retry_after)
    raised.args = (str(error.get("message", "")),)
    return raised
