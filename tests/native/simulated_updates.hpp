// The update kernels' bodies over the simulated grid. They are compiled in two files, since that
// takes long.
#pragma once
#include "cuda/update.hpp"
#include "simulated.hpp"

namespace steepest::cuda::simulated {

// An update kernel, before the wait and after it.
struct Body {
  void (*before)(const StepArgs&, const Team&, UpdateShared&);
  void (*after)(const StepArgs&, const Team&, UpdateShared&);
};

template <int lanes, class... Kinds>
Body of_one_kind(List<Kinds...>, int kind) {
  static constexpr Body table[] = {
      {before_wait<List<Kinds>, Team>, after_wait<List<Kinds>, lanes, Team>}...};
  return table[kind];
}

Body with_few_lanes(int kind);

}  // namespace steepest::cuda::simulated
