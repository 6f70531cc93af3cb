// Refuses a start at which the squares of J's entries underflow: gradient and cost would be zero,
// and the start would pass for a minimum.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "nlls/loss_terms.hpp"

namespace steepest::nlls {

// Looks at the pending linearization at x0. An f or a J that is zero throughout is no underflow.
template <class Backend>
void check_underflow(Backend& backend) {
  using T = typename Backend::Scalar;
  using limits = std::numeric_limits<T>;
  const T* norms2 = backend.pending_norms2();
  const T half_the_digits = limits::min() * std::sqrt(limits::epsilon());
  if (*std::max_element(norms2, norms2 + backend.size()) >= half_the_digits) return;
  const auto& rows = backend.pending_rows();
  const linalg::Sums nonzero = backend.space().sum(rows.m, NonZero<T>::in(rows));
  if (nonzero.first > 0 && nonzero.second > 0) {
    throw Error(ErrorKind::value,
                "jac: the squares of its entries underflow at x0; scale the residuals, say by a "
                "power of two");
  }
}

}  // namespace steepest::nlls
