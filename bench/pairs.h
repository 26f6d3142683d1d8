// Measures two ways of doing the same work in turn, A B A B, and prints the medians and their ratio as one JSON line.
//
// Machines are noisy and drift; a ratio taken pair by pair in one run holds, an absolute time does not.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "base/json.h"

namespace proplet::bench {

struct Series {
  std::vector<double> seconds;

  [[nodiscard]] double percentile(double part) const {
    std::vector<double> sorted = seconds;
    std::ranges::sort(sorted);
    return sorted.at(static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1)));
  }
};

template <class Work>
double seconds_of(Work&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline void print(const json::object& line) {
  std::printf("%s\n", json::serialize(line).c_str());
  std::fflush(stdout);
}

struct Pair {
  std::string name;       // of the benchmark
  std::string reference;  // what ours is compared with
  int rounds = 15;
  double bytes = 0;  // processed by one round; 0: no rate is printed
};

// `ours` and `reference` do one round each. The ratio is reference time / our time: 1 is as fast as the reference.
template <class Ours, class Reference>
void compare(const Pair& pair, Ours&& ours, Reference&& reference) {
  Series a;
  Series b;
  Series ratio;
  ours();
  reference();
  for (int round = 0; round < pair.rounds; ++round) {
    a.seconds.push_back(seconds_of(ours));
    b.seconds.push_back(seconds_of(reference));
    ratio.seconds.push_back(b.seconds.back() / a.seconds.back());
  }
  json::object line = {{"benchmark", pair.name},
                       {"reference", pair.reference},
                       {"rounds", pair.rounds},
                       {"p50_us", a.percentile(0.5) * 1e6},
                       {"reference_p50_us", b.percentile(0.5) * 1e6},
                       {"speed_ratio", ratio.percentile(0.5)}};
  if (pair.bytes > 0) line["mib_per_second"] = pair.bytes / a.percentile(0.5) / (1 << 20);
  print(line);
}

}  // namespace proplet::bench
