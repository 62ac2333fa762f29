enum SelfMetricsPlaceholder {}
