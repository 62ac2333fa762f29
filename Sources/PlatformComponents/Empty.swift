enum PlatformComponentsPlaceholder {}
