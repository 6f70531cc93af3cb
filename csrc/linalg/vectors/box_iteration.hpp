// An iteration of L-BFGS in a box, from an accepted point to the next trial point. It gives the
// same bits as LBFGS._direction_in_box in Python, which does it for other array libraries.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "linalg/vectors/box.hpp"
#include "linalg/vectors/box_pairs.hpp"
#include "linalg/vectors/vectors.hpp"

namespace steepest::linalg {

// Vectors of n elements.
template <class T>
struct Accepted {
  T *x, *before;  // the accepted point and the one before, whose place the next trial point takes
  T *g, *told;    // the gradient before, and that at x
};

template <class T>
class BoxIteration {
 public:
  BoxIteration(BoxPairs& pairs, const Pass& pass, const Box<T>& box, const WorkspaceRows& rows)
      : pairs_(pairs),
        pass_(pass),
        box_(box),
        rows_(rows),
        masked_(static_cast<size_t>(3 * box.n)) {}

  // Learns from the accepted point, to which the direction in row d has led. Leaves
  //   at.g       the point's gradient
  //   d          the row of the next direction
  //   at.before  the next trial point
  //   free       which variables are free
  // The stored products are over `free_before`; null: there are none. Returns the slope along the
  // next direction.
  double advance(const Accepted<T>& at, int64_t& d, const bool* free_before, bool* free,
                 double roundoff) {
    change(at, row(d));
    box_.find_free(at.x, at.g, static_cast<T>(pairs_.scale(1)), free);
    const std::vector<double> products = learn(at.g, d, free);
    if (free_before && !std::equal(free, free + box_.n, free_before)) learn_again(free);
    next_direction(at, row(d), products, free, roundoff);
    double slope = 0;
    void *direction = row(d), *g = at.g;
    inner(pass_, {&direction, 1}, {&g, 1}, box_.n, &slope);
    return slope;
  }

 private:
  T* row(int64_t i) const { return static_cast<T*>(rows_.at(i)); }

  // v on the free variables, or on the held ones, 0 elsewhere.
  T* masked(const bool* free, bool which, const T* v, int64_t place) {
    T* out = masked_.data() + place * box_.n;
    for (int64_t i = 0; i < box_.n; ++i) out[i] = free[i] == which ? v[i] : T(0);
    return out;
  }

  // s = x - before, y = told - g, g <- told
  void change(const Accepted<T>& at, T* s) const {
    void* const from[] = {at.x, at.before, at.g, at.told};
    void* const outs[] = {s, row(pairs_.next_y()), at.g};
    const double c[] = {1, -1, 0,  0,  //
                        0, 0,  -1, 1,  //
                        0, 0,  0,  1};
    combine(pass_, c, {from, 4}, {outs, 3}, box_.n);
  }

  // Products of all s and y, and of g, with the new y and with g over the free variables, and with
  // the new s over the held ones.
  std::vector<double> learn(T* g, int64_t& d, const bool* free) {
    T* y = row(pairs_.next_y());
    void* const columns[] = {masked(free, true, y, 0), masked(free, false, row(d), 1),
                             masked(free, true, g, 2)};
    std::vector<void*> all = rows_.at(pairs_.rows_with(d));
    all.insert(all.end(), {y, columns[2]});
    std::vector<double> products(3 * all.size());
    inner(pass_, view(all), {columns, 3}, box_.n, products.data());
    d = pairs_.append({products.data(), 3}, {products.data() + 1, 3}, d);
    return products;
  }

  // The products among the earlier pairs again, since other variables are free now.
  void learn_again(const bool* free) {
    const int64_t count = pairs_.count;
    const std::vector<void*> all = rows_.at(pairs_.rows());
    std::vector<double> products(2 * all.size());
    for (int64_t j = 0; j + 1 < count; ++j) {
      std::vector<void*> pairs(all.begin(), all.begin() + j + 1);
      pairs.insert(pairs.end(), all.begin() + count, all.begin() + count + j + 1);
      void* const columns[] = {
          masked(free, true, static_cast<T*>(pairs.back()), 0),
          masked(free, false, static_cast<T*>(all[static_cast<size_t>(j)]), 1)};
      inner(pass_, view(pairs), {columns, 2}, box_.n, products.data());
      pairs_.learn(j, {products.data(), 2}, {products.data() + 1, 2});
    }
  }

  // d, and the trial point at its end in at.before.
  void next_direction(const Accepted<T>& at, T* d, const std::vector<double>& products,
                      const bool* free, double roundoff) {
    const double otherwise = 1 / std::max(std::sqrt(products.back()), roundoff);
    std::vector<void*> all = rows_.at(pairs_.rows());
    all.push_back(at.g);
    std::vector<double> c(all.size());
    const double scale = pairs_.direction({products.data() + 2, 3}, otherwise, c.data());
    void* direction = d;
    combine(pass_, c.data(), view(all), {&direction, 1}, box_.n);
    box_.step_held(at.x, at.g, static_cast<T>(scale), free, d);
    void *const from[] = {at.x, d}, *trial = at.before;
    const double once[] = {1, 1};
    combine(pass_, once, {from, 2}, {&trial, 1}, box_.n);
    box_.project(at.before);
  }

  BoxPairs& pairs_;
  const Pass& pass_;
  const Box<T>& box_;
  const WorkspaceRows rows_;
  std::vector<T> masked_;
};

}  // namespace steepest::linalg
