#include "linalg/vectors/cg_vectors.hpp"

#include <cmath>

namespace steepest::linalg {
namespace {

double dot(const Pass& pass, void* u, void* v, int64_t n) {
  double product;
  inner(pass, {&u, 1}, {&v, 1}, n, &product);
  return product;
}

// p <- z + beta p
void turn(const Pass& pass, const CgVectors& v, void* z, double beta) {
  void* const rows[] = {z, v.p};
  const double coefficients[] = {1, beta};
  combine(pass, coefficients, {rows, 2}, {rows + 1, 1}, v.n);
}

bool usable(double product) { return product > 0 && std::isfinite(product); }

}  // namespace

double cg_turn(const Pass& pass, const CgVectors& v, void* z, double rho_before) {
  const double rho = dot(pass, v.r, z, v.n);
  if (usable(rho)) turn(pass, v, z, rho_before == 0 ? 0 : rho / rho_before);
  return rho;
}

CgProducts cg_advance(const Pass& pass, const CgVectors& v, void* Ap, double rho, bool turns) {
  const double pAp = dot(pass, v.p, Ap, v.n);
  if (!usable(pAp)) return {pAp, NAN};
  const double alpha = rho / pAp;
  const double rr = advance(pass, alpha, v.p, Ap, v.x, v.r, v.n);
  if (turns && usable(rr)) turn(pass, v, v.r, rr / rho);
  return {pAp, rr};
}

}  // namespace steepest::linalg
