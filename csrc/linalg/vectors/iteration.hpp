// Ordinary iterations of L-BFGS as one call: the first trial of a search meets the Wolfe conditions
// and does not end the run, so it is accepted, and the next trial point follows. The same bits as
// by LBFGS in Python, which does all other iterations, and all for other array libraries.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "linalg/vectors/box_iteration.hpp"
#include "linalg/vectors/pairs.hpp"
#include "linalg/vectors/vectors.hpp"

namespace steepest::linalg {

// Rows: of the point, of the gradient before, of the point before, whose place the next trial point
// takes, and of the direction.
struct Places {
  int64_t x, g, before, d;
};

struct Told {
  double f;
  void* g;
  double least_square;  // of |g|, above which the run goes on
};

struct NextLine {
  double slope;
  int64_t d;  // the direction's row
};

// Learns from the point, and leaves its gradient in row g, the next direction and the next trial
// point in their rows, and a copy of that point in what room() gives. If the point is not to be
// accepted at once, it changes nothing and returns nothing.
template <class Room>
std::optional<NextLine> ordinary_iteration(Pairs& pairs, const Pass& pass,
                                           const WorkspaceRows& rows, int64_t n, const Places& at,
                                           const FirstStep& first, const Told& told, Room&& room) {
  if (!first.low_enough(told.f)) return {};

  // The first pass: products of all d, y and g with the new y, a null pointer, and with g
  std::vector<void*> read = rows.at(pairs.rows_with(at.d));
  const size_t newest_d = read.size() / 2;
  void* const columns[] = {nullptr, told.g};
  read.insert(read.end(), columns, columns + 2);
  std::vector<double> products(2 * read.size());
  inner(pass, view(read), {columns, 2}, n, products.data(), {told.g, rows.at(at.g)});
  const double slope = products[2 * newest_d + 1], square = products.back();
  if (!first.flat_enough(slope)) return {};
  if (!(square > told.least_square && std::isfinite(square))) return {};

  // The second: the new y, g, the direction, the next trial point and its copy
  const double ratio = curvature_ratio(first.from, {told.f, slope}, first.length, first.roundoff);
  const int64_t next = pairs.append({products.data(), 2}, first.length, ratio, at.d);
  std::vector<double> c(5 * static_cast<size_t>(2 * pairs.count + 4));
  const double next_slope = pairs.second_pass({products.data() + 1, 2}, 1.0, c.data());
  void* const others[] = {rows.at(at.g), rows.at(at.x), rows.at(next), told.g};
  read = rows.at(pairs.rows());
  read.insert(read.end(), others, others + 4);
  void* const outs[] = {rows.at(pairs.newest_y()), others[0], others[2], rows.at(at.before),
                        room()};
  combine(pass, c.data(), view(read), {outs, 5}, n);
  return NextLine{next_slope, next};
}

// The same question in a box, where `BoxIteration::advance` does the rest: whether the first step,
// along d to at.x, meets the weak Wolfe conditions along the projected path, and an element of the
// projected gradient is above gtol.
template <class T>
bool goes_on(const FirstStep& first, double f, const Box<T>& box, const Accepted<T>& at, const T* d,
             double gtol) {
  if (!first.low_enough(f)) return false;
  if (!std::all_of(at.told, at.told + box.n, [](T gi) { return std::isfinite(gi); })) return false;
  if (!first.flat_enough(box.slope(at.before, d, static_cast<T>(first.length), at.told)))
    return false;
  return box.largest_projected_gradient(at.x, at.told) > gtol;
}

}  // namespace steepest::linalg
