"""A handler as the official Python runtime client runs it."""

import json
from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    if event["path"] == "/raise":
        raise ValueError("as asked")
    told = {
        "path": event["path"],
        "request_id": context.aws_request_id,
        "function": context.function_name,
        "memory_mb": context.memory_limit_in_mb,
        "has_time": 0 < context.get_remaining_time_in_millis() <= 30_000,
        "arn": context.invoked_function_arn,
        "echo": event["body"],
    }
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(told, ensure_ascii=False),
    }
