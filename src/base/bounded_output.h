// BoundedOutput keeps the beginning and the end of what a guest or program writes, and counts what it drops in between.
//
// Half of the limit is for the beginning, half for the end. Not synchronised.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace proplet {

class BoundedOutput {
 public:
  explicit BoundedOutput(std::size_t limit) : head_limit_(limit / 2), tail_limit_(limit - limit / 2) {}

  void append(std::string_view bytes);
  // Everything kept; where something was dropped, a line says how much.
  [[nodiscard]] std::string text() const;
  // The end of the output, at most `length` bytes.
  [[nodiscard]] std::string end(std::size_t length) const;
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  [[nodiscard]] std::string tail() const;

  std::size_t head_limit_;
  std::size_t tail_limit_;
  std::string head_;
  std::string ring_;  // the tail; once full, the oldest byte is at next_
  std::size_t next_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace proplet
