# The REST API in front of the function, made from the OpenAPI document in api_body.tf, and its one stage.

resource "aws_api_gateway_rest_api" "api" {
  name                         = local.name
  body                         = jsonencode(local.body)
  api_key_source               = local.key_mode ? "AUTHORIZER" : "HEADER"
  disable_execute_api_endpoint = var.domain_name != null

  endpoint_configuration {
    types = ["REGIONAL"] # a stream may be silent for 5 minutes; at the edge it would be 30 seconds
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_api_gateway_deployment" "api" {
  rest_api_id = aws_api_gateway_rest_api.api.id
  triggers    = { body = sha256(aws_api_gateway_rest_api.api.body) }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_api_gateway_stage" "live" {
  #checkov:skip=CKV_AWS_120:Answers are generated anew for each request; there is nothing to cache.
  #checkov:skip=CKV2_AWS_29:Keys, quotas and throttling are on, and allowed_cidrs closes it further; a web ACL costs more than the rest of a small deployment.
  #checkov:skip=CKV2_AWS_4:Errors and every access are logged; metrics of each route are charged, and the API's own count, latency and errors come without them.
  #checkov:skip=CKV2_AWS_51:Callers are known by their keys or their signatures, not by certificates.
  rest_api_id          = aws_api_gateway_rest_api.api.id
  deployment_id        = aws_api_gateway_deployment.api.id
  stage_name           = local.stage
  xray_tracing_enabled = true

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    format = jsonencode({
      time                = "$context.requestTimeEpoch"
      request_id          = "$context.requestId"
      key                 = "$context.identity.apiKeyId"
      ip                  = "$context.identity.sourceIp"
      method              = "$context.httpMethod"
      path                = "$context.path"
      status              = "$context.status"
      bytes               = "$context.responseLength"
      latency_ms          = "$context.responseLatency"
      function_latency_ms = "$context.integration.latency"
      error               = "$context.error.responseType"
      trace               = "$context.xrayTraceId"
    })
  }

  depends_on = [aws_api_gateway_account.logging]
}

resource "aws_api_gateway_method_settings" "live" {
  #checkov:skip=CKV_AWS_225:Answers are generated anew for each request; there is nothing to cache.
  #checkov:skip=CKV_AWS_308:No cache, so nothing to encrypt in it.
  rest_api_id = aws_api_gateway_rest_api.api.id
  stage_name  = aws_api_gateway_stage.live.stage_name
  method_path = "*/*"

  settings {
    metrics_enabled        = false # metrics of each route are charged; the whole API's are not
    logging_level          = "ERROR"
    data_trace_enabled     = false # prompts stay out of the log
    throttling_rate_limit  = var.requests_per_second * max(1, length(var.api_keys))
    throttling_burst_limit = var.burst * max(1, length(var.api_keys))
  }
}

resource "aws_cloudwatch_log_group" "access" {
  #checkov:skip=CKV_AWS_158:Encrypted by CloudWatch; it holds who called when, and no prompt.
  #checkov:skip=CKV_AWS_338:Thirty days by default; log_retention_days takes 365 for those who must keep them.
  name              = "/aws/apigateway/${local.name}"
  retention_in_days = var.log_retention_days
}

# API Gateway writes logs through one role for the whole account and region.
resource "aws_iam_role" "api_logging" {
  count = var.account_logging_role ? 1 : 0

  name = "${local.name}-api-logging"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "apigateway.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "api_logging" {
  count = var.account_logging_role ? 1 : 0

  role       = aws_iam_role.api_logging[0].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}

resource "aws_api_gateway_account" "logging" {
  count = var.account_logging_role ? 1 : 0

  cloudwatch_role_arn = aws_iam_role.api_logging[0].arn
  depends_on          = [aws_iam_role_policy_attachment.api_logging]
}
