// A random order of 0 … n-1, made from n random words.
#pragma once
#include <cstdint>

namespace steepest {

// floor(a b / 2^64), in halves: not every machine has integers of 128 bits.
inline uint64_t high_word(uint64_t a, uint64_t b) {
  constexpr uint64_t low = 0xffffffff;
  const uint64_t middle = (a >> 32) * (b & low) + ((a & low) * (b & low) >> 32);
  return (a >> 32) * (b >> 32) + (middle >> 32) + (((a & low) * (b >> 32) + (middle & low)) >> 32);
}

// Shuffles from the first on (Durstenfeld 1964, CACM 7, algorithm 235): i changes places with one
// of those before it or itself, all equally likely but for 2^-64.
inline void shuffle(const uint64_t* words, int64_t n, int64_t* order) {
  for (int64_t i = 0; i < n; ++i) {
    const auto j = static_cast<int64_t>(high_word(words[i], static_cast<uint64_t>(i + 1)));
    order[i] = i;
    const int64_t other = order[j];  // i itself where j is i
    order[j] = i;
    order[i] = other;
  }
}

}  // namespace steepest
