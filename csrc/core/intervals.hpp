// A set of address ranges, to find arrays that overlap.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace steepest {

struct Interval {
  uintptr_t begin, end;
  int64_t owner;  // the caller's number for it
};

class Intervals {
 public:
  // Empty ranges overlap nothing and are left out.
  void add(const void* begin, int64_t bytes, int64_t owner) {
    const auto at = reinterpret_cast<uintptr_t>(begin);
    if (bytes > 0) sorted_.push_back({at, at + static_cast<uintptr_t>(bytes), owner});
    gap_begin_ = gap_end_ = 0;  // the new range may lie in the gap
  }

  // Sorts; the owners of two ranges that overlap, or none.
  std::optional<std::pair<int64_t, int64_t>> sort() {
    std::sort(sorted_.begin(), sorted_.end(),
              [](const Interval& a, const Interval& b) { return a.begin < b.begin; });
    for (size_t i = 1; i < sorted_.size(); ++i)
      if (sorted_[i].begin < sorted_[i - 1].end) return {{sorted_[i - 1].owner, sorted_[i].owner}};
    return {};
  }

  void drop_owners_from(int64_t n) {
    const auto beyond = [n](const Interval& x) { return x.owner >= n; };
    sorted_.erase(std::remove_if(sorted_.begin(), sorted_.end(), beyond), sorted_.end());
  }

  // After sort: whether some range overlaps the given one. The gap found last is tried first:
  // arrays made one after another mostly lie in one.
  bool overlaps(const void* begin, int64_t bytes) {
    if (bytes <= 0) return false;
    const auto lo = reinterpret_cast<uintptr_t>(begin);
    const uintptr_t hi = lo + static_cast<uintptr_t>(bytes);
    if (gap_begin_ <= lo && hi <= gap_end_) return false;
    const auto next = std::lower_bound(sorted_.begin(), sorted_.end(), lo,
                                       [](const Interval& a, uintptr_t at) { return a.end <= at; });
    if (next != sorted_.end() && next->begin < hi) return true;
    gap_end_ = next == sorted_.end() ? UINTPTR_MAX : next->begin;
    gap_begin_ = next == sorted_.begin() ? 0 : (next - 1)->end;
    return false;
  }

 private:
  std::vector<Interval> sorted_;
  uintptr_t gap_begin_ = 0, gap_end_ = 0;
};

}  // namespace steepest
