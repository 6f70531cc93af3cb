// Rows of a Jacobian with their residuals, as users hand them over, read in chunks.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "linalg/dense/space.hpp"

namespace steepest::linalg {

// m rows of J (row-major or column-major, ld the stride between rows or columns) and of f.
// With weights (a robust loss) row i counts as jac_weight[i] * J[i] and res_weight[i] * f[i].
template <class T>
struct Rows {
  const T* data;
  int64_t m, n, ld;
  bool row_major;
  const T* f;
  const T* jac_weight = nullptr;
  const T* res_weight = nullptr;

  const T* at(int64_t i) const { return row_major ? data + i * ld : data + i; }
};

// The rows of one point. Their owner keeps J for as long as it is used here; weights are copied.
template <class T, class Space>
class KeptRows {
 public:
  void set(const Rows<T>& rows, Space& space) {
    rows_ = rows;
    if (!rows.jac_weight) return;
    space.copy(rows.jac_weight, rows.m, jac_weight_);
    space.copy(rows.res_weight, rows.m, res_weight_);
    rows_.jac_weight = jac_weight_.data();
    rows_.res_weight = res_weight_.data();
  }
  void clear() { rows_ = Rows<T>{}; }
  bool empty() const { return rows_.m == 0; }
  const Rows<T>& rows() const { return rows_; }

 protected:
  Rows<T> rows_{};

 private:
  typename Space::Vector jac_weight_, res_weight_;
};

// Copies count rows from row i, weighted, row-major with stride n, and their residuals.
template <class T>
void pack(const Rows<T>& rows, int64_t i, int64_t count, T* J, T* f) {
  const int64_t n = rows.n;
  const T* from = rows.at(i);
  for (int64_t r = 0; r < count; ++r) {
    const T w = rows.jac_weight ? rows.jac_weight[i + r] : T(1);
    const int64_t column = rows.row_major ? 1 : rows.ld;
    const T* row = from + r * (rows.row_major ? rows.ld : 1);
    for (int64_t j = 0; j < n; ++j) J[r * n + j] = w * row[j * column];
    f[r] = (rows.res_weight ? rows.res_weight[i + r] : T(1)) * rows.f[i + r];
  }
}

// Calls body(J, ld, f, count) over chunks of weighted row-major rows; rows that already are
// unweighted and row-major are passed as they lie, all others through the scratch memory.
template <class T, class Body>
void each_chunk(const Rows<T>& rows, int64_t chunk, HostSpace<T>& space, Body&& body) {
  std::vector<T>& scratch = space.scratch;
  const bool direct = rows.row_major && !rows.jac_weight;
  if (!direct) scratch.resize(static_cast<size_t>(chunk * (rows.n + 1)));
  for (int64_t i = 0; i < rows.m; i += chunk) {
    const int64_t count = std::min(chunk, rows.m - i);
    if (direct) {
      body(rows.at(i), rows.ld, rows.f + i, count);
    } else {
      T* f = scratch.data() + chunk * rows.n;
      pack(rows, i, count, scratch.data(), f);
      body(scratch.data(), rows.n, f, count);
    }
  }
}

// The same by columns, ld the stride between them.
template <class T, class Body>
void each_chunk_by_columns(const Rows<T>& rows, int64_t chunk, HostSpace<T>& space, Body&& body) {
  std::vector<T>& scratch = space.scratch;
  const bool direct = !rows.row_major && !rows.jac_weight;
  if (!direct) scratch.resize(static_cast<size_t>(chunk * (rows.n + 1)));
  const int64_t down = rows.row_major ? rows.ld : 1, across = rows.row_major ? 1 : rows.ld;
  for (int64_t i = 0; i < rows.m; i += chunk) {
    const int64_t count = std::min(chunk, rows.m - i);
    const T *from = rows.at(i), *f = rows.f + i;
    if (direct) {
      body(from, rows.ld, f, count);
      continue;
    }
    T *J = scratch.data(), *weighted = J + chunk * rows.n;
    for (int64_t j = 0; j < rows.n; ++j) {
      for (int64_t r = 0; r < count; ++r) J[j * chunk + r] = from[r * down + j * across];
    }
    if (rows.jac_weight) {
      for (int64_t j = 0; j < rows.n; ++j) {
        for (int64_t r = 0; r < count; ++r) J[j * chunk + r] *= rows.jac_weight[i + r];
      }
      for (int64_t r = 0; r < count; ++r) weighted[r] = rows.res_weight[i + r] * f[r];
      f = weighted;
    }
    body(J, chunk, f, count);
  }
}

// out[j] += the square of column j's norm, with row i counted as weight[i] of itself.
template <class T>
void add_column_norms2(const Rows<T>& rows, const T* weight, T* out) {
  const auto square = [weight](T value, int64_t i) {
    const T v = weight ? weight[i] * value : value;
    return v * v;
  };
  if (rows.row_major) {
    for (int64_t i = 0; i < rows.m; ++i) {
      const T* row = rows.at(i);
      for (int64_t j = 0; j < rows.n; ++j) out[j] += square(row[j], i);
    }
    return;
  }
  for (int64_t j = 0; j < rows.n; ++j) {
    const T* column = rows.data + j * rows.ld;
    T sum = 0;
    for (int64_t i = 0; i < rows.m; ++i) sum += square(column[i], i);
    out[j] += sum;
  }
}

}  // namespace steepest::linalg
