// What an iteration of conjugate gradients does with its vectors, by the vector kernels: all but
// the products with A and with the preconditioner. Hestenes & Stiefel 1952, algorithm (3:1).
#pragma once
#include <cstdint>

#include "linalg/vectors/vectors.hpp"

namespace steepest::linalg {

// Iterate, residual and direction, of n elements each.
struct CgVectors {
  void *x, *r, *p;
  int64_t n;
};

// p <- z + (rho / rho_before) p, z the preconditioned residual, and p <- z where rho_before is 0.
// Returns rho = r.z; p stays where that is not positive and finite.
double cg_turn(const Pass& pass, const CgVectors& v, void* z, double rho_before);

struct CgProducts {
  double pAp, rr;
};

// x <- x + alpha p and r <- r - alpha Ap, alpha = rho / p.Ap. Returns p.Ap and then r.r. With
// `turns`, for z = r, p <- r + (r.r / rho) p too. All stay where p.Ap is not positive and finite.
CgProducts cg_advance(const Pass& pass, const CgVectors& v, void* Ap, double rho, bool turns);

}  // namespace steepest::linalg
