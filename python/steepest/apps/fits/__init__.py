"""What `steepest fit` is made of: table, formula, fit, report, plot."""
