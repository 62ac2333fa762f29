enum InvarCLIPlaceholder {}
