"""What `steepest race` is made of: surfaces, paths, pictures, the page."""

DEFAULT = ["sgd", "momentum", "nesterov", "adam", "gd", "newton", "l-bfgs"]  # who races
