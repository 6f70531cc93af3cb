// Fills linalg::lapack_table from SciPy's capsules.
#pragma once

namespace steepest {

// Imports scipy.linalg.cython_blas and cython_lapack once; the GIL must be held.
// Error(backend) where a routine is missing or its signature is not the expected one.
void load_lapack();

}  // namespace steepest
