# Alarms for what needs a person, and a dashboard with what an operator asks first.

locals {
  usd_per_gb_second = { x86_64 = 0.0000166667, arm64 = 0.0000133334 }[var.architecture] # us-east-1
  function_metric   = { FunctionName = local.name }

  alarms = {
    errors = {
      what      = "The function failed: its log says why."
      metric    = "Errors", statistic = "Sum", period = 300
      threshold = 0
    }
    throttles = {
      what      = "Requests were refused because max_concurrency or the account's concurrency is used up."
      metric    = "Throttles", statistic = "Sum", period = 300
      threshold = 0
    }
    slow = {
      what      = "An answer took more than nine tenths of timeout_seconds (${local.timeout_seconds})."
      metric    = "Duration", statistic = "Maximum", period = 300
      threshold = local.timeout_seconds * 900
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "function" {
  for_each = local.alarms

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.what
  namespace           = "AWS/Lambda"
  metric_name         = each.value.metric
  dimensions          = local.function_metric
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}

# Lambda reports each cold start in the log line that ends its first invocation.
resource "aws_cloudwatch_log_metric_filter" "cold_starts" {
  name           = "${local.name}-cold-starts"
  log_group_name = aws_cloudwatch_log_group.function.name
  pattern        = "?\"Init Duration\" ?\"Restore Duration\""

  metric_transformation {
    namespace = local.name
    name      = "ColdStarts"
    value     = "1"
  }
}

resource "aws_cloudwatch_metric_alarm" "cold_starts" {
  alarm_name          = "${local.name}-cold-starts"
  alarm_description   = "More than ${var.cold_starts_per_hour} cold starts in an hour: consider cold_start = \"snapstart\" or \"provisioned\"."
  namespace           = local.name
  metric_name         = aws_cloudwatch_log_metric_filter.cold_starts.metric_transformation[0].name
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.cold_starts_per_hour
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}

locals {
  widgets = [
    {
      title = "Does it answer? Requests and refusals"
      metrics = [
        ["AWS/ApiGateway", "Count", "ApiName", local.name, { label = "requests" }],
        [".", "4XXError", ".", ".", { label = "4xx" }],
        [".", "5XXError", ".", ".", { label = "5xx" }],
        ["AWS/Lambda", "Errors", "FunctionName", local.name, { label = "function errors" }],
        [".", "Throttles", ".", ".", { label = "throttles" }],
      ]
      stat = "Sum"
    },
    {
      title = "How long does an answer take? (ms)"
      metrics = [
        ["AWS/Lambda", "Duration", "FunctionName", local.name, { stat = "p50", label = "p50" }],
        ["...", { stat = "p90", label = "p90" }],
        ["...", { stat = "Maximum", label = "longest" }],
      ]
      stat = "p50"
    },
    {
      title   = "How many cold starts?"
      metrics = [[local.name, "ColdStarts", { label = "cold starts" }]]
      stat    = "Sum"
    },
    {
      title   = "How many at the same time?"
      metrics = [["AWS/Lambda", "ConcurrentExecutions", "FunctionName", local.name, { label = "executions" }]]
      stat    = "Maximum"
    },
    {
      title = "What does it cost? (USD, the function's time)"
      metrics = [
        [{ expression = "duration / 1000 * ${var.memory_mb / 1024} * ${local.usd_per_gb_second}", label = "USD", id = "usd" }],
        ["AWS/Lambda", "Duration", "FunctionName", local.name, { id = "duration", visible = false }],
      ]
      stat = "Sum"
    },
  ]
}

resource "aws_cloudwatch_dashboard" "operator" {
  dashboard_name = local.name
  dashboard_body = jsonencode({
    widgets = concat(
      [
        for index, widget in local.widgets : {
          type       = "metric"
          x          = index % 2 * 12
          y          = floor(index / 2) * 6
          width      = 12
          height     = 6
          properties = merge(widget, { region = var.region, period = 300, view = "timeSeries" })
        }
      ],
      [
        {
          type   = "log"
          x      = 12
          y      = 12
          width  = 12
          height = 6
          properties = {
            title  = "What went wrong last?"
            region = var.region
            view   = "table"
            query  = "SOURCE '${aws_cloudwatch_log_group.function.name}' | fields @timestamp, level, message | filter level in ['ERROR', 'CRITICAL'] or @message like /Task timed out|Runtime exited/ | sort @timestamp desc | limit 20"
          }
        }
      ],
    )
  })
}
