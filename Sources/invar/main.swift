import InvarCLI
