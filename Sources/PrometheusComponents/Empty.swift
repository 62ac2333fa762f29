enum PrometheusComponentsPlaceholder {}
