# What each choice makes, with a provider that makes nothing.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:ap-northeast-1:123456789012:log-group:mock" }
  }
  mock_resource "aws_lambda_function" {
    defaults = {
      arn        = "arn:aws:lambda:ap-northeast-1:123456789012:function:mock"
      invoke_arn = "arn:aws:apigateway:ap-northeast-1:lambda:path/2015-03-31/functions/arn:aws:lambda:ap-northeast-1:123456789012:function:mock/invocations"
    }
  }
  mock_resource "aws_lambda_alias" {
    defaults = {
      arn        = "arn:aws:lambda:ap-northeast-1:123456789012:function:mock:live"
      invoke_arn = "arn:aws:apigateway:ap-northeast-1:lambda:path/2015-03-31/functions/arn:aws:lambda:ap-northeast-1:123456789012:function:mock:live/invocations"
    }
  }
  mock_resource "aws_api_gateway_rest_api" {
    defaults = { execution_arn = "arn:aws:execute-api:ap-northeast-1:123456789012:mock" }
  }
}

variables {
  image_uri = "123456789012.dkr.ecr.ap-northeast-1.amazonaws.com/gguf-lambda@sha256:0000000000000000000000000000000000000000000000000000000000000000"
}

run "an_image_that_exists_is_taken_as_it_is" {
  assert {
    condition     = length(aws_ecr_repository.image) == 0 && length(terraform_data.image) == 0
    error_message = "Nothing must be built."
  }
  assert {
    condition     = aws_lambda_function.model.image_uri == var.image_uri && aws_lambda_function.authorizer[0].image_uri == var.image_uri
    error_message = "Both functions run the given image."
  }
  assert {
    condition     = jsondecode(aws_api_gateway_rest_api.api.body).paths["/v1/chat/completions"].post["x-amazon-apigateway-integration"].responseTransferMode == "STREAM"
    error_message = "Streaming is the default."
  }
  assert {
    condition     = !can(jsondecode(aws_api_gateway_rest_api.api.body).paths["/"].options) && !can(jsondecode(aws_api_gateway_rest_api.api.body)["x-amazon-apigateway-policy"])
    error_message = "Without an origin there is no preflight, without ranges no policy."
  }
}

run "buffered_answers_use_the_plain_invocation" {
  variables { response_mode = "buffered" }

  assert {
    condition     = jsondecode(aws_api_gateway_rest_api.api.body).paths["/"].post["x-amazon-apigateway-integration"].uri == aws_lambda_alias.live.invoke_arn
    error_message = "A buffered integration must use the buffered URI."
  }
  assert {
    condition     = jsondecode(aws_api_gateway_rest_api.api.body).paths["/"].post["x-amazon-apigateway-integration"].timeoutInMillis == 29000 && aws_lambda_function.model.timeout == 29
    error_message = "API Gateway waits 29 seconds."
  }
  assert {
    condition     = aws_lambda_function.model.environment[0].variables.RESPONSE_MODE == "buffered"
    error_message = "The function must know."
  }
}

run "snapstart_snapshots_published_versions" {
  variables { cold_start = "snapstart" }

  assert {
    condition     = aws_lambda_function.model.snap_start[0].apply_on == "PublishedVersions" && aws_lambda_function.model.publish
    error_message = "SnapStart exists for published versions only."
  }
  assert {
    condition     = length(aws_lambda_provisioned_concurrency_config.live) == 0
    error_message = "SnapStart excludes provisioned concurrency."
  }
}

run "provisioned_environments_wait_behind_the_alias" {
  variables {
    cold_start              = "provisioned"
    provisioned_concurrency = 2
  }

  assert {
    condition     = aws_lambda_provisioned_concurrency_config.live[0].qualifier == "live" && aws_lambda_provisioned_concurrency_config.live[0].provisioned_concurrent_executions == 2
    error_message = "The alias must be warm: it is what API Gateway calls."
  }
}

run "a_domain_replaces_the_execute_api_address" {
  variables {
    domain_name     = "llm.example.com"
    certificate_arn = "arn:aws:acm:ap-northeast-1:123456789012:certificate/a"
    base_path       = "chef"
    hosted_zone_id  = "Z123"
  }

  assert {
    condition     = aws_api_gateway_rest_api.api.disable_execute_api_endpoint
    error_message = "The execute-api address must be off."
  }
  assert {
    condition     = aws_api_gateway_base_path_mapping.domain[0].base_path == "chef" && aws_lambda_function.model.environment[0].variables.BASE_PATH == "chef"
    error_message = "The function must strip the path that the mapping adds."
  }
  assert {
    condition     = output.endpoint == "https://llm.example.com/chef" && aws_route53_record.domain[0].name == "llm.example.com"
    error_message = "The endpoint is under the domain."
  }
}

run "iam_makes_no_key_and_admits_no_other_account" {
  variables {
    authorization = "iam"
    allowed_cidrs = ["203.0.113.0/24"]
  }

  assert {
    condition     = length(aws_api_gateway_api_key.key) + length(aws_api_gateway_usage_plan.plan) + length(aws_lambda_function.authorizer) == 0
    error_message = "Under iam there are no keys."
  }
  assert {
    condition     = jsondecode(aws_api_gateway_rest_api.api.body).components.securitySchemes.signature["x-amazon-apigateway-authtype"] == "awsSigv4"
    error_message = "Requests are signed."
  }
  assert {
    condition     = one(jsondecode(aws_api_gateway_rest_api.api.body)["x-amazon-apigateway-policy"].Statement).Effect == "Deny"
    error_message = "An Allow in the policy would admit any account's signatures."
  }
}

run "address_ranges_close_the_rest" {
  variables { allowed_cidrs = ["203.0.113.0/24", "2001:db8::/32"] }

  assert {
    condition     = jsondecode(aws_api_gateway_rest_api.api.body)["x-amazon-apigateway-policy"].Statement[1].Condition.NotIpAddress["aws:SourceIp"] == ["203.0.113.0/24", "2001:db8::/32"]
    error_message = "Everything outside the ranges is denied."
  }
  assert {
    condition     = jsondecode(aws_api_gateway_rest_api.api.body)["x-amazon-apigateway-policy"].Statement[0].Effect == "Allow"
    error_message = "A policy without an Allow would deny every key."
  }
}

run "a_model_in_s3_is_read_by_the_role_and_not_built_in" {
  variables {
    model_uri = "s3://my-models/dolly"
    memory_mb = 1024
  }

  assert {
    condition     = local.model_from == "nothing" && aws_lambda_function.model.environment[0].variables.MODEL_URI == "s3://my-models/dolly"
    error_message = "The image holds no model."
  }
  assert {
    condition     = data.aws_iam_policy_document.function.statement[2].resources == toset(["arn:aws:s3:::my-models/dolly/*"])
    error_message = "The role reads that prefix and nothing else."
  }
}

run "arm64_is_built_and_run_as_such" {
  variables { architecture = "arm64" }

  assert {
    condition     = aws_lambda_function.model.architectures == tolist(["arm64"]) && aws_lambda_function.authorizer[0].architectures == tolist(["arm64"])
    error_message = "Both functions run the image's architecture."
  }
}

run "the_account_wide_logging_role_can_be_left_alone" {
  variables { account_logging_role = false }

  assert {
    condition     = length(aws_api_gateway_account.logging) == 0 && length(aws_iam_role.api_logging) == 0
    error_message = "There is one such setting for each account and region."
  }
}
