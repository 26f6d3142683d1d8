#include "base/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/fd.h"

namespace proplet {
namespace {

// Newer than the headers of Debian 12.
constexpr std::uint64_t kTruncate = 1ULL << 14;  // version 3
constexpr std::uint64_t kIoctl = 1ULL << 15;     // version 5, on devices

constexpr std::uint64_t kReadFile = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kWriteFile = kReadFile | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate | kIoctl;
constexpr std::uint64_t kWrite = kRead | kWriteFile | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                                 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                                 LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;
// Everything that the interface can forbid to do with files, by version.
std::uint64_t handled(int version) {
  std::uint64_t rights = (1ULL << 13) - 1;  // version 1: execute ... make symbolic links
  if (version >= 2) rights |= LANDLOCK_ACCESS_FS_REFER;
  if (version >= 3) rights |= kTruncate;
  if (version >= 5) rights |= kIoctl;
  return rights;
}

tl::unexpected<Error> refused(std::string_view what, int error) {
  return fail(Code::io_failed, "the sandbox cannot be entered: {}: {}", what, std::generic_category().message(error));
}

Status allow(int ruleset, const std::string& path, std::uint64_t file_rights, std::uint64_t folder_rights) {
  const UniqueFd target(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!target.valid()) return {};
  struct stat status{};
  if (::fstat(target.get(), &status) != 0) return refused(path, errno);
  const landlock_path_beneath_attr rule{.allowed_access = S_ISDIR(status.st_mode) ? folder_rights : file_rights,
                                        .parent_fd = target.get()};
  if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) return refused(path, errno);
  return {};
}

}  // namespace

int landlock_version() {
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version > 0 ? static_cast<int>(version) : 0;
}

Status restrict_files(const SandboxPolicy& policy, int version) {
  const std::uint64_t rights = handled(version);
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = rights;
  const UniqueFd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0)));
  if (!ruleset.valid()) return refused("landlock_create_ruleset", errno);
  for (const auto& path : policy.read) TRY(allow(ruleset.get(), path, kReadFile & rights, kRead & rights));
  for (const auto& path : policy.write) TRY(allow(ruleset.get(), path, kWriteFile & rights, kWrite & rights));
  // Standard streams and logs go to these; they have no effect on anybody else.
  for (const char* path : {"/dev/null", "/dev/zero", "/dev/tty"}) {
    TRY(allow(ruleset.get(), path, kWriteFile & rights, kRead & rights));
  }
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) return refused("landlock_restrict_self", errno);
  return {};
}

}  // namespace proplet
