// Normal equations on the device: H = JᵀJ by gemm or syrk, g = Jᵀf by gemv.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

#include "linalg/dense/rows.hpp"
#include "linalg/device/bodies.hpp"
#include "linalg/device/space.hpp"

namespace steepest::linalg {

// A step and its product with JᵀJ, which the solver asks for next: both come in one transfer.
template <class T>
struct StepProduct {
  std::vector<T> step, product;

  bool known(const T* v, T* out) const {
    if (step.empty() || std::memcmp(v, step.data(), step.size() * sizeof(T)) != 0) return false;
    std::copy(product.begin(), product.end(), out);
    return true;
  }
};

// out[j] = (out[j] +) the sum of column j's terms, in a tree of sums over 64 rows: there are enough
// of them for all threads, and neighbouring threads read neighbouring elements.
template <class T>
void sum_rows(DeviceSpace<T>& space, const Rows<T>& rows, Term term, const T* weight, bool add,
              T* out) {
  constexpr int64_t per = 64;
  SumRows<T> body{rows.data,
                  rows.row_major ? rows.ld : 1,
                  rows.row_major ? 1 : rows.ld,
                  rows.m,
                  rows.n,
                  per,
                  term,
                  weight,
                  rows.row_major,
                  false,
                  nullptr};
  for (int level = 0;; ++level) {
    const int64_t chunks = (body.rows + per - 1) / per;
    const bool last = chunks <= 1;
    body.accumulate = last && add;
    DeviceVector<T>& sums = space.sums[level % 2];
    if (!last) space.resize(sums, chunks * rows.n);
    body.to = last ? out : sums.data();
    space.each(chunks * rows.n, body);
    if (last) return;
    body = {body.to, rows.n, 1, chunks, rows.n, per, Term::element, nullptr, true, false, nullptr};
  }
}

// out = (out +) Jᵀf, without weights. For J by rows, BLAS would have one thread for each of the n
// columns, which are too few: rows are summed here.
template <class T>
void add_product(DeviceSpace<T>& space, const Rows<T>& rows, const T* f, bool add, T* out) {
  if (rows.row_major) return sum_rows(space, rows, Term::element, f, add, out);
  space.gemv(transposed, rows.m, rows.n, rows.data, rows.ld, f, T(add ? 1 : 0), out);
}

// Which variables a system has, on the device; no list if it has all.
template <class T>
Free upload_free(DeviceSpace<T>& space, const std::vector<int64_t>& free, int64_t n,
                 DeviceVector<int64_t>& list) {
  const int64_t count = static_cast<int64_t>(free.size());
  if (count == n) return {nullptr, n};
  space.resize(list, count);
  space.upload(list.data(), free.data(), count);
  return {list.data(), count};
}

template <class T>
class DeviceNormal {
 public:
  using Space = DeviceSpace<T>;

  DeviceNormal(int64_t size, bool with_matrix, Space& space) : n(size) {
    if (with_matrix) space.resize(H_, n * n);
    space.resize(small_, 6 * n + 1);
    host_.resize(static_cast<size_t>(6 * n + 1));
  }

  // Writes nothing: what is added first replaces what there was.
  void clear(Space&) {
    empty_ = true;
    has_matrix_ = plain_ = weighted_ = foreseen = false;
    last.step.clear();
  }
  // All has been added; zeros, if nothing was.
  void complete(Space& space) {
    if (!empty_) return;
    space.clear(H_);
    space.clear(small_);
    empty_ = false;
    has_matrix_ = H_.size() > 0;
  }

  void add(const Rows<T>& rows, Space& space) {
    if (!rows.jac_weight) {
      add_gram(rows.row_major ? as_it_is : transposed, rows.m, rows.data, rows.ld, space);
    } else {
      each_packed(rows, space,
                  [&](const T* packed, int64_t m) { add_gram(as_it_is, m, packed, n, space); });
    }
    add_gradient(rows, space);
  }

  void add_gradient(const Rows<T>& rows, Space& space) {
    const T* f = rows.f;
    if (rows.jac_weight) {
      space.resize(space.scratch, rows.m);
      f = space.scratch.data();
      space.each(rows.m,
                 WeighResidual<T>{rows.jac_weight, rows.res_weight, rows.f, space.scratch.data()});
    }
    add_product(space, rows, f, !empty_, small_.data());
    empty_ = false;
  }

  void add_norms2(const Rows<T>& rows, Space& space) {
    sum_rows<T>(space, rows, Term::square, nullptr, !empty_, small_.data() + n);
  }
  void take_norms2(Space&) { plain_ = true; }
  // Stored where the diagonal goes, which is the same.
  void add_weighted_norms2(const Rows<T>& rows, Space& space) {
    sum_rows(space, rows, Term::square, rows.jac_weight, !empty_, device_diagonal());
    weighted_ = true;
  }
  void take_weighted_norms2(Space&) { weighted_ = true; }

  void set(const T* JtJ, const T* Jtf, Space& space) {
    space.copy(JtJ, n * n, H_);
    space.copy_to(small_.data(), Jtf, n);
    empty_ = false;
    has_matrix_ = plain_ = true;
  }

  // Gradient, norms and diagonal come to the host in one transfer, with the foreseen step if there
  // is one.
  void fetch(Space& space) {
    complete(space);
    if (has_matrix_ && !foreseen) {
      space.each(n, TakeDiagonal<T>{H_.data(), n, device_diagonal()});
    }
    space.download(host_.data(), small_.data(), foreseen ? 6 * n + 1 : 3 * n);
  }
  // For DeviceCholesky: the diagonal, and the answer for λ = 0, on the device and then on the host.
  T* device_diagonal() { return small_.data() + 2 * n; }
  T* device_answer() { return small_.data() + 3 * n; }
  const T* answer() const { return host_.data() + 3 * n; }
  const T* g() const { return host_.data(); }
  const T* norms2() const { return host_.data() + (plain_ ? 2 : 1) * n; }
  const T* weighted_norms2() const { return host_.data() + (plain_ || weighted_ ? 2 : 1) * n; }
  T diagonal(int64_t j) const { return host_[static_cast<size_t>(2 * n + j)]; }

  const T* device_gradient() const { return small_.data(); }
  T* new_gradient() {
    empty_ = false;
    return small_.data();
  }
  const T* H() const { return H_.data(); }

  std::vector<T> matrix(Space& space) const {
    std::vector<T> H(static_cast<size_t>(n * n));
    space.download(H.data(), H_.data(), n * n);
    return H;
  }

  // out = H v
  void product(const T* v, T* out, Space& space) const {
    if (last.known(v, out)) return;
    space.resize(space.scratch, 2 * n);
    space.upload(space.scratch.data(), v, n);
    space.symv(n, H_.data(), space.scratch.data(), space.scratch.data() + n);
    space.download(out, space.scratch.data() + n, n);
  }

  int64_t n;
  StepProduct<T> last;
  bool foreseen = false;  // whether there is an answer for λ = 0

 private:
  void add_gram(int trans, int64_t m, const T* A, int64_t ld, Space& space) {
    space.gram(trans, n, m, A, ld, T(has_matrix_ ? 1 : 0), H_.data());
    has_matrix_ = true;
  }

  // body(rows, count) over chunks of weighted rows, row-major without gaps.
  template <class Body>
  void each_packed(const Rows<T>& rows, Space& space, const Body& body) {
    const int64_t chunk = Space::chunk(n);
    for (int64_t i = 0; i < rows.m; i += chunk) {
      const int64_t m = std::min(chunk, rows.m - i);
      space.resize(space.scratch, m * n);
      space.each(m * n,
                 PackRows<T>{rows.at(i), rows.ld, rows.row_major, nullptr, rows.jac_weight + i,
                             nullptr, m, n, n, space.scratch.data(), n, 1});
      body(space.scratch.data(), m);
    }
  }

  bool empty_ = true;  // nothing was added
  bool has_matrix_ = false;
  bool plain_ = false;     // the norms are H's diagonal
  bool weighted_ = false;  // those of the weighted columns are
  DeviceVector<T> H_;      // the lower triangle by rows
  DeviceVector<T> small_;  // gradient, column norms, diagonal; the answer for λ = 0
  std::vector<T> host_;    // a copy of it
};

}  // namespace steepest::linalg
