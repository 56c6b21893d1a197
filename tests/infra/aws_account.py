"""An AWS account on loopback: moto's server, which also keeps what API Gateway was sent."""

import io
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.core.config import default_user_config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

REGION = "ap-northeast-1"
ACCOUNT = "123456789012"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

StartResponse = Callable[..., Any]


class QuietHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


class RecordingAws:
    """moto's application; remembers each OpenAPI document that PutRestApi brought."""

    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []
        default_user_config["iam"]["load_aws_managed_policies"] = True
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        if environ["REQUEST_METHOD"] == "PUT" and is_rest_api(environ["PATH_INFO"]):
            self.documents.append(json.loads(body))
            body = complete_mocks(json.loads(body))
            environ["wsgi.input"] = io.BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))
        answer: Iterable[bytes] = self._moto(environ, start_response)
        return answer


def is_rest_api(path: str) -> bool:
    return path.startswith("/restapis/") and path.count("/") == 2


def complete_mocks(document: dict[str, Any]) -> bytes:
    """moto wants a uri and a method of every integration; API Gateway does not of a mock."""
    for methods in document["paths"].values():
        for operation in methods.values():
            integration = operation["x-amazon-apigateway-integration"]
            if integration["type"] == "mock":
                integration |= {"uri": "", "httpMethod": "POST"}
    return json.dumps(document).encode()


class Account:
    """An empty account and its clients."""

    def __init__(self, url: str, aws: RecordingAws) -> None:
        self.url = url
        self.aws = aws
        self.environment = {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_MAX_ATTEMPTS": "2",
        }

    def client(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]  # the name is not a literal here
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def inventory(self) -> dict[str, list[str]]:
        """What an owner would find in the console, by name."""
        gateway, logs, watch = (self.client(n) for n in ("apigateway", "logs", "cloudwatch"))
        functions = self.client("lambda").list_functions()["Functions"]
        return {
            "functions": [function["FunctionName"] for function in functions],
            "roles": [role["RoleName"] for role in self.client("iam").list_roles()["Roles"]],
            "repositories": [
                repository["repositoryName"]
                for repository in self.client("ecr").describe_repositories()["repositories"]
            ],
            "apis": [api["name"] for api in gateway.get_rest_apis()["items"]],
            "keys": [key["name"] for key in gateway.get_api_keys()["items"]],
            "plans": [plan["name"] for plan in gateway.get_usage_plans()["items"]],
            "domains": [domain["domainName"] for domain in gateway.get_domain_names()["items"]],
            "log groups": [
                group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]
            ],
            "alarms": [alarm["AlarmName"] for alarm in watch.describe_alarms()["MetricAlarms"]],
            "dashboards": [
                board["DashboardName"] for board in watch.list_dashboards()["DashboardEntries"]
            ],
        }


@contextmanager
def serve_account() -> Iterator[Account]:
    aws = RecordingAws()
    server = make_server("127.0.0.1", 0, aws, threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Account(f"http://127.0.0.1:{server.server_port}", aws)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
