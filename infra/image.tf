# The image: a repository, and a build that runs when what goes into the image has changed.

locals {
  root        = "${path.module}/.."
  build_image = var.image_uri == null

  model_from = var.model_uri != null ? "nothing" : local.manifest != null ? "folder" : "huggingface"
  model_inputs = {
    nothing     = []
    folder      = ["models/${var.model}/manifest.json"] # names the model's files by their sha256
    huggingface = setunion(fileset(local.root, "lambda/model_build/**"), fileset(local.root, "requirements/{build,torch}.txt"))
  }
  image_inputs = [
    for file in setunion(
      fileset(local.root, "lambda/gguf_lambda/**"),
      fileset(local.root, "requirements/{runtime.txt,wheel.txt,llama-cpp.*}"),
      fileset(local.root, "{Dockerfile,.dockerignore}"),
      local.model_inputs[local.model_from],
    ) : file if !strcontains(file, "__pycache__")
  ]
  image_key = sha256(jsonencode({
    files        = { for file in local.image_inputs : file => filesha256("${local.root}/${file}") }
    model        = [local.model_from, var.model, var.quantization]
    architecture = var.architecture
  }))
  image_tag = "${var.model}-${substr(local.image_key, 0, 12)}"
}

resource "aws_ecr_repository" "image" {
  #checkov:skip=CKV_AWS_136:Encrypted with AES-256 by default; the image holds published weights and this code, no secret that a key of one's own would guard.
  count = local.build_image ? 1 : 0

  name                 = local.name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true # so that destroy leaves nothing

  image_scanning_configuration {
    scan_on_push = true
  }
}

# Lambda would add this by itself; said here, it is not a surprise in the next plan.
resource "aws_ecr_repository_policy" "image" {
  count = local.build_image ? 1 : 0

  repository = aws_ecr_repository.image[0].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "LambdaPullsTheImage"
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      Condition = { StringLike = { "aws:SourceArn" = "arn:${local.partition}:lambda:${var.region}:${local.account}:function:${local.name}*" } }
    }]
  })
}

data "aws_ecr_authorization_token" "push" {
  count = local.build_image ? 1 : 0
}

resource "terraform_data" "image" {
  count = local.build_image ? 1 : 0

  triggers_replace = [aws_ecr_repository.image[0].repository_url, local.image_tag]

  provisioner "local-exec" {
    command     = "sh ${abspath(path.module)}/push_image.sh"
    working_dir = local.root
    environment = {
      TOOL         = var.container_tool
      IMAGE        = "${aws_ecr_repository.image[0].repository_url}:${local.image_tag}"
      PLATFORM     = var.architecture == "arm64" ? "linux/arm64" : "linux/amd64"
      MODEL        = var.model
      MODEL_FROM   = local.model_from
      QUANT        = var.quantization
      REGISTRY     = split("/", aws_ecr_repository.image[0].repository_url)[0]
      REGISTRY_KEY = nonsensitive(data.aws_ecr_authorization_token.push[0].password) # else the build's output is hidden
    }
  }

  depends_on = [terraform_data.checks]
}

data "aws_ecr_image" "pushed" {
  count = local.build_image ? 1 : 0

  repository_name = aws_ecr_repository.image[0].name
  image_tag       = local.image_tag

  depends_on = [terraform_data.image]
}

locals {
  image_uri = local.build_image ? "${aws_ecr_repository.image[0].repository_url}@${data.aws_ecr_image.pushed[0].image_digest}" : var.image_uri
}

# An image that a rule has looked at is safe from later rules: the first one keeps the image in use, whatever its age.
resource "aws_ecr_lifecycle_policy" "image" {
  count = local.build_image ? 1 : 0

  repository = aws_ecr_repository.image[0].name
  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "The image in use is never removed: there is one, and the rule takes what is above one."
        selection    = { tagStatus = "tagged", tagPatternList = [local.image_tag], countType = "imageCountMoreThan", countNumber = 1 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "Of the others, the three newest stay."
        selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 3 }
        action       = { type = "expire" }
      },
    ]
  })

  depends_on = [aws_lambda_alias.live] # the former image is let go after the function has left it
}
