# What would fail late, or not at all, fails here at plan time with a sentence.

locals {
  timeout_seconds = coalesce(var.timeout_seconds, var.response_mode == "stream" ? 300 : 29)

  # A built model's manifest says what it needs; the catalog does for models that are built inside the image.
  manifest_file = "${local.root}/models/${var.model}/manifest.json"
  manifest      = try(jsondecode(file(local.manifest_file)), null)
  catalog       = file("${local.root}/lambda/model_build/catalog.toml")
  catalog_memory_mb = {
    for table in regexall("(?m)^\\[([a-z0-9-]+)\\]\n(?:[^\\[\n][^\n]*\n)*?repository = (?:[^\\[\n][^\n]*\n)*?memory_mb = ([0-9]+)", local.catalog) :
    table[0] => tonumber(table[1])
  }
  needed_memory_mb = var.model_uri != null ? 0 : try(local.manifest.memory_mb, local.catalog_memory_mb[var.model], 0)
}

resource "terraform_data" "checks" {
  lifecycle {
    precondition {
      condition     = var.memory_mb >= local.needed_memory_mb
      error_message = "memory_mb is ${var.memory_mb}; ${var.model} needs ${local.needed_memory_mb}. Raise memory_mb or take a smaller model."
    }
    precondition {
      condition     = var.response_mode == "stream" || local.timeout_seconds <= 29
      error_message = "timeout_seconds is ${local.timeout_seconds}; API Gateway waits 29 seconds for a buffered answer. Lower it or set response_mode = \"stream\"."
    }
    precondition {
      condition     = var.response_mode == "buffered" || !can(regex("^(cn|us-gov|us-iso)", var.region))
      error_message = "Response streaming is not known to exist in ${var.region}. Set response_mode = \"buffered\"."
    }
    precondition {
      condition     = (var.cold_start == "provisioned") == (var.provisioned_concurrency > 0)
      error_message = "cold_start is ${var.cold_start} and provisioned_concurrency is ${var.provisioned_concurrency}. Set at least 1 with cold_start = \"provisioned\", and 0 otherwise: SnapStart and provisioned concurrency exclude each other."
    }
    precondition {
      condition     = var.max_concurrency == -1 || var.provisioned_concurrency <= var.max_concurrency
      error_message = "provisioned_concurrency is ${var.provisioned_concurrency}, above max_concurrency (${var.max_concurrency})."
    }
    precondition {
      condition     = var.cold_start != "snapstart" || var.tmp_mb == 512
      error_message = "tmp_mb is ${var.tmp_mb}; SnapStart allows 512. Lower it or choose another cold_start."
    }
    precondition {
      condition     = (var.domain_name == null) == (var.certificate_arn == null)
      error_message = "domain_name and certificate_arn go together: request a certificate for the domain from ACM in ${var.region} and set both."
    }
    precondition {
      condition     = var.domain_name != null || (var.base_path == null && var.hosted_zone_id == null)
      error_message = "base_path and hosted_zone_id are a custom domain's: set domain_name and certificate_arn as well."
    }
    precondition {
      condition     = can(regex("^arn:[a-z-]+:acm:${var.region}:", coalesce(var.certificate_arn, "arn:aws:acm:${var.region}:")))
      error_message = "certificate_arn must be an ACM certificate in ${var.region}, the endpoint's region."
    }
    precondition {
      condition     = var.authorization == "iam" || length(var.api_keys) > 0
      error_message = "api_keys is empty, so nobody could call. Name one, or set authorization = \"iam\"."
    }
    precondition {
      condition     = var.image_uri != null || var.model_uri != null || local.manifest != null || contains(keys(local.catalog_memory_mb), var.model)
      error_message = "There is no models/${var.model}/manifest.json and the catalog has no ${var.model}. Build it with `make model`, or choose one of: ${join(", ", keys(local.catalog_memory_mb))}."
    }
  }
}
