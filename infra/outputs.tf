# What one needs to call the endpoint.

locals {
  endpoint  = var.domain_name == null ? aws_api_gateway_stage.live.invoke_url : join("/", compact(["https://${var.domain_name}", var.base_path]))
  first_key = try(sort(var.api_keys)[0], "")
  show_key = {
    for name, key in aws_api_gateway_api_key.key :
    name => "aws apigateway get-api-key --region ${var.region} --api-key ${key.id} --include-value --query value --output text"
  }
  example = "-H 'Content-Type: application/json' -d '{\"input\": \"卵とトマトで何が作れますか?\"}'"
}

output "endpoint" {
  description = "The endpoint's URL. OpenAI clients take it with /v1 as base_url."
  value       = local.endpoint
}

output "show_api_key" {
  description = "For each key, the command that shows it."
  value       = local.show_key
}

output "curl" {
  description = "A request that works as it is (the AWS CLI reads the key; under iam, curl signs with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)."
  value = (
    local.key_mode ?
    "curl ${local.endpoint}/ -H \"x-api-key: $(${lookup(local.show_key, local.first_key, "")})\" ${local.example}" :
    "curl ${local.endpoint}/ --aws-sigv4 aws:amz:${var.region}:execute-api --user \"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\" -H \"x-amz-security-token: $AWS_SESSION_TOKEN\" ${local.example}"
  )
}

output "image" {
  description = "The image in use, by digest; another deployment takes it as image_uri."
  value       = local.image_uri
}

output "dashboard" {
  description = "The dashboard's address."
  value       = "https://${var.region}.console.aws.amazon.com/cloudwatch/home?region=${var.region}#dashboards/dashboard/${aws_cloudwatch_dashboard.operator.dashboard_name}"
}

output "logs" {
  description = "The command that follows the function's log."
  value       = "aws logs tail --region ${var.region} --follow ${aws_cloudwatch_log_group.function.name}"
}
