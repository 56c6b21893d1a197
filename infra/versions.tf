# What this module runs with, and where its state lives.

terraform {
  required_version = ">= 1.7"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }

  # The state holds the API keys. Left as it is, it is a file in this folder: keep it to yourself. A team takes a
  # bucket (versioned, encrypted) with locking instead: remove the comment signs and run `terraform init -migrate-state`.
  #
  # backend "s3" {
  #   bucket       = "my-terraform-state"
  #   key          = "gguf-lambda/terraform.tfstate"
  #   region       = "ap-northeast-1"
  #   encrypt      = true
  #   use_lockfile = true # Terraform 1.10 and later; before: dynamodb_table = "my-terraform-locks"
  # }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = merge({ Application = local.name, ManagedBy = "terraform" }, var.tags)
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  # Each workspace is a deployment of its own.
  name      = terraform.workspace == "default" ? var.name : "${var.name}-${terraform.workspace}"
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
}
