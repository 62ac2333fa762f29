enum DiscoveryComponentsPlaceholder {}
