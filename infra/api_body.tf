# The OpenAPI document that API Gateway gets: the function's own (openapi.json, made by `make openapi`), and for each
# route what API Gateway needs to know. What the document does not name goes to the function too, which answers 404 or 405.

locals {
  stage      = "live"
  documented = jsondecode(file("${path.module}/openapi.json"))
  key_mode   = var.authorization == "api_key"

  # One mode for all routes: a streamed answer to a buffered integration would be empty, and the reverse fails.
  integration = {
    type                 = "aws_proxy"
    httpMethod           = "POST"
    uri                  = var.response_mode == "stream" ? local.streaming_uri : aws_lambda_alias.live.invoke_arn
    responseTransferMode = upper(var.response_mode)
    timeoutInMillis      = local.timeout_seconds * 1000
  }
  streaming_uri = "arn:${local.partition}:apigateway:${var.region}:lambda:path/2021-11-15/functions/${aws_lambda_alias.live.arn}/response-streaming-invocations"

  security = local.key_mode ? [{ bearer = [] }, { api_key = [] }] : [{ signature = [] }]
  guarded = {
    security                          = local.security
    "x-amazon-apigateway-integration" = local.integration
  }
  anything_else = merge(local.guarded, { responses = {} })

  # A browser asks before it sends a key, so this answer is public; API Gateway gives it without waking the function.
  cors_headers = {
    "Access-Control-Allow-Origin"  = "'${coalesce(var.cors_origin, "none")}'"
    "Access-Control-Allow-Headers" = "'authorization,content-type,x-api-key'"
    "Access-Control-Allow-Methods" = "'GET,POST,OPTIONS'"
    "Access-Control-Max-Age"       = "'7200'"
  }
  preflight = {
    responses = {
      "204" = {
        description = "What a browser may send"
        headers     = { for header in keys(local.cors_headers) : header => { schema = { type = "string" } } }
      }
    }
    "x-amazon-apigateway-integration" = {
      type             = "mock"
      requestTemplates = { "application/json" = jsonencode({ statusCode = 204 }) }
      responses = {
        default = {
          statusCode         = "204"
          responseParameters = { for header, value in local.cors_headers : "method.response.header.${header}" => value }
        }
      }
    }
  }
  paths = merge(
    { "/{proxy+}" = { "x-amazon-apigateway-any-method" = local.anything_else } },
    {
      for path, methods in local.documented.paths : path => merge(
        { "x-amazon-apigateway-any-method" = local.anything_else },
        { for method, operation in methods : method => merge(operation, local.guarded) },
        { for method in ["options"] : method => merge(local.preflight, local.path_parameters[path]) if var.cors_origin != null },
      )
    },
  )
  path_parameters = {
    for path in keys(local.documented.paths) : path => {
      parameters = [
        for name in flatten(regexall("\\{(\\w+)\\}", path)) : { name = name, in = "path", required = true, schema = { type = "string" } }
      ]
    }
  }

  schemes = merge(
    {
      for name in ["bearer"] : name => {
        type                         = "apiKey"
        name                         = "Authorization"
        in                           = "header"
        x-amazon-apigateway-authtype = "custom"
        x-amazon-apigateway-authorizer = {
          type                         = "request"
          authorizerUri                = aws_lambda_function.authorizer[0].invoke_arn
          authorizerResultTtlInSeconds = 0 # a cache would demand both headers of everyone
        }
      } if local.key_mode
    },
    { for name in ["api_key"] : name => { type = "apiKey", name = "x-api-key", in = "header" } if local.key_mode },
    {
      for name in ["signature"] : name => {
        type                         = "apiKey"
        name                         = "Authorization"
        in                           = "header"
        x-amazon-apigateway-authtype = "awsSigv4"
      } if !local.key_mode
    },
  )

  # API Gateway's own refusals in the form of the function's; $context.error.messageString brings its quotes.
  refusals = {
    DEFAULT_4XX                    = { status = null, type = "invalid_request_error", code = "bad_request", message = null }
    DEFAULT_5XX                    = { status = null, type = "server_error", code = "internal_error", message = null }
    UNAUTHORIZED                   = { status = 401, type = "authentication_error", code = "invalid_api_key", message = local.no_key }
    INVALID_API_KEY                = { status = 401, type = "authentication_error", code = "invalid_api_key", message = local.no_key }
    ACCESS_DENIED                  = { status = 403, type = "permission_error", code = "access_denied", message = null }
    MISSING_AUTHENTICATION_TOKEN   = { status = local.key_mode ? 404 : 403, type = "invalid_request_error", code = local.key_mode ? "unknown_url" : "not_signed", message = null }
    REQUEST_TOO_LARGE              = { status = 413, type = "invalid_request_error", code = "body_too_large", message = "The body is over API Gateway's 10 MB." }
    THROTTLED                      = { status = 429, type = "rate_limit_error", code = "rate_limit_exceeded", message = "Too many requests: ${var.requests_per_second} a second are allowed. Wait and try again." }
    QUOTA_EXCEEDED                 = { status = 429, type = "insufficient_quota", code = "insufficient_quota", message = "This key's ${var.requests_per_day} requests of today are used up." }
    INTEGRATION_FAILURE            = { status = 502, type = "server_error", code = "function_failed", message = "The function failed; the log has the details under this request id." }
    INTEGRATION_TIMEOUT            = { status = 504, type = "server_error", code = "deadline_reached", message = "The function did not answer in ${local.timeout_seconds} seconds." }
    AUTHORIZER_FAILURE             = { status = 500, type = "server_error", code = "internal_error", message = "The key could not be checked; try again." }
    AUTHORIZER_CONFIGURATION_ERROR = { status = 500, type = "server_error", code = "internal_error", message = "The key could not be checked." }
  }
  no_key = "No valid API key. Send one as Authorization: Bearer or as x-api-key."

  gateway_responses = {
    for kind, refusal in local.refusals : kind => merge(
      {
        responseTemplates = {
          "application/json" = join("", [
            "{\"error\": {\"message\": ", refusal.message == null ? "$context.error.messageString" : jsonencode(refusal.message),
            ", \"type\": \"${refusal.type}\", \"param\": null, \"code\": \"${refusal.code}\"}, ",
            "\"request_id\": \"$context.requestId\"}",
          ])
        }
      },
      { for key in ["statusCode"] : key => refusal.status if refusal.status != null },
      {
        for key in ["responseParameters"] : key => {
          "gatewayresponse.header.Access-Control-Allow-Origin" = local.cors_headers["Access-Control-Allow-Origin"]
        } if var.cors_origin != null
      },
    )
  }

  # Who may call from where. Under iam there is no Allow: it would admit the signed requests of any account.
  statements = concat(
    [
      for statement in [{ Effect = "Allow", Principal = "*", Action = "execute-api:Invoke", Resource = "execute-api:/*" }] :
      statement if local.key_mode
    ],
    [
      {
        Effect    = "Deny"
        Principal = "*"
        Action    = "execute-api:Invoke"
        Resource  = "execute-api:/*"
        Condition = { NotIpAddress = { "aws:SourceIp" = var.allowed_cidrs } }
      }
    ],
  )

  body = merge(
    {
      openapi    = local.documented.openapi
      info       = merge(local.documented.info, { title = local.name })
      paths      = local.paths
      components = merge(local.documented.components, { securitySchemes = local.schemes })

      x-amazon-apigateway-gateway-responses = local.gateway_responses
    },
    {
      for key in ["x-amazon-apigateway-policy"] : key => { Version = "2012-10-17", Statement = local.statements }
      if length(var.allowed_cidrs) > 0
    },
  )
}
