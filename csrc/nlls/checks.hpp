// What the solver refuses to be told, and how it says so.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "nlls/loss_terms.hpp"
#include "nlls/phase.hpp"

namespace steepest::nlls {

// call: the function that was called; wanted: the phase that it belongs to.
inline void expect(Asked asked, Phase wanted, const char* call) {
  const bool no_step = asked == Asked::no_step;
  if (phase_of(asked) == wanted && !no_step) return;
  static const char* const wants[] = {"the residual at x", "the Jacobian at x",
                                      "nothing: it is done",
                                      "nothing: it found no step from x; make a new one"};
  throw Error(ErrorKind::value, std::string(call) + ": the solver waits for " +
                                    wants[no_step ? 3 : static_cast<int>(phase_of(asked))]);
}

inline void check_form(Form form, Form at_start) {
  if (form == at_start) return;
  static const char* const names[] = {"residuals as a whole", "blocks of rows", "normal equations"};
  throw Error(ErrorKind::value, std::string("fun: ") + names[static_cast<int>(form)] + ", " +
                                    names[static_cast<int>(at_start)] +
                                    " at x0; a fit takes one of them");
}

// before: the number at x0, 0 while that is unknown.
inline void check_size(int64_t m, int64_t before) {
  if (m == 0) throw Error(ErrorKind::value, "fun: no residuals; expected at least one");
  if (before == 0 || m == before) return;
  throw Error(ErrorKind::value, "fun: " + std::to_string(m) + " residuals, " +
                                    std::to_string(before) +
                                    " at x0; their number must not change");
}

inline void check_start(double cost) {
  if (std::isfinite(cost)) return;
  throw Error(ErrorKind::value,
              "Residuals are not finite in the initial point, or the sum of their squares is not; "
              "start where they are, or scale them");
}

// The same where the m residuals are at hand: it says which of them is not finite.
template <class Space, class T>
void check_start(double cost, Space& space, const T* f, int64_t m) {
  if (std::isfinite(cost)) return;
  std::vector<T> here(static_cast<size_t>(m));
  space.download(here.data(), f, m);
  const auto bad = [](T value) { return !std::isfinite(value); };
  const auto first = std::find_if(here.begin(), here.end(), bad);
  if (first == here.end()) check_start(cost);
  const std::string value = std::isnan(*first) ? "nan" : *first > 0 ? "inf" : "-inf";
  const std::string which = "residuals[" + std::to_string(first - here.begin()) + "] is " + value;
  const auto more = std::count_if(first, here.end(), bad) - 1;
  const std::string others = more > 0 ? ", and " + std::to_string(more) + " more" : "";
  throw Error(ErrorKind::value,
              "Residuals are not finite in the initial point: " +
                  (more + 1 < m ? which + others + "; start where they are, or leave them out"
                                : "none is, " + which +
                                      "; start elsewhere: another x0, or p0 of curve_fit, "
                                      "which is all ones where it is not given"));
}

// Of the pending linearization at x0. It names the first column to blame, if one is.
template <class Backend>
void check_start_jacobian(bool finite, const Backend& backend) {
  if (finite) return;
  const auto* norms2 = backend.pending_norms2();
  const auto* end = norms2 + backend.size();
  const auto* bad = std::find_if(norms2, end, [](auto value) { return !std::isfinite(value); });
  std::string which;
  if (bad != end) {
    const std::string j = std::to_string(bad - norms2);
    which = ": column " + j + " (by differences: fun is not, a small step of x[" + j + "] away)";
  }
  throw Error(ErrorKind::value, "jac: not finite at x0, or its columns' squared norms are not" +
                                    which +
                                    "; a start with a finite Jacobian is needed, or a scale");
}

// Of the pending linearization at x0, where squares that underflow would make gradient and cost
// zero, and the start pass for a minimum. An f or a J that is zero throughout is no underflow.
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

inline std::string singular_text(int64_t iteration) {
  return "method 'gn': JᵀJ is singular at x (iteration " + std::to_string(iteration) +
         "); use method 'lm', which damps it";
}

}  // namespace steepest::nlls
