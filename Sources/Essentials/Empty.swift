enum EssentialsPlaceholder {}
