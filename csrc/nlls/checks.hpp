// What the solver refuses to be told, and how it says so.
#pragma once
#include <cmath>
#include <cstdint>
#include <string>

#include "core/error.hpp"

namespace steepest::nlls {

enum class Phase { residual, jacobian, done };

// What the solver asks for next. `ahead`: residuals ahead of a step; better_jacobian: of the point
// accepted before; no_step: nothing, as there was no step from that point.
enum class Asked { residual, ahead, jacobian, better_jacobian, nothing, no_step };

inline Phase phase_of(Asked asked) {
  if (asked == Asked::nothing) return Phase::done;
  const bool jacobian = asked == Asked::jacobian || asked == Asked::better_jacobian;
  return jacobian ? Phase::jacobian : Phase::residual;
}

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

// The form in which a point is told. A fit keeps to that of its start.
enum class Form { whole, blocks, normal };

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

inline void check_start_jacobian(bool finite) {
  if (finite) return;
  throw Error(ErrorKind::value,
              "jac: not finite at x0, or its columns' squared norms are not; a start with a finite "
              "Jacobian is needed, or a scale");
}

inline std::string singular_text(int64_t iteration) {
  return "method 'gn': JᵀJ is singular at x (iteration " + std::to_string(iteration) +
         "); use method 'lm', which damps it";
}

}  // namespace steepest::nlls
