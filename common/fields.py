"""What a caller sent as JSON, as a model of its fields; or the contract's error, which names the one that is wrong."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import orjson
from pydantic import BaseModel, ValidationError

from common.errors import ErrorCode, InvalidRequest

Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], data: bytes) -> Model:
    """The JSON object in `data`. Raises InvalidRequest."""
    try:
        raw = orjson.loads(data)
    except orjson.JSONDecodeError:
        raw = None
    if not isinstance(raw, dict):
        raise InvalidRequest("This is no JSON object.", "Send one, in UTF-8.", code=ErrorCode.INVALID_JSON)
    return check(model, cast("dict[str, Any]", raw))


def check(model: type[Model], fields: Mapping[str, Any]) -> Model:
    """`fields` as `model` has them. Raises InvalidRequest."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise _first_fault(error) from None


def _first_fault(error: ValidationError) -> InvalidRequest:
    faults = error.errors(include_url=False, include_context=False)
    # An unknown field is the clearest cause; the other faults are often only its consequence.
    fault = next((f for f in faults if f["type"] == "extra_forbidden"), faults[0])
    param = ".".join(str(part) for part in fault["loc"]) or None
    if fault["type"] == "extra_forbidden":
        return InvalidRequest(
            f"The field `{param}` is not supported.",
            "Leave it out; the docs list the fields that are.",
            code=ErrorCode.UNSUPPORTED_FIELD,
            param=param,
        )
    if fault["type"] == "missing":
        return InvalidRequest(f"The field `{param}` is missing.", "Add it.", code=ErrorCode.MISSING_FIELD, param=param)
    reason = fault["msg"].removeprefix("Value error, ")
    where = f"The field `{param}` is not valid" if param else "The request is not valid"
    return InvalidRequest(f"{where}: {reason}.", "Correct it and send it again.", param=param)
