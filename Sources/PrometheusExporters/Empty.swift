enum PrometheusExportersPlaceholder {}
