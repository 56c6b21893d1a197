# Settings that would fail late fail at plan time, with a sentence.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  image_uri = "123456789012.dkr.ecr.ap-northeast-1.amazonaws.com/gguf-lambda@sha256:0000000000000000000000000000000000000000000000000000000000000000"
}

run "the_defaults_are_accepted" {
  command = plan

  assert {
    condition     = aws_lambda_function.model.memory_size == 3008 && aws_lambda_function.model.timeout == 300
    error_message = "The defaults must fit a new account."
  }
}

run "memory_must_hold_the_model" {
  command = plan
  variables { memory_mb = 2048 }
  expect_failures = [terraform_data.checks]
}

run "a_larger_model_needs_more_memory" {
  command = plan
  variables { model = "elyza-japanese-codellama-7b-instruct" }
  expect_failures = [terraform_data.checks]
}

run "a_larger_model_with_its_memory_is_accepted" {
  command = plan
  variables {
    model     = "elyza-japanese-codellama-7b-instruct"
    memory_mb = 8192
  }
}

run "an_unknown_model_is_refused_before_it_is_built" {
  command = plan
  variables {
    model     = "no-such-model"
    image_uri = null
  }
  expect_failures = [terraform_data.checks]
}

run "a_buffered_answer_cannot_take_longer_than_29_seconds" {
  command = plan
  variables {
    response_mode   = "buffered"
    timeout_seconds = 30
  }
  expect_failures = [terraform_data.checks]
}

run "a_buffered_answer_may_take_29_seconds" {
  command = plan
  variables {
    response_mode   = "buffered"
    timeout_seconds = 29
  }
}

run "a_stream_cannot_take_longer_than_15_minutes" {
  command = plan
  variables { timeout_seconds = 901 }
  expect_failures = [var.timeout_seconds]
}

run "snapstart_excludes_provisioned_concurrency" {
  command = plan
  variables {
    cold_start              = "snapstart"
    provisioned_concurrency = 1
  }
  expect_failures = [terraform_data.checks]
}

run "provisioned_concurrency_needs_a_number" {
  command = plan
  variables { cold_start = "provisioned" }
  expect_failures = [terraform_data.checks]
}

run "snapstart_has_a_small_tmp" {
  command = plan
  variables {
    cold_start = "snapstart"
    tmp_mb     = 1024
  }
  expect_failures = [terraform_data.checks]
}

run "a_domain_needs_a_certificate" {
  command = plan
  variables { domain_name = "llm.example.com" }
  expect_failures = [terraform_data.checks]
}

run "a_certificate_must_be_in_the_region" {
  command = plan
  variables {
    domain_name     = "llm.example.com"
    certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/a"
  }
  expect_failures = [terraform_data.checks]
}

run "a_base_path_needs_a_domain" {
  command = plan
  variables { base_path = "chef" }
  expect_failures = [terraform_data.checks]
}

run "a_region_without_streaming_is_refused" {
  command = plan
  variables { region = "cn-north-1" }
  expect_failures = [terraform_data.checks]
}

run "somebody_must_be_able_to_call" {
  command = plan
  variables { api_keys = [] }
  expect_failures = [terraform_data.checks]
}

run "memory_stays_within_lambda" {
  command = plan
  variables { memory_mb = 10241 }
  expect_failures = [var.memory_mb]
}

run "an_address_range_must_be_one" {
  command = plan
  variables { allowed_cidrs = ["office"] }
  expect_failures = [var.allowed_cidrs]
}

run "an_image_is_named_by_digest" {
  command = plan
  variables { image_uri = "123456789012.dkr.ecr.ap-northeast-1.amazonaws.com/gguf-lambda:latest" }
  expect_failures = [var.image_uri]
}

run "an_origin_has_no_path" {
  command = plan
  variables { cors_origin = "https://example.com/chat" }
  expect_failures = [var.cors_origin]
}
