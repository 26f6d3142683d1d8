// UnreachableHosts remembers for a while which registries could not be reached, so that not every task finds out anew.
// Bounded, thread-safe.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>

namespace proplet::module {

class UnreachableHosts {
 public:
  explicit UnreachableHosts(std::chrono::milliseconds memory) : memory_(memory) {}

  void add(const std::string& host) {
    const std::lock_guard lock(mutex_);
    if (until_.size() >= kMost) until_.clear();  // each costs one more attempt, which is less than book-keeping
    until_.insert_or_assign(host, std::chrono::steady_clock::now() + memory_);
  }

  [[nodiscard]] bool contains(const std::string& host) const {
    const std::lock_guard lock(mutex_);
    const auto found = until_.find(host);
    return found != until_.end() && std::chrono::steady_clock::now() < found->second;
  }

 private:
  static constexpr std::size_t kMost = 256;

  const std::chrono::milliseconds memory_;
  mutable std::mutex mutex_;
  std::map<std::string, std::chrono::steady_clock::time_point> until_;
};

}  // namespace proplet::module
