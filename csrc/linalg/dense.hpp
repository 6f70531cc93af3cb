// The linear algebra below the least-squares solver, on the CPU.
//
// A backend holds what has n² entries or one entry a residual; the solver above it keeps vectors
// of n numbers and scalars on the host. Another device gives the same members:
//   Scalar, Vector, sum, each           residual-sized vectors and loops over them
//   begin, add, set_normal, finite, commit    the linearization at a new point: summed into the
//                                       pending system, which replaces the current one on commit
//   gradient, norms2                    Jᵀf and the squared column norms (before weights)
//   solve, resolve, product             steps and JᵀJ products with the current system
//   keep, curvature                     J itself, where its owner keeps it
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "linalg/cg.hpp"
#include "linalg/cholesky.hpp"
#include "linalg/normal.hpp"
#include "linalg/rows.hpp"
#include "linalg/triangle.hpp"

namespace steepest::linalg {

enum class LinearSolver { automatic, cholesky, qr, cg };

template <class T>
class DenseCpu {
 public:
  using Scalar = T;
  using Vector = std::vector<T>;

  DenseCpu(int64_t n, LinearSolver kind)
      : kind_(kind), current_(n, uses_normal(kind)), pending_(n, uses_normal(kind)) {}

  // Σ term(i), in four lanes.
  template <class F>
  static double sum(int64_t m, F&& term) {
    double lanes[4] = {0, 0, 0, 0};
    int64_t i = 0;
    for (; i + 4 <= m; i += 4) {
      for (int lane = 0; lane < 4; ++lane) lanes[lane] += term(i + lane);
    }
    for (; i < m; ++i) lanes[0] += term(i);
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
  }

  template <class F>
  static void each(int64_t m, F&& body) {
    for (int64_t i = 0; i < m; ++i) body(i);
  }

  // True where something with this many rows and columns is left to LAPACK.
  static bool needs_lapack(int64_t m, int64_t n) { return n > own_gram_n || m * n > own_gemv_size; }

  void begin() {
    pending_.by_qr = kind_ == LinearSolver::qr || blocks_by_qr_;
    pending_.normal.clear();
    pending_.J.clear();
    if (pending_.by_qr) pending_.make_triangle();
    std::fill(pending_.norms2.begin(), pending_.norms2.end(), T(0));
  }

  void add(const Rows<T>& rows) {
    const bool plain = !rows.jac_weight && !pending_.by_qr && kind_ != LinearSolver::cg;
    if (!plain) add_column_norms2(rows, pending_.norms2.data());
    if (kind_ == LinearSolver::cg) {
      add_operator_gradient(rows);
    } else if (pending_.by_qr) {
      pending_.triangle.add(rows, scratch_);
      add_gradient(rows);
    } else {
      pending_.normal.add(rows, scratch_);
    }
    if (!plain) return;
    for (int64_t j = 0; j < rows.n; ++j) pending_.norms2[at(j)] = pending_.normal.diagonal(j);
  }

  // Of the last point only the gradient is wanted, and the columns' norms; keep() was called.
  void add_gradient_only(const Rows<T>& rows) {
    add_column_norms2(rows, pending_.norms2.data());
    add_operator_gradient(rows);
  }

  // JᵀJ (row-major, only its lower triangle is read) and Jᵀf summed elsewhere.
  void set_normal(const T* JtJ, const T* Jtf) {
    const int64_t n = size();
    pending_.by_qr = false;
    for (int64_t j = 0; j < n; ++j) {
      std::copy_n(JtJ + j * n, j + 1, pending_.normal.H.data() + j * n);
      pending_.normal.g[at(j)] = Jtf[j];
      pending_.norms2[at(j)] = JtJ[j * n + j];
    }
  }

  // A NaN or inf in J reaches its column's norm, one in f the gradient.
  bool finite() const {
    for (const T v : pending_.norms2) {
      if (!std::isfinite(v)) return false;
    }
    for (const T v : pending_.normal.g) {
      if (!std::isfinite(v)) return false;
    }
    return true;
  }

  void commit() { std::swap(current_, pending_); }

  // J of the pending point stays where it is until a later one is committed: then CG, and QR where
  // Cholesky fails, read it again.
  void keep(const Rows<T>& rows) { pending_.J.set(rows); }
  bool keeps_rows() const { return !current_.J.empty(); }

  const T* gradient() const { return current_.normal.g.data(); }
  const T* pending_gradient() const { return pending_.normal.g.data(); }
  const T* norms2() const { return current_.norms2.data(); }
  bool by_qr() const { return current_.by_qr; }

  // The step d on `free`, from s, of the damped quadratic; r is its gradient at s. False: singular.
  bool solve(Damping<T> damping, const std::vector<int64_t>& free, const T* s, const T* r, T* d) {
    if (kind_ == LinearSolver::cg) {
      cg_.solve(current_.J, norms2(), damping, free, size(), r, cg_tolerance, d);
      return true;
    }
    if (current_.by_qr) return current_.triangle.solve(damping, free, s, d);
    if (cholesky_.solve(current_.normal, damping, free, r, d)) return true;
    if (kind_ == LinearSolver::cholesky) return false;
    if (!keeps_rows()) {
      blocks_by_qr_ = has_rows_;
      return false;
    }
    current_.by_qr = true;
    current_.make_triangle();
    current_.triangle.add(current_.J.rows(), scratch_);
    return current_.triangle.solve(damping, free, s, d);
  }

  // The step for another r by the factor of the last solve.
  void resolve(Damping<T> damping, const std::vector<int64_t>& free, const T* r, T* d) {
    if (kind_ == LinearSolver::cg) {
      cg_.solve(current_.J, norms2(), damping, free, size(), r, cg_tolerance, d);
    } else if (current_.by_qr) {
      current_.triangle.resolve(free, r, d);
    } else {
      cholesky_.resolve(free, r, d);
    }
  }

  // out = Jᵀ f'' from the residuals ahead at x + h s: f'' = 2/h ((ahead - f)/h - J s), the second
  // derivative along s. False where it is not finite.
  bool curvature(const T* s, T h, const T* f, const T* ahead, T* out) {
    const int64_t m = current_.J.rows().m;
    scratch_.resize(at(m));
    current_.J.multiply(s, scratch_.data());
    each(m,
         [&](int64_t i) { scratch_[at(i)] = 2 / h * ((ahead[i] - f[i]) / h - scratch_[at(i)]); });
    current_.J.weighted_transpose(scratch_.data(), out);
    for (int64_t j = 0; j < size(); ++j) {
      if (!std::isfinite(out[j])) return false;
    }
    return true;
  }

  // out = JᵀJ v
  void product(const T* v, T* out) {
    if (kind_ == LinearSolver::cg) {
      current_.J.product(v, out);
    } else if (current_.by_qr) {
      current_.triangle.product(v, out);
    } else {
      current_.normal.product(v, out);
    }
  }

  const T* jac_weight() const { return current_.J.rows().jac_weight; }

  // R (upper triangle by columns) where by_qr(), else the lower triangle of JᵀJ by rows: n x n.
  const T* matrix() const {
    return current_.by_qr ? current_.triangle.data() : current_.normal.H.data();
  }

  // Blocks of rows come and go; normal equations come without rows.
  void set_has_rows(bool has_rows) { has_rows_ = has_rows; }

  int64_t size() const { return current_.normal.n; }

  static constexpr T cg_tolerance = T(1e-3);

 private:
  struct System {
    System(int64_t n, bool with_matrix)
        : normal(n, with_matrix), triangle(0), norms2(static_cast<size_t>(n)) {}
    void make_triangle() {
      if (triangle.n != normal.n) triangle = Triangle<T>(normal.n);
      triangle.clear();
    }
    NormalEquations<T> normal;  // its g also where the matrix is not used
    Triangle<T> triangle;
    Operator<T> J;
    Vector norms2;
    bool by_qr = false;
  };

  static bool uses_normal(LinearSolver kind) {
    return kind == LinearSolver::automatic || kind == LinearSolver::cholesky;
  }
  static size_t at(int64_t j) { return static_cast<size_t>(j); }

  void add_gradient(const Rows<T>& rows) {
    each_chunk(rows, own_chunk, scratch_, [this](const T* J, int64_t ld, const T* f, int64_t m) {
      T* g = pending_.normal.g.data();
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < size(); ++j) g[j] += f[i] * J[i * ld + j];
      }
    });
  }

  // keep() was called before.
  void add_operator_gradient(const Rows<T>& rows) {
    scratch_.resize(at(rows.m));
    for (int64_t i = 0; i < rows.m; ++i) {
      const T w = rows.jac_weight ? rows.jac_weight[i] * rows.res_weight[i] : T(1);
      scratch_[at(i)] = w * rows.f[i];
    }
    pending_.J.transpose_multiply(scratch_.data(), pending_.normal.g.data());
  }

  LinearSolver kind_;
  System current_, pending_;
  Cholesky<T> cholesky_;
  ConjugateGradients<T> cg_;
  Vector scratch_;
  bool blocks_by_qr_ = false, has_rows_ = true;
};

}  // namespace steepest::linalg
