#include "kbs/server/resource_store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/fd.h"

namespace proplet::kbs {
namespace {

constexpr std::size_t kMaxResourceBytes = std::size_t{16} << 20;

std::string last_error() { return std::generic_category().message(errno); }

}  // namespace

Status make_private_folder(const std::string& path) {
  struct stat info{};
  if (::mkdir(path.c_str(), 0700) == 0 ||
      (errno == EEXIST && ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode))) {
    return {};
  }
  return fail(Code::config_invalid, "cannot make the folder {}: {}", path, last_error());
}

Result<SecretBytes> ResourceStore::read(const ResourceUri& uri) const {
  return read_secret_file(file(uri), kMaxResourceBytes);
}

Status ResourceStore::write(const ResourceUri& uri, ByteView bytes) const {
  std::string folder = folder_ + "/repository";
  TRY(make_private_folder(folder));
  const auto& path = uri.path();
  for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    TRY(make_private_folder(folder + "/" + path.substr(0, slash)));
  }
  return write_file_atomically(file(uri), bytes, 0600);
}

Status ResourceStore::remove(const ResourceUri& uri) const {
  if (::unlink(file(uri).c_str()) == 0) return {};
  return fail(Code::io_failed, "cannot remove {}: {}", uri.text(), last_error());
}

}  // namespace proplet::kbs
