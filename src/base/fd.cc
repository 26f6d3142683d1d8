#include "base/fd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace proplet {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

Status write_all(int fd, ByteView bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(Code::io_failed, "cannot write {}: {}", path, reason(errno));
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) ::close(fd_);
}

Result<Bytes> read_file(const std::string& path, std::size_t limit) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return fail(Code::io_failed, "cannot open {}: {}", path, reason(errno));
  Bytes content;
  std::size_t filled = 0;
  while (true) {
    if (filled > limit) return fail(Code::size_limit, "{} is larger than {} bytes", path, limit);
    content.resize(std::max<std::size_t>(filled + 16384, std::min(filled * 2, limit + 1)));
    const ssize_t count = ::read(file.get(), content.data() + filled, content.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(Code::io_failed, "cannot read {}: {}", path, reason(errno));
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  content.resize(filled);
  return content;
}

Result<SecretBytes> read_secret_file(const std::string& path, std::size_t limit) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return fail(Code::io_failed, "cannot open {}: {}", path, reason(errno));
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return fail(Code::io_failed, "cannot examine {}: {}", path, reason(errno));
  const auto expected = S_ISREG(status.st_mode) ? static_cast<std::size_t>(status.st_size) : limit;
  SecretBytes content(std::min(expected, limit) + 1);  // one more, to meet the end or a byte too many
  std::size_t filled = 0;
  while (filled < content.size()) {
    const auto rest = content.mutable_view().subspan(filled);
    const ssize_t count = ::read(file.get(), rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(Code::io_failed, "cannot read {}: {}", path, reason(errno));
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  if (filled > limit) return fail(Code::size_limit, "{} is larger than {} bytes", path, limit);
  if (filled == content.size()) return fail(Code::io_failed, "{} grew while it was read", path);
  content.truncate(filled);
  return content;
}

Result<std::string> read_text_file(const std::string& path, std::size_t limit) {
  TRY_ASSIGN(const Bytes content, read_file(path, limit));
  return std::string(text_of(content));
}

Status write_file_atomically(const std::string& path, ByteView bytes, unsigned mode) {
  std::string temporary = path + ".XXXXXX";
  const UniqueFd file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!file.valid()) return fail(Code::io_failed, "cannot create a file beside {}: {}", path, reason(errno));
  const auto finish = [&]() -> Status {
    if (::fchmod(file.get(), mode) != 0) return fail(Code::io_failed, "cannot chmod {}: {}", path, reason(errno));
    TRY(write_all(file.get(), bytes, path));
    if (::fsync(file.get()) != 0) return fail(Code::io_failed, "cannot sync {}: {}", path, reason(errno));
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
      return fail(Code::io_failed, "cannot rename to {}: {}", path, reason(errno));
    }
    return {};
  };
  auto status = finish();
  if (!status) ::unlink(temporary.c_str());
  return status;
}

Result<UniqueFd> anonymous_file(const std::string& label, ByteView bytes) {
  // Kernels before 6.3 do not know that files in memory can be made not executable.
  constexpr unsigned kNotExecutable = 8;  // MFD_NOEXEC_SEAL
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  UniqueFd file(::memfd_create(label.c_str(), kFlags | kNotExecutable));
  if (!file.valid() && errno == EINVAL) file = UniqueFd(::memfd_create(label.c_str(), kFlags));
  if (!file.valid()) return fail(Code::io_failed, "cannot make a file in memory: {}", reason(errno));
  TRY(write_all(file.get(), bytes, "a file in memory"));
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
    return fail(Code::io_failed, "cannot seal a file in memory: {}", reason(errno));
  }
  return file;
}

}  // namespace proplet
