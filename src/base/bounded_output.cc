#include "base/bounded_output.h"

#include <fmt/core.h>

#include <algorithm>

namespace proplet {

void BoundedOutput::append(std::string_view bytes) {
  const std::size_t to_head = std::min(bytes.size(), head_limit_ - head_.size());
  head_.append(bytes.substr(0, to_head));
  bytes.remove_prefix(to_head);
  if (bytes.size() > tail_limit_) {
    dropped_ += bytes.size() - tail_limit_ + ring_.size();
    ring_.clear();
    next_ = 0;
    bytes.remove_prefix(bytes.size() - tail_limit_);
  }
  const std::size_t to_grow = std::min(bytes.size(), tail_limit_ - ring_.size());
  ring_.append(bytes.substr(0, to_grow));
  bytes.remove_prefix(to_grow);
  dropped_ += bytes.size();
  while (!bytes.empty()) {
    const std::size_t run = std::min(bytes.size(), tail_limit_ - next_);
    std::copy_n(bytes.begin(), run, ring_.begin() + static_cast<std::ptrdiff_t>(next_));
    bytes.remove_prefix(run);
    next_ = (next_ + run) % tail_limit_;
  }
}

std::string BoundedOutput::tail() const { return ring_.substr(next_) + ring_.substr(0, next_); }

std::string BoundedOutput::text() const {
  if (dropped_ == 0) return head_ + tail();
  return fmt::format("{}\n[{} bytes of output dropped]\n{}", head_, dropped_, tail());
}

std::string BoundedOutput::end(std::size_t length) const {
  std::string all = dropped_ == 0 ? head_ + tail() : tail();
  return all.size() <= length ? all : all.substr(all.size() - length);
}

}  // namespace proplet
