# What a user may set, in the order in which one meets it. What depends on two variables is checked in checks.tf.

variable "region" {
  description = "AWS region of the endpoint."
  type        = string
  default     = "ap-northeast-1"
  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS region such as ap-northeast-1."
  }
}

variable "name" {
  description = "Name of the deployment, the beginning of every resource's name. Workspaces other than default are appended."
  type        = string
  default     = "gguf-lambda"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,29}$", var.name))
    error_message = "name must be 2 to 30 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

# The model

variable "model" {
  description = "Name of a folder under models/, or of a model of the catalog, which is then built inside the image."
  type        = string
  default     = "dolly-japanese-gpt-1b"
  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9._-]{0,99}$", var.model))
    error_message = "model must be a name of lower-case letters, digits, dots, hyphens and underscores: the folder's under models/."
  }
}

variable "quantization" {
  description = "4-bit format for a model that is built inside the image."
  type        = string
  default     = "Q4_K_M"
  validation {
    condition     = can(regex("^[A-Z0-9_]+(-pure)?$", var.quantization))
    error_message = "quantization must be a GGUF format such as Q4_K_M."
  }
}

variable "model_uri" {
  description = "s3://bucket/prefix of a built model that is read at cold start; the image then holds no model."
  type        = string
  default     = null
  validation {
    condition     = var.model_uri == null || can(regex("^s3://[a-z0-9][a-z0-9.-]+/[^*?]*[^/*?]$", var.model_uri))
    error_message = "model_uri must be s3://bucket/prefix, without a slash at its end."
  }
}

variable "system_prompt" {
  description = "What the model is told before each question; null leaves the function's own."
  type        = string
  default     = null
  validation {
    condition     = length(coalesce(var.system_prompt, "-")) <= 1000
    error_message = "system_prompt must have at most 1,000 characters: all settings of a function share 4 KB."
  }
}

variable "max_tokens" {
  description = "New tokens of an answer where the request does not say."
  type        = number
  default     = 256
  validation {
    condition     = var.max_tokens >= 1 && floor(var.max_tokens) == var.max_tokens
    error_message = "max_tokens must be a whole number of at least 1."
  }
}

# The function

variable "memory_mb" {
  description = "Memory of the function. Lambda grants one CPU for each 1,769 MB; new accounts get 3,008 MB at most."
  type        = number
  default     = 3008
  validation {
    condition     = var.memory_mb >= 512 && var.memory_mb <= 10240 && floor(var.memory_mb) == var.memory_mb
    error_message = "memory_mb must be a whole number from 512 to 10240."
  }
}

variable "architecture" {
  description = "x86_64 or arm64. arm64 costs a fifth less; build it on an arm64 machine, emulation takes hours."
  type        = string
  default     = "x86_64"
  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture must be x86_64 or arm64."
  }
}

variable "kernels" {
  description = "llama.cpp's kernels: auto (the best that proves itself on the CPU), floor (what every CPU has) or a name such as cascadelake; null is floor with SnapStart, else auto."
  type        = string
  default     = null
}

variable "response_mode" {
  description = "stream (answers up to 15 minutes, token by token) or buffered (29 seconds, whole)."
  type        = string
  default     = "stream"
  validation {
    condition     = contains(["stream", "buffered"], var.response_mode)
    error_message = "response_mode must be stream or buffered."
  }
}

variable "timeout_seconds" {
  description = "Longest time for an answer, a cold start included; null is 300 for streams and 29 for buffered answers."
  type        = number
  default     = null
  validation {
    condition     = coalesce(var.timeout_seconds, 300) >= 10 && coalesce(var.timeout_seconds, 300) <= 900
    error_message = "timeout_seconds must be from 10 to 900."
  }
}

variable "cold_start" {
  description = "on_demand (costs nothing at rest), snapstart (restores a snapshot) or provisioned (always warm, always paid)."
  type        = string
  default     = "on_demand"
  validation {
    condition     = contains(["on_demand", "snapstart", "provisioned"], var.cold_start)
    error_message = "cold_start must be on_demand, snapstart or provisioned."
  }
}

variable "provisioned_concurrency" {
  description = "Environments kept warm; only with cold_start = provisioned."
  type        = number
  default     = 0
  validation {
    condition     = var.provisioned_concurrency >= 0 && floor(var.provisioned_concurrency) == var.provisioned_concurrency
    error_message = "provisioned_concurrency must be a whole number."
  }
}

variable "max_concurrency" {
  description = "Most requests answered at the same time, a ceiling on cost; -1 leaves the account's. New accounts cannot reserve."
  type        = number
  default     = -1
  validation {
    condition     = var.max_concurrency == -1 || var.max_concurrency >= 1
    error_message = "max_concurrency must be -1 or at least 1."
  }
}

variable "tmp_mb" {
  description = "Size of /tmp; more than 512 only for a model from S3 that is kept there."
  type        = number
  default     = 512
  validation {
    condition     = var.tmp_mb >= 512 && var.tmp_mb <= 10240
    error_message = "tmp_mb must be from 512 to 10240."
  }
}

# Who may call, how often, from where

variable "authorization" {
  description = "api_key (x-api-key or Authorization: Bearer) or iam (requests signed with Signature Version 4)."
  type        = string
  default     = "api_key"
  validation {
    condition     = contains(["api_key", "iam"], var.authorization)
    error_message = "authorization must be api_key or iam."
  }
}

variable "api_keys" {
  description = "One API key is made for each name; remove a name and its key stops working."
  type        = set(string)
  default     = ["default"]
  validation {
    condition     = alltrue([for name in var.api_keys : can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", name))])
    error_message = "api_keys must be names of letters, digits, hyphens and underscores."
  }
}

variable "requests_per_second" {
  description = "Sustained rate of each key, and of the whole stage under iam. Above it API Gateway answers 429."
  type        = number
  default     = 5
  validation {
    condition     = var.requests_per_second > 0
    error_message = "requests_per_second must be above 0."
  }
}

variable "burst" {
  description = "Requests that a key may send at once."
  type        = number
  default     = 10
  validation {
    condition     = var.burst >= 1
    error_message = "burst must be at least 1."
  }
}

variable "requests_per_day" {
  description = "Quota of each key."
  type        = number
  default     = 2000
  validation {
    condition     = var.requests_per_day >= 1
    error_message = "requests_per_day must be at least 1."
  }
}

variable "allowed_cidrs" {
  description = "Source addresses that may call; empty means any."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for cidr in var.allowed_cidrs : can(cidrhost(cidr, 0))])
    error_message = "allowed_cidrs must be address ranges such as 203.0.113.0/24."
  }
}

variable "cors_origin" {
  description = "Origin of the web pages that may call from a browser, or *; null means none."
  type        = string
  default     = null
  validation {
    condition     = var.cors_origin == null || var.cors_origin == "*" || can(regex("^https?://[A-Za-z0-9.:-]+$", var.cors_origin))
    error_message = "cors_origin must be an origin such as https://example.com (no path), or *."
  }
}

# Custom domain; the execute-api address is then off

variable "domain_name" {
  description = "Host name of the endpoint, such as llm.example.com."
  type        = string
  default     = null
}

variable "certificate_arn" {
  description = "ACM certificate for domain_name, in the same region."
  type        = string
  default     = null
}

variable "base_path" {
  description = "Path of the domain under which the endpoint answers; null means its root."
  type        = string
  default     = null
  validation {
    condition     = var.base_path == null || can(regex("^[A-Za-z0-9._-]+$", var.base_path))
    error_message = "base_path must be one path segment without slashes."
  }
}

variable "hosted_zone_id" {
  description = "Route 53 zone in which the domain's address record is made; null leaves the record to you."
  type        = string
  default     = null
}

# Operation

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30
  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.log_retention_days)
    error_message = "log_retention_days must be a number of days that CloudWatch offers, such as 30 or 365."
  }
}

variable "log_level" {
  description = "DEBUG, INFO, WARNING or ERROR."
  type        = string
  default     = "INFO"
  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.log_level)
    error_message = "log_level must be DEBUG, INFO, WARNING or ERROR."
  }
}

variable "log_prompts" {
  description = "Whether prompts and answers are written to the log."
  type        = bool
  default     = false
}

variable "alarm_topic_arns" {
  description = "SNS topics that alarms are sent to; empty leaves them to the console."
  type        = list(string)
  default     = []
}

variable "cold_starts_per_hour" {
  description = "Cold starts in an hour above which an alarm is raised."
  type        = number
  default     = 30
}

variable "account_logging_role" {
  description = "Whether to set API Gateway's logging role. There is one for each account and region: false where it is set already."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Tags for every resource."
  type        = map(string)
  default     = {}
}

# The image

variable "image_uri" {
  description = "An image that exists, in ECR and by digest; null builds and pushes one."
  type        = string
  default     = null
  validation {
    condition     = var.image_uri == null || can(regex("\\.dkr\\.ecr\\.[a-z0-9-]+\\.amazonaws\\.com[a-z.]*/.+@sha256:[0-9a-f]{64}$", var.image_uri))
    error_message = "image_uri must be an image in ECR by digest: ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME@sha256:..."
  }
}

variable "container_tool" {
  description = "The program that builds and pushes: docker (with buildx), finch, podman or buildah, or a path to one."
  type        = string
  default     = "docker"
}
