enum LokiComponentsPlaceholder {}
