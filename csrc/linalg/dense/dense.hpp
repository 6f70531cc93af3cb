// The linear algebra below the least-squares solver.
//
// A backend holds what has n² entries or one entry a residual; the solver above it keeps vectors
// of n numbers and scalars on the host. Parts says where the matrices live and what works on them
// (HostParts below; DeviceParts in linalg/device):
//   Space                               residual-sized vectors and loops over them
//   Normal, Triangle, Operator          JᵀJ, R, and J itself where its owner keeps it
//   Cholesky                            the factor of a damped Normal
// What is built on them here is the same for both:
//   begin, add, set_normal, finite, commit    the linearization at a new point: summed into the
//                                       pending system, which replaces the current one on commit
//   gradient, norms2, weighted_norms2   Jᵀf and the squared column norms, before and after weights
//   solve, resolve, product             steps and JᵀJ products with the current system
//   keep, curvature                     J itself, where its owner keeps it
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "linalg/dense/cg.hpp"
#include "linalg/dense/cholesky.hpp"
#include "linalg/dense/normal.hpp"
#include "linalg/dense/rows.hpp"
#include "linalg/dense/space.hpp"
#include "linalg/dense/triangle.hpp"

namespace steepest::linalg {

enum class LinearSolver { automatic, cholesky, qr, cg };

template <class Parts>
class Dense {
 public:
  using Scalar = typename Parts::Scalar;
  using Space = typename Parts::Space;
  using T = Scalar;

  Dense(int64_t n, LinearSolver kind, Space space = {})
      : kind_(kind),
        space_(std::move(space)),
        current_(n, uses_normal(kind), space_),
        pending_(n, uses_normal(kind), space_) {}

  Space& space() { return space_; }

  void begin() {
    begin(pending_);
    if (pending_exact_) pending_exact_->told = false;
  }

  void add(const Rows<T>& rows) {
    if (kind_ == LinearSolver::cg) return add_gradient_only(rows);
    add(rows, pending_);
  }

  // The same rows by the weights that matrix() is to have, where steps are by others: after blocks
  // they are gone.
  void add_exact(const Rows<T>& rows) {
    if (!pending_exact_) {
      pending_exact_ = std::make_unique<System>(size(), uses_normal(kind_), space_);
    }
    if (!std::exchange(pending_exact_->told, true)) begin(*pending_exact_);
    add(rows, *pending_exact_);
  }

  // All that CG needs, and that is needed of the last point; after keep().
  void add_gradient_only(const Rows<T>& rows) {
    add_norms(rows, pending_);
    pending_.J.gradient(pending_.normal, space_);
  }

  // JᵀJ (row-major, only its lower triangle is read) and Jᵀf summed elsewhere.
  void set_normal(const T* JtJ, const T* Jtf) {
    pending_.normal.clear(space_);
    pending_.normal.set(JtJ, Jtf, space_);
  }

  // The linearization is complete: its n-sized parts come to the host. A NaN or inf in J reaches
  // its column's norm, one in f the gradient. undamped_next: a step with λ = 0 is asked for next.
  bool finite(bool undamped_next) {
    if (undamped_next && uses_normal(kind_) && !pending_.by_qr) {
      cholesky_.foresee(pending_.normal, space_);
    }
    pending_.normal.fetch(space_);
    const auto& pending = pending_.normal;
    for (const T* v : {pending.norms2(), pending.g()}) {
      for (int64_t j = 0; j < size(); ++j) {
        if (!std::isfinite(v[j])) return false;
      }
    }
    return true;
  }

  void commit() {
    std::swap(current_, pending_);
    std::swap(current_exact_, pending_exact_);
  }

  // J of the pending point stays where it is until a later one is committed: then CG, and QR where
  // Cholesky fails, read it again.
  void keep(const Rows<T>& rows) { pending_.J.set(rows, space_); }
  bool keeps_rows() const { return !current_.J.empty(); }

  const T* gradient() const { return current_.normal.g(); }
  const T* pending_gradient() const { return pending_.normal.g(); }
  const T* pending_norms2() const { return pending_.normal.norms2(); }
  const Rows<T>& pending_rows() const { return pending_.J.rows(); }  // empty unless kept
  const T* norms2() const { return current_.normal.norms2(); }
  const T* weighted_norms2() const { return current_.normal.weighted_norms2(); }
  bool by_qr() const { return current_.by_qr; }

  // The step d on `free`, from s, of the damped quadratic; r is its gradient at s. False: singular.
  bool solve(Damping<T> damping, const std::vector<int64_t>& free, const T* s, const T* r, T* d) {
    if (kind_ == LinearSolver::cg) {
      cg_.solve(current_.J, norms2(), damping, free, size(), r, cg_tolerance, d, space_);
      return true;
    }
    if (current_.by_qr) return current_.triangle.solve(damping, free, s, d, space_);
    if (cholesky_.solve(current_.normal, damping, free, r, d, smallest_pivot(free), space_)) {
      return true;
    }
    if (kind_ == LinearSolver::cholesky) return false;
    if (!keeps_rows()) {
      // They came in blocks and are gone. QR takes those of the next point; this step is left to
      // Cholesky, now with pivots down to rounding.
      return !std::exchange(blocks_by_qr_, true) && solve(damping, free, s, r, d);
    }
    current_.by_qr = true;
    current_.make_triangle(space_);
    current_.triangle.add(current_.J.rows(), space_);
    return current_.triangle.solve(damping, free, s, d, space_);
  }

  // The step for another r by the factor of the last solve.
  void resolve(Damping<T> damping, const std::vector<int64_t>& free, const T* r, T* d) {
    if (kind_ == LinearSolver::cg) {
      cg_.solve(current_.J, norms2(), damping, free, size(), r, cg_tolerance, d, space_);
    } else if (current_.by_qr) {
      current_.triangle.resolve(free, r, d, space_);
    } else {
      cholesky_.resolve(free, r, d, space_);
    }
  }

  // As Operator::curvature (cg.hpp).
  bool curvature(const T* s, T h, const T* f, const T* ahead, T* out) {
    return current_.J.curvature(s, h, f, ahead, out, space_);
  }

  // out = JᵀJ v
  void product(const T* v, T* out) {
    if (kind_ == LinearSolver::cg) {
      current_.J.product(v, out, space_);
    } else if (current_.by_qr) {
      current_.triangle.product(v, out, space_);
    } else {
      current_.normal.product(v, out, space_);
    }
  }

  const T* jac_weight() const { return current_.J.rows().jac_weight; }

  // R (upper triangle by columns) where by_qr(), else the lower triangle of JᵀJ by rows: n x n.
  std::vector<T> matrix() {
    System& told = current_exact_ && current_exact_->told ? *current_exact_ : current_;
    return told.by_qr ? told.triangle.matrix(space_) : told.normal.matrix(space_);
  }

  int64_t size() const { return current_.normal.n; }

  static constexpr T cg_tolerance = T(1e-3);

 private:
  struct System {
    System(int64_t n, bool with_matrix, Space& space)
        : normal(n, with_matrix, space), triangle(0) {}
    void make_triangle(Space& space) {
      if (triangle.n != normal.n) triangle = typename Parts::Triangle(normal.n);
      triangle.clear(space);
    }
    typename Parts::Normal normal;  // holds the gradient and norms even without the matrix
    typename Parts::Triangle triangle;
    typename Parts::Operator J;
    bool by_qr = false, told = false;  // told: of the exact ones, whether add_exact was called
  };

  void begin(System& to) {
    to.by_qr = kind_ == LinearSolver::qr || blocks_by_qr_;
    to.normal.clear(space_);
    to.J.clear();
    if (to.by_qr) to.make_triangle(space_);
  }

  void add(const Rows<T>& rows, System& to) {
    if (to.by_qr) {
      add_norms(rows, to);
      to.triangle.add(rows, space_);
      to.normal.add_gradient(rows, space_);
    } else if (rows.jac_weight) {
      to.normal.add_norms2(rows, space_);
      to.normal.add(rows, space_);
      to.normal.take_weighted_norms2(space_);
    } else {
      to.normal.add(rows, space_);
      to.normal.take_norms2(space_);
    }
  }

  // From the rows, before they are added to anything else: a device replaces what there was until
  // then.
  void add_norms(const Rows<T>& rows, System& to) {
    to.normal.add_norms2(rows, space_);
    if (rows.jac_weight) to.normal.add_weighted_norms2(rows, space_);
  }

  // A pivot of JᵀJ, 1 - R² of a column, is wrong by about n eps. Cholesky gives up below 16 times
  // that; where QR can follow, of J or of the next point's blocks, as soon as no more than a third
  // of the pivot's digits are right.
  T smallest_pivot(const std::vector<int64_t>& free) const {
    constexpr T eps = std::numeric_limits<T>::epsilon();
    static const T third = 64 * std::cbrt(eps * eps);
    const T rounding = 16 * static_cast<T>(free.size()) * eps;
    if (kind_ != LinearSolver::automatic || (blocks_by_qr_ && !keeps_rows())) return rounding;
    return std::max(rounding, third);
  }

  static bool uses_normal(LinearSolver kind) {
    return kind == LinearSolver::automatic || kind == LinearSolver::cholesky;
  }

  LinearSolver kind_;
  Space space_;
  System current_, pending_;
  std::unique_ptr<System> current_exact_, pending_exact_;
  typename Parts::Cholesky cholesky_;
  ConjugateGradients<T> cg_;
  bool blocks_by_qr_ = false;
};

// NumPy's memory, and LAPACK.
template <class T>
struct HostParts {
  using Scalar = T;
  using Space = HostSpace<T>;
  using Normal = NormalEquations<T>;
  using Triangle = linalg::Triangle<T>;
  using Operator = linalg::Operator<T>;
  using Cholesky = linalg::Cholesky<T>;
};

template <class T>
using DenseCpu = Dense<HostParts<T>>;

// Whether work on so many rows and columns may call LAPACK.
inline bool needs_lapack(int64_t m, int64_t n) { return n > own_gram_n || m * n > own_gemv_size; }

}  // namespace steepest::linalg
