"""What `steepest fit` is made of: table, formula, model, fit, report, plot."""
