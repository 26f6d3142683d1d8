// GuestFiles: the few things attesters do with the files of a guest's kernel or library OS.
//
// An interface, because a fake tree of plain files cannot answer as configfs does; tests put a pretended kernel here.
// SystemFiles is the real one, below a root that is "/" in production. Errors are values of errno. Thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "base/bytes.h"

namespace proplet::attestation {

template <class T>
using FileResult = tl::expected<T, int>;

class GuestFiles {
 public:
  virtual ~GuestFiles() = default;
  [[nodiscard]] virtual bool exists(const std::string& path) const = 0;
  // EFBIG above `limit` bytes. May block as long as the kernel likes.
  virtual FileResult<Bytes> read(const std::string& path, std::size_t limit) = 0;
  // One write of all bytes and a close, which is when configfs takes them. Never creates a file.
  virtual FileResult<void> write(const std::string& path, ByteView bytes) = 0;
  virtual FileResult<void> make_directory(const std::string& path) = 0;
  virtual FileResult<void> remove_directory(const std::string& path) = 0;
};

class SystemFiles final : public GuestFiles {
 public:
  explicit SystemFiles(std::string root) : root_(std::move(root)) {}

  [[nodiscard]] bool exists(const std::string& path) const override;
  FileResult<Bytes> read(const std::string& path, std::size_t limit) override;
  FileResult<void> write(const std::string& path, ByteView bytes) override;
  FileResult<void> make_directory(const std::string& path) override;
  FileResult<void> remove_directory(const std::string& path) override;

 private:
  // Paths begin with a slash.
  [[nodiscard]] std::string below_root(const std::string& path) const { return root_ + path; }

  std::string root_;
};

// The text of a short file without the line's end; "" if it cannot be read.
std::string short_text(GuestFiles& files, const std::string& path);
// "Permission denied"
std::string errno_text(int error);

}  // namespace proplet::attestation
