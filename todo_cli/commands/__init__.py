"""What a person types: parse, one call, hand the result to render."""
