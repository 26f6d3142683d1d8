// UniqueFd owns a file descriptor and closes it. Moves, never copies.
#pragma once

#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret_bytes.h"

namespace proplet {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd();

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// Reads a whole file of at most `limit` bytes. IO_FAILED names the path and the reason; SIZE_LIMIT if it is larger.
Result<Bytes> read_file(const std::string& path, std::size_t limit);
// The same for keys and passwords: what was read stays in secret memory alone.
Result<SecretBytes> read_secret_file(const std::string& path, std::size_t limit);
Result<std::string> read_text_file(const std::string& path, std::size_t limit);
// Replaces `path` in one step (temporary file beside it, fsync, rename), with permission bits `mode`.
Status write_file_atomically(const std::string& path, ByteView bytes, unsigned mode);
// A file in memory that has no name in any folder, holds `bytes` and can never be changed again (memfd with all seals).
// `label` is what people see in /proc.
Result<UniqueFd> anonymous_file(const std::string& label, ByteView bytes);

}  // namespace proplet
