enum AlloySyntaxPlaceholder {}
