"""A closed deployment under its own domain, from an image that exists: applied and destroyed."""

from collections.abc import Iterator

import pytest

from infra.aws_account import ACCOUNT, REGION, Account
from infra.project import Project

pytestmark = pytest.mark.slow

IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/shared@sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def deployed(project: Project, account: Account) -> Iterator[Account]:
    certificates = account.client("acm")
    arn = certificates.request_certificate(DomainName="llm.example.com")["CertificateArn"]
    zone = account.client("route53").create_hosted_zone(Name="example.com", CallerReference="1")
    project.write_settings(
        image_uri=IMAGE,
        domain_name="llm.example.com",
        certificate_arn=arn,
        base_path="chef",
        hosted_zone_id=zone["HostedZone"]["Id"].removeprefix("/hostedzone/"),
        allowed_cidrs=["203.0.113.0/24"],
        account_logging_role=False,
    )
    project.apply()
    yield account
    project.destroy()
    assert not any(account.inventory().values()), account.inventory()


def test_nothing_is_built_and_a_plan_shows_no_change(deployed: Account, project: Project) -> None:
    assert project.recorded() == []
    assert deployed.client("ecr").describe_repositories()["repositories"] == []
    assert project.changes() == {}


def test_the_domain_leads_to_the_stage_and_the_old_address_is_off(deployed: Account) -> None:
    gateway = deployed.client("apigateway")
    (api,) = gateway.get_rest_apis()["items"]
    (mapping,) = gateway.get_base_path_mappings(domainName="llm.example.com")["items"]
    assert mapping == {"basePath": "chef", "restApiId": api["id"], "stage": "live"}
    assert api["disableExecuteApiEndpoint"] is True


def test_the_address_record_points_to_the_domain(deployed: Account) -> None:
    dns = deployed.client("route53")
    (zone,) = dns.list_hosted_zones()["HostedZones"]
    records = dns.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    assert "llm.example.com." in {record["Name"] for record in records if record["Type"] == "A"}


def test_the_function_knows_its_base_path(deployed: Account, project: Project) -> None:
    function = deployed.client("lambda").get_function_configuration(FunctionName="gguf-lambda")
    assert function["Environment"]["Variables"]["BASE_PATH"] == "chef"
    assert project.outputs()["endpoint"] == "https://llm.example.com/chef"


def test_other_addresses_are_denied(deployed: Account) -> None:
    policy = deployed.aws.documents[-1]["x-amazon-apigateway-policy"]
    allow, deny = policy["Statement"]
    assert (allow["Effect"], deny["Effect"]) == ("Allow", "Deny")
    assert deny["Condition"] == {"NotIpAddress": {"aws:SourceIp": ["203.0.113.0/24"]}}
