# A custom domain, where one is set: the API answers under it and no longer at its execute-api address.

resource "aws_api_gateway_domain_name" "domain" {
  count = var.domain_name == null ? 0 : 1

  domain_name              = var.domain_name
  regional_certificate_arn = var.certificate_arn
  security_policy          = "TLS_1_2"

  endpoint_configuration {
    types = ["REGIONAL"]
  }

  depends_on = [terraform_data.checks]
}

resource "aws_api_gateway_base_path_mapping" "domain" {
  count = var.domain_name == null ? 0 : 1

  domain_name = aws_api_gateway_domain_name.domain[0].domain_name
  api_id      = aws_api_gateway_rest_api.api.id
  stage_name  = aws_api_gateway_stage.live.stage_name
  base_path   = var.base_path
}

resource "aws_route53_record" "domain" {
  count = var.hosted_zone_id == null ? 0 : 1

  zone_id = var.hosted_zone_id
  name    = aws_api_gateway_domain_name.domain[0].domain_name
  type    = "A"

  alias {
    name                   = aws_api_gateway_domain_name.domain[0].regional_domain_name
    zone_id                = aws_api_gateway_domain_name.domain[0].regional_zone_id
    evaluate_target_health = false
  }
}
