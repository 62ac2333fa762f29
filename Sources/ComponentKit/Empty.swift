enum ComponentKitPlaceholder {}
