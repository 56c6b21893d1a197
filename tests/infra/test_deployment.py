"""One deployment's life: applied, read back as a reviewer would, changed, destroyed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import validate

from gguf_lambda.openapi import describe_api
from gguf_lambda.settings import Settings
from infra.aws_account import ACCOUNT, REGION, Account
from infra.project import Project

pytestmark = pytest.mark.slow

FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:gguf-lambda"
STREAMING_URI = (
    f"arn:aws:apigateway:{REGION}:lambda:path/2021-11-15/functions/{FUNCTION}:live"
    "/response-streaming-invocations"
)
SETTINGS = {"api_keys": ["notebook", "intranet"], "cors_origin": "https://example.com"}


@pytest.fixture(scope="module")
def deployed(project: Project, account: Account) -> Iterator[Account]:
    project.write_settings(**SETTINGS)
    project.apply()
    yield account
    project.destroy()
    assert not any(account.inventory().values()), account.inventory()


@pytest.fixture(scope="module")
def body(deployed: Account) -> dict[str, Any]:
    return deployed.aws.documents[-1]


@pytest.fixture(scope="module")
def configuration(deployed: Account) -> dict[str, Any]:
    configuration: dict[str, Any] = deployed.client("lambda").get_function_configuration(
        FunctionName="gguf-lambda"
    )
    return configuration


def operations(body: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{method} {path}": operation
        for path, methods in body["paths"].items()
        for method, operation in methods.items()
        if method != "options"
    }


def test_a_plan_after_an_apply_shows_no_change(deployed: Account, project: Project) -> None:
    assert project.changes() == {}


def test_every_route_streams_from_the_alias(body: dict[str, Any]) -> None:
    for operation in operations(body).values():
        assert operation["x-amazon-apigateway-integration"] == {
            "type": "aws_proxy",
            "httpMethod": "POST",
            "uri": STREAMING_URI,
            "responseTransferMode": "STREAM",
            "timeoutInMillis": 300_000,
        }


def test_api_gateway_holds_the_streaming_integration(deployed: Account) -> None:
    gateway = deployed.client("apigateway")
    (api,) = gateway.get_rest_apis()["items"]
    resources = gateway.get_resources(restApiId=api["id"])["items"]
    (anything,) = [item for item in resources if item["path"] == "/{proxy+}"]
    method = anything["resourceMethods"]["X-AMAZON-APIGATEWAY-ANY-METHOD"]
    assert method["methodIntegration"]["uri"] == STREAMING_URI
    assert method["methodIntegration"]["timeoutInMillis"] == 300_000
    assert api["apiKeySource"] == "AUTHORIZER"
    assert api["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert api["disableExecuteApiEndpoint"] is False


def test_no_route_is_open(body: dict[str, Any]) -> None:
    assert {"x-amazon-apigateway-any-method /{proxy+}", "post /"} <= operations(body).keys()
    for operation in operations(body).values():
        assert operation["security"] == [{"bearer": []}, {"api_key": []}]


def test_a_key_is_taken_from_either_header(body: dict[str, Any]) -> None:
    bearer = body["components"]["securitySchemes"]["bearer"]
    assert bearer["x-amazon-apigateway-authorizer"] == {
        "type": "request",
        "authorizerResultTtlInSeconds": 0,
        "authorizerUri": f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/"
        f"{FUNCTION}-authorizer/invocations",
    }


def test_a_browser_may_ask_without_a_key_and_wakes_nothing(body: dict[str, Any]) -> None:
    for path in describe_api()["paths"]:
        preflight = body["paths"][path]["options"]
        assert "security" not in preflight
        assert preflight["x-amazon-apigateway-integration"]["type"] == "mock"


def test_the_document_is_valid_and_names_the_routes_that_the_function_tells(
    body: dict[str, Any],
) -> None:
    validate(body)
    told = describe_api()
    own = {"options", "x-amazon-apigateway-any-method"}
    assert {path: methods.keys() - own for path, methods in body["paths"].items()} == {
        "/{proxy+}": set(),
        **{path: methods.keys() for path, methods in told["paths"].items()},
    }
    assert body["components"]["schemas"].keys() == told["components"]["schemas"].keys()


def test_refusals_have_the_form_of_the_function(body: dict[str, Any]) -> None:
    refusals = body["x-amazon-apigateway-gateway-responses"]
    for refusal in refusals.values():
        template = refusal["responseTemplates"]["application/json"]
        error = json.loads(template.replace("$context.error.messageString", '"…"'))
        assert error["error"].keys() == {"message", "type", "param", "code"}
        assert error["request_id"] == "$context.requestId"
        assert refusal["responseParameters"] == {
            "gatewayresponse.header.Access-Control-Allow-Origin": "'https://example.com'"
        }
    statuses = {kind: refusal.get("statusCode") for kind, refusal in refusals.items()}
    assert statuses["INVALID_API_KEY"] == statuses["UNAUTHORIZED"] == 401
    assert statuses["THROTTLED"] == statuses["QUOTA_EXCEEDED"] == 429
    assert statuses["REQUEST_TOO_LARGE"] == 413
    assert statuses["INTEGRATION_TIMEOUT"] == 504


def test_each_key_is_in_the_plan_with_its_limits(deployed: Account) -> None:
    gateway = deployed.client("apigateway")
    (plan,) = gateway.get_usage_plans()["items"]
    keys = gateway.get_usage_plan_keys(usagePlanId=plan["id"])["items"]
    assert {key["name"] for key in keys} == {"gguf-lambda-intranet", "gguf-lambda-notebook"}
    assert plan["throttle"] == {"burstLimit": 10, "rateLimit": 5.0}
    assert (plan["quota"]["limit"], plan["quota"]["period"]) == (2000, "DAY")
    (stage,) = plan["apiStages"]
    assert stage["stage"] == "live"


def test_the_stage_logs_and_traces(deployed: Account) -> None:
    gateway = deployed.client("apigateway")
    (api,) = gateway.get_rest_apis()["items"]
    stage = gateway.get_stage(restApiId=api["id"], stageName="live")
    assert stage["tracingEnabled"] is True
    log = stage["accessLogSettings"]
    assert log["destinationArn"].endswith("log-group:/aws/apigateway/gguf-lambda")
    assert {"key", "status", "latency_ms"} <= json.loads(log["format"]).keys()
    retentions = deployed.client("logs").describe_log_groups()["logGroups"]
    assert {group["retentionInDays"] for group in retentions} == {30}


def test_only_this_api_may_call_the_alias(deployed: Account) -> None:
    client = deployed.client("lambda")
    policy = json.loads(client.get_policy(FunctionName="gguf-lambda")["Policy"])
    (statement,) = policy["Statement"]
    (api,) = deployed.client("apigateway").get_rest_apis()["items"]
    assert statement["Principal"] == {"Service": "apigateway.amazonaws.com"}
    assert statement["Action"] == "lambda:InvokeFunction"
    assert statement["Resource"] == f"{FUNCTION}:live"
    source = statement["Condition"]["ArnLike"]["AWS:SourceArn"]
    assert source == f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api['id']}/live/*"


def test_the_role_may_write_its_log_and_traces_only(deployed: Account) -> None:
    policy = deployed.client("iam").get_role_policy(RoleName="gguf-lambda", PolicyName="function")
    allowed = {item["Sid"]: item["Resource"] for item in policy["PolicyDocument"]["Statement"]}
    log_group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/gguf-lambda:*"
    assert allowed == {"WriteItsOwnLog": log_group, "SendTraces": "*"}


def test_the_function_runs_the_pushed_image_by_digest(
    deployed: Account, configuration: dict[str, Any]
) -> None:
    (image,) = deployed.client("ecr").describe_images(repositoryName="gguf-lambda")["imageDetails"]
    code = deployed.client("lambda").get_function(FunctionName="gguf-lambda")["Code"]
    registry = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
    assert code["ImageUri"] == f"{registry}/gguf-lambda@{image['imageDigest']}"
    assert configuration["PackageType"] == "Image"
    assert configuration["MemorySize"] == 3008
    assert configuration["Timeout"] == 300


def test_the_lifecycle_keeps_the_image_in_use(deployed: Account) -> None:
    ecr = deployed.client("ecr")
    (image,) = ecr.describe_images(repositoryName="gguf-lambda")["imageDetails"]
    policy = ecr.get_lifecycle_policy(repositoryName="gguf-lambda")["lifecyclePolicyText"]
    first, second = json.loads(policy)["rules"]
    assert first["selection"]["tagPatternList"] == image["imageTags"]
    assert (first["selection"]["countType"], first["selection"]["countNumber"]) == (
        "imageCountMoreThan",
        1,
    )
    assert first["rulePriority"] < second["rulePriority"]


def test_the_repository_is_immutable_and_scanned(deployed: Account) -> None:
    (repository,) = deployed.client("ecr").describe_repositories()["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}


class ReadKeys(dict[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self, variables: dict[str, str]) -> None:
        super().__init__(variables)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)


def test_the_environment_is_what_the_settings_read(configuration: dict[str, Any]) -> None:
    environment = ReadKeys(configuration["Environment"]["Variables"])
    settings = Settings.from_environment(environment)
    assert environment.keys() <= environment.asked
    assert settings.response_mode == "stream"
    assert settings.max_tokens == 256
    assert settings.cors_origin == "https://example.com"
    assert settings.system_prompt == Settings().system_prompt


def test_what_needs_a_person_has_an_alarm(deployed: Account) -> None:
    alarms = deployed.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert {alarm["AlarmName"]: alarm["Threshold"] for alarm in alarms} == {
        "gguf-lambda-errors": 0,
        "gguf-lambda-throttles": 0,
        "gguf-lambda-slow": 270_000,
        "gguf-lambda-cold-starts": 30,
    }


def test_the_outputs_are_the_endpoint_and_how_to_call_it(
    deployed: Account, project: Project
) -> None:
    (api,) = deployed.client("apigateway").get_rest_apis()["items"]
    outputs = project.outputs()
    assert outputs["endpoint"] == f"https://{api['id']}.execute-api.{REGION}.amazonaws.com/live"
    assert outputs["show_api_key"].keys() == {"intranet", "notebook"}
    assert outputs["show_api_key"]["intranet"] in outputs["curl"]
    assert outputs["curl"].startswith(f"curl {outputs['endpoint']}/ ")


def test_a_new_system_prompt_changes_the_function_alone(
    deployed: Account, project: Project
) -> None:
    project.write_settings(**SETTINGS, system_prompt="あなたは詩人です。")
    changes = project.changes()
    project.write_settings(**SETTINGS)
    assert changes == {"aws_lambda_function.model": ["update"], "aws_lambda_alias.live": ["update"]}


def test_a_new_key_leaves_the_others(deployed: Account, project: Project) -> None:
    project.write_settings(**{**SETTINGS, "api_keys": ["notebook", "intranet", "phone"]})
    changes = project.changes()
    project.write_settings(**SETTINGS)
    assert changes == {
        'aws_api_gateway_api_key.key["phone"]': ["create"],
        'aws_api_gateway_usage_plan_key.key["phone"]': ["create"],
        "aws_api_gateway_method_settings.live": ["update"],
    }


def test_what_does_not_go_into_the_image_does_not_rebuild_it(
    deployed: Account, project: Project
) -> None:
    for name in ("requirements/dev.txt", "lambda/model_build/catalog.py"):
        (project.folder / name).write_text("# changed\n")
    assert project.changes() == {}


def test_changed_code_is_built_and_pushed_once(deployed: Account, project: Project) -> None:
    before = deployed.client("lambda").get_function(FunctionName="gguf-lambda")["Code"]["ImageUri"]
    project.recorded()
    (project.folder / "lambda/gguf_lambda/settings.py").write_text("# changed\n")
    project.apply()
    after = deployed.client("lambda").get_function(FunctionName="gguf-lambda")["Code"]["ImageUri"]
    pushed = [call for call in project.recorded() if "--push" in call["arguments"]]
    assert before != after
    assert len(pushed) == 1
    assert project.changes() == {}
