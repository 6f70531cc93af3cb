// A device that is not there: the kernels' bodies over a simulated grid on host memory.
//
// Blocks run one after another in random order, and the threads of a block in random order within
// each phase. A graph records launches and runs them again.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace steepest::cuda::simulated {

struct Settings {
  uint64_t seed = 1;
  int resident = 7;  // blocks of a grid at most
  bool capturing = false;
  std::vector<std::function<void()>> graph;  // what was launched while capturing
  int64_t fail_after = -1;                   // launches, before one fails; -1: none does
  std::string no_device;                     // what the runtime says where no device is usable
  // Only these blocks of a grid as large as the tiles run, where there are any.
  std::vector<int64_t> only_blocks;
};
extern Settings settings;

void replay();

}  // namespace steepest::cuda::simulated
