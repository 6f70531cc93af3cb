// A device that is not there: the kernels' bodies over a simulated grid on host memory.
//
// Blocks run one after another in random order, and the threads of a block in random order within
// each phase. Of numbers that blocks take from each other, each but the last to run leaves some, at
// random. A graph records launches and runs them again. Where launches may overlap, each leaves
// parts of itself, blocks or words, to be done when another is made, whose blocks come first with
// what they do before they wait.
//
// Where streams are lazy, one does nothing until it is waited for, and none waits for another
// unless it is told to: the worst that streams which do not block may do.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/team.hpp"

namespace steepest::cuda::simulated {

struct Settings {
  uint64_t seed = 1;
  int resident = 7;  // blocks of a grid at most
  int multiprocessors = 1;
  int64_t cache_bytes = 1 << 20;
  bool capturing = false;
  void* captured = nullptr;                  // the stream that is; null: all are
  std::vector<std::function<void()>> graph;  // what was launched while capturing
  int64_t fail_after = -1;                   // launches, before one fails; -1: none does
  std::string no_device;                     // what the runtime says where no device is usable
  // Only these blocks of a grid as large as the tiles run, where there are any.
  std::vector<int64_t> only_blocks;
  bool overlap = false;
  int at_once = -1;    // parts of a launch that do not wait for the next one; -1: a random number
  bool spoil = false;  // constants that were folded before the wait
  bool lazy = false;
  bool capture_elsewhere = false;  // of a stream that blocks: the null stream is of no use
  std::set<void*> streams;       // that anything was asked of
  int64_t asked_with_gil = 0;    // launches, copies and waits by a thread that held Python's GIL
};
extern Settings settings;

void replay(void* stream);
void asked(void* stream);
void give(void* stream, std::function<void()> run);
void drain(void* stream);  // all that it was given is done then
void drain_all();
void follow(void* later, void* earlier);
void launch(void* stream, std::function<void()> run);
using Parts = std::vector<std::function<void()>>;
void run_all(const Parts& parts);
// The same of a kernel that is launched early: what it does before it waits, and its parts.
struct Early {
  std::function<void()> before;
  Parts parts;
};
void launch_early(void* stream, std::function<Early()> begin);
void finish();  // what launches have left
std::vector<int> shuffled(int n);

struct Team {
  int64_t block, blocks;
  bool last;  // to run
  template <class F>
  void phase(const F& f) const {
    for (int thread : shuffled(threads)) f(thread);
  }
  void converge() const {}
  void wait_for_earlier() const {}
  bool begins_early() const { return true; }
  void let_next_begin() const {}
  template <class T>
  T peek(const T& x) const {
    return x;
  }
  void announce(uint32_t& flag) const { flag = 1; }
  void await(const uint32_t& flag) const {
    if (flag != 1) throw std::logic_error("a block waits for one that has not begun");
  }
  // What is fetched is garbage until it is waited for.
  template <class T>
  void fetch(T& to, const T& from, bool) const {
    std::memset(static_cast<void*>(&to), 0xA5, sizeof to);
    under_way.push_back([&to, &from] { to = from; });
  }
  void land() const {
    for (const auto& copy : under_way) copy();
    under_way.clear();
  }
  mutable std::vector<std::function<void()>> under_way;
  uint32_t take(uint32_t& counter) const {
    constexpr uint32_t none = uint32_t{1} << 31;
    if (!last && shuffled(4)[0] == 0) others_took_the_rest = true;
    if (others_took_the_rest) return none;
    return counter++;
  }
  mutable bool others_took_the_rest = false;
};

// f(team, shared) for each block of the grid, as they are to run; shared memory is garbage.
template <class Shared, class F>
void each_block(int blocks, const F& f) {
  if (blocks == 0) throw std::logic_error("a grid without blocks, which CUDA refuses");
  const std::vector<int> order = shuffled(blocks);
  for (int block : order) {
    const auto& only = settings.only_blocks;
    if (!only.empty() && std::find(only.begin(), only.end(), block) == only.end()) continue;
    auto shared = std::make_shared<Shared>();
    std::memset(static_cast<void*>(shared.get()), 0xA5, sizeof(Shared));
    f(Team{block, blocks, block == order.back()}, shared);
  }
}

template <class Shared, class F>
void run_grid(int blocks, const F& body) {
  each_block<Shared>(blocks, [&](const Team& team, const auto& shared) { body(team, *shared); });
}

}  // namespace steepest::cuda::simulated
