"""Dense nonlinear least squares: Gauss-Newton, Levenberg, Levenberg-Marquardt."""
