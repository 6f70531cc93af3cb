// A random order of 0 … n-1, made from n random words.
#pragma once
#include <cstdint>

namespace steepest {

// Shuffles from the first on (Durstenfeld 1964, CACM 7, algorithm 235): i changes places with one
// of those before it or itself, all equally likely but for 2^-64.
inline void shuffle(const uint64_t* words, int64_t n, int64_t* order) {
  __extension__ using Wide = unsigned __int128;
  for (int64_t i = 0; i < n; ++i) {
    const auto j = static_cast<int64_t>((Wide{words[i]} * static_cast<uint64_t>(i + 1)) >> 64);
    order[i] = order[j];
    order[j] = i;
  }
}

}  // namespace steepest
