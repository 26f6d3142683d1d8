// SecretBytes own key material or confidential plaintext.
//
// Excluded from core dumps, not inherited by fork, locked against swapping where the process may lock memory, wiped on
// every path when the owner dies. Up to 2 KiB come from secret_arena.h, more is mapped by itself. There is no stream
// operator, no comparison but the constant-time one, and no implicit conversion: reading needs an explicit `view()`.
// A SecretBytes moves but never copies by accident; `clone()` is the deliberate copy. Not synchronised.
#pragma once

#include <cstddef>
#include <utility>

#include "base/bytes.h"

namespace proplet {

class SecretBytes {
 public:
  SecretBytes() = default;
  // `size` zero bytes. Aborts when the system has no memory left.
  explicit SecretBytes(std::size_t size);
  // A copy of `bytes`; the caller wipes the source.
  static SecretBytes copy_of(ByteView bytes);

  SecretBytes(SecretBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        mapped_(std::exchange(other.mapped_, 0)) {}
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes() { reset(); }

  [[nodiscard]] SecretBytes clone() const { return copy_of(view()); }
  [[nodiscard]] ByteView view() const { return {data_, size_}; }
  [[nodiscard]] MutableByteView mutable_view() { return {data_, size_}; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] bool equals(ByteView other) const { return equal_constant_time(view(), other); }

  // Wipes what lies beyond `size` and forgets it. `size` must not exceed the present size.
  void truncate(std::size_t size);
  // Wipes and releases now.
  void reset();

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t mapped_ = 0;  // whole pages, or what was asked of the arena
};

// Overwrites memory in a way no optimiser removes.
void wipe(MutableByteView bytes);
void wipe(std::string& text);

}  // namespace proplet
