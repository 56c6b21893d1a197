# API keys: one for each name, a usage plan that counts and limits them, and the authorizer that reads them from
# either header. The authorizer knows no key: it names the one it was sent, and API Gateway looks it up in the plan.

resource "aws_api_gateway_api_key" "key" {
  for_each = local.key_mode ? var.api_keys : []

  name        = "${local.name}-${each.key}"
  description = "Key ${each.key} of ${local.name}"
}

resource "aws_api_gateway_usage_plan" "plan" {
  count = local.key_mode ? 1 : 0

  name        = local.name
  description = "Limits of each key of ${local.name}"

  api_stages {
    api_id = aws_api_gateway_rest_api.api.id
    stage  = aws_api_gateway_stage.live.stage_name
  }

  throttle_settings {
    rate_limit  = var.requests_per_second
    burst_limit = var.burst
  }

  quota_settings {
    limit  = var.requests_per_day
    period = "DAY"
  }
}

resource "aws_api_gateway_usage_plan_key" "key" {
  for_each = aws_api_gateway_api_key.key

  usage_plan_id = aws_api_gateway_usage_plan.plan[0].id
  key_id        = each.value.id
  key_type      = "API_KEY"
}

resource "aws_iam_role" "authorizer" {
  count = local.key_mode ? 1 : 0

  name               = "${local.name}-authorizer"
  assume_role_policy = data.aws_iam_policy_document.lambda_assumes.json
}

resource "aws_iam_role_policy" "authorizer" {
  count = local.key_mode ? 1 : 0

  name = "authorizer"
  role = aws_iam_role.authorizer[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "WriteItsOwnLog"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "${aws_cloudwatch_log_group.authorizer[0].arn}:*"
    }]
  })
}

resource "aws_cloudwatch_log_group" "authorizer" {
  #checkov:skip=CKV_AWS_158:Encrypted by CloudWatch; the authorizer logs no header.
  #checkov:skip=CKV_AWS_338:Thirty days by default; log_retention_days takes 365 for those who must keep them.
  count = local.key_mode ? 1 : 0

  name              = "/aws/lambda/${local.name}-authorizer"
  retention_in_days = var.log_retention_days
}

resource "aws_lambda_function" "authorizer" {
  #checkov:skip=CKV_AWS_50:It lasts milliseconds and calls nothing; the function behind it is traced.
  #checkov:skip=CKV_AWS_115:A new account has too few executions to reserve any; the stage is throttled.
  #checkov:skip=CKV_AWS_116:Requests are synchronous: there is nothing to put into a dead letter queue.
  #checkov:skip=CKV_AWS_117:It opens no connection and needs no private network.
  #checkov:skip=CKV_AWS_272:Code signing does not exist for container images; the image is taken by digest.
  count = local.key_mode ? 1 : 0

  function_name = "${local.name}-authorizer"
  description   = "Names the API key that a request to ${local.name} carries"
  role          = aws_iam_role.authorizer[0].arn

  package_type  = "Image"
  image_uri     = local.image_uri
  architectures = [var.architecture]
  memory_size   = 256
  timeout       = 10

  image_config {
    command = ["python", "-m", "gguf_lambda.authorizer"]
  }

  depends_on = [terraform_data.checks, aws_iam_role_policy.authorizer, aws_ecr_repository_policy.image]
}

resource "aws_lambda_permission" "authorizer" {
  count = local.key_mode ? 1 : 0

  statement_id  = "ApiGateway"
  action        = "lambda:InvokeFunction"
  principal     = "apigateway.amazonaws.com"
  function_name = aws_lambda_function.authorizer[0].function_name
  source_arn    = "${aws_api_gateway_rest_api.api.execution_arn}/authorizers/*"
}
