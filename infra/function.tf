# The function that holds the model: its role, its log, the function, and the alias that API Gateway calls.

data "aws_iam_policy_document" "lambda_assumes" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "function" {
  name               = local.name
  assume_role_policy = data.aws_iam_policy_document.lambda_assumes.json
}

data "aws_iam_policy_document" "function" {
  #checkov:skip=CKV_AWS_356:X-Ray's two actions know no resource; everything else is named.
  #checkov:skip=CKV_AWS_111:The same two actions; they write trace segments and nothing else.
  statement {
    sid       = "WriteItsOwnLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.function.arn}:*"]
  }
  statement {
    sid       = "SendTraces"
    actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
    resources = ["*"]
  }
  dynamic "statement" {
    for_each = var.model_uri == null ? [] : [trimprefix(var.model_uri, "s3://")]
    content {
      sid       = "ReadTheModel"
      actions   = ["s3:GetObject"]
      resources = ["arn:${local.partition}:s3:::${statement.value}/*"]
    }
  }
}

resource "aws_iam_role_policy" "function" {
  name   = "function"
  role   = aws_iam_role.function.id
  policy = data.aws_iam_policy_document.function.json
}

resource "aws_cloudwatch_log_group" "function" {
  #checkov:skip=CKV_AWS_158:Encrypted by CloudWatch; prompts are not logged, so a key of one's own would guard counts and durations.
  #checkov:skip=CKV_AWS_338:Thirty days by default, because these logs are for operation; log_retention_days takes 365 for those who must keep them.
  name              = "/aws/lambda/${local.name}"
  retention_in_days = var.log_retention_days
}

locals {
  # Only what differs from the function's own defaults; null is left out.
  environment = {
    MODEL_URI     = var.model_uri
    SYSTEM_PROMPT = var.system_prompt
    RESPONSE_MODE = var.response_mode
    MAX_TOKENS    = tostring(var.max_tokens)
    KERNELS       = var.kernels
    CORS_ORIGIN   = var.cors_origin
    BASE_PATH     = var.base_path
    LOG_PROMPTS   = tostring(var.log_prompts)
    LOG_LEVEL     = var.log_level
  }
}

resource "aws_lambda_function" "model" {
  #checkov:skip=CKV_AWS_115:max_concurrency reserves; it is off by default because a new account has too few executions to reserve any.
  #checkov:skip=CKV_AWS_116:Requests are synchronous: there is nothing to put into a dead letter queue.
  #checkov:skip=CKV_AWS_117:It opens no connection but to S3 and needs no private network.
  #checkov:skip=CKV_AWS_173:No secret among the variables; Lambda encrypts them with its own key.
  #checkov:skip=CKV_AWS_272:Code signing does not exist for container images; the image is taken by digest.
  function_name = local.name
  description   = "Answers with ${var.model}"
  role          = aws_iam_role.function.arn

  package_type  = "Image"
  image_uri     = local.image_uri
  architectures = [var.architecture]

  memory_size                    = var.memory_mb
  timeout                        = local.timeout_seconds
  reserved_concurrent_executions = var.max_concurrency
  publish                        = true

  image_config {
    command = ["python", "-m", "gguf_lambda"] # the authorizer is another command of the same image
  }

  ephemeral_storage {
    size = var.tmp_mb
  }

  environment {
    variables = { for key, value in local.environment : key => value if value != null }
  }

  tracing_config {
    mode = "Active"
  }

  dynamic "snap_start" {
    for_each = var.cold_start == "snapstart" ? ["PublishedVersions"] : []
    content {
      apply_on = snap_start.value
    }
  }

  timeouts {
    create = "30m" # a snapshot is taken while the version is published
    update = "30m"
  }

  depends_on = [terraform_data.checks, aws_iam_role_policy.function, aws_ecr_repository_policy.image]
}

# SnapStart and provisioned concurrency exist for versions only, so every deployment is called through one.
resource "aws_lambda_alias" "live" {
  name             = "live"
  function_name    = aws_lambda_function.model.function_name
  function_version = aws_lambda_function.model.version
}

resource "aws_lambda_provisioned_concurrency_config" "live" {
  count = var.cold_start == "provisioned" ? 1 : 0

  function_name                     = aws_lambda_function.model.function_name
  qualifier                         = aws_lambda_alias.live.name
  provisioned_concurrent_executions = var.provisioned_concurrency
}

resource "aws_lambda_permission" "api" {
  statement_id  = "ApiGateway"
  action        = "lambda:InvokeFunction"
  principal     = "apigateway.amazonaws.com"
  function_name = aws_lambda_function.model.function_name
  qualifier     = aws_lambda_alias.live.name
  source_arn    = "${aws_api_gateway_rest_api.api.execution_arn}/${local.stage}/*"
}
