#include "simulated_updates.hpp"

namespace steepest::cuda::simulated {

Body with_few_lanes(int kind) { return of_one_kind<few_lanes>(AllKinds{}, kind); }

}  // namespace steepest::cuda::simulated
