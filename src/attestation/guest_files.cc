#include "attestation/guest_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/fd.h"

namespace proplet::attestation {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{32} << 10;

FileResult<void> done(int result) {
  if (result != 0) return tl::unexpected(errno);
  return {};
}

}  // namespace

bool SystemFiles::exists(const std::string& path) const { return ::access(below_root(path).c_str(), F_OK) == 0; }

FileResult<Bytes> SystemFiles::read(const std::string& path, std::size_t limit) {
  const UniqueFd file(::open(below_root(path).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return tl::unexpected(errno);
  Bytes content;
  std::size_t filled = 0;
  while (true) {
    if (filled > limit) return tl::unexpected(EFBIG);
    content.resize(filled + kBlockBytes);
    const ssize_t count = ::read(file.get(), content.data() + filled, kBlockBytes);
    if (count < 0) return tl::unexpected(errno);
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  content.resize(filled);
  return content;
}

FileResult<void> SystemFiles::write(const std::string& path, ByteView bytes) {
  const UniqueFd file(::open(below_root(path).c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.valid()) return tl::unexpected(errno);
  const ssize_t count = ::write(file.get(), bytes.data(), bytes.size());
  if (count < 0) return tl::unexpected(errno);
  if (static_cast<std::size_t>(count) != bytes.size()) return tl::unexpected(EIO);
  return {};
}

FileResult<void> SystemFiles::make_directory(const std::string& path) {
  return done(::mkdir(below_root(path).c_str(), 0700));
}

FileResult<void> SystemFiles::remove_directory(const std::string& path) {
  return done(::rmdir(below_root(path).c_str()));
}

std::string short_text(GuestFiles& files, const std::string& path) {
  const auto bytes = files.read(path, 256);
  if (!bytes) return "";
  std::string text(text_of(*bytes));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\0')) text.pop_back();
  return text;
}

std::string errno_text(int error) { return std::generic_category().message(error); }

}  // namespace proplet::attestation
