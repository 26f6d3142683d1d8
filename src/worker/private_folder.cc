#include "worker/private_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <system_error>
#include <vector>

namespace proplet::worker {
namespace {

constexpr std::string_view kPrefix = ".proplet-task-";
constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

// Names in a folder, at most `limit` at a time; empty also if the folder cannot be read.
std::vector<std::string> names_in(int folder, std::size_t limit) {
  const int fd = ::openat(folder, ".", kFolderFlags);
  if (fd < 0) return {};
  const std::unique_ptr<DIR, CloseFolder> entries(::fdopendir(fd));
  if (!entries) {
    ::close(fd);
    return {};
  }
  std::vector<std::string> names;
  // readdir is safe as long as no two threads share one DIR.
  while (const dirent* entry =
             names.size() < limit ? ::readdir(entries.get()) : nullptr) {  // NOLINT(concurrency-mt-unsafe)
    const std::string_view name(entry->d_name);
    if (name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

// Removes everything in one folder. A guest has chosen how deep the folders in it are nested: they are moved up into
// this one and emptied in turn, so that neither the stack nor the number of open descriptors grows with the depth.
class Emptier {
 public:
  explicit Emptier(int root) : root_(root) {}

  void empty() {
    while (true) {
      const auto names = names_in(root_, kBatch);
      bool progress = false;
      for (const std::string& name : names) progress = remove(name) || progress;
      if (!progress) return;
    }
  }

 private:
  static constexpr std::size_t kBatch = 4096;

  // False if the entry is still there and holds as much as before.
  bool remove(const std::string& name) {
    if (::unlinkat(root_, name.c_str(), 0) == 0 || ::unlinkat(root_, name.c_str(), AT_REMOVEDIR) == 0) return true;
    const UniqueFd folder(::openat(root_, name.c_str(), kFolderFlags));
    if (!folder.valid()) return false;
    bool progress = false;
    for (const std::string& child : names_in(folder.get(), kBatch)) {
      const bool gone = ::unlinkat(folder.get(), child.c_str(), 0) == 0 ||
                        ::unlinkat(folder.get(), child.c_str(), AT_REMOVEDIR) == 0 || move_up(folder.get(), child);
      progress = progress || gone;
    }
    return ::unlinkat(root_, name.c_str(), AT_REMOVEDIR) == 0 || progress;
  }

  bool move_up(int folder, const std::string& child) {
    while (true) {
      const std::string name = std::to_string(next_name_++);
      if (::renameat2(folder, child.c_str(), root_, name.c_str(), RENAME_NOREPLACE) == 0) return true;
      if (errno != EEXIST) return false;
    }
  }

  int root_;
  std::uint64_t next_name_ = 0;
};

bool lock(const UniqueFd& folder) { return ::flock(folder.get(), LOCK_EX | LOCK_NB) == 0; }

tl::unexpected<Error> cannot(std::string_view what, const std::string& path) {
  return fail(Code::io_failed, "cannot {} {}: {}", what, path, std::generic_category().message(errno));
}

}  // namespace

Result<PrivateFolder> PrivateFolder::make(const std::string& parent) {
  std::string path = parent + "/" + std::string(kPrefix) + "XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return cannot("make a folder in", parent);
  UniqueFd folder(::open(path.c_str(), kFolderFlags));
  if (!folder.valid()) return cannot("open", path);
  // A worker that starts at this moment may take it for one that was left; it is then gone, or about to go.
  struct stat status{};
  if (!lock(folder) || ::fstat(folder.get(), &status) != 0 || status.st_nlink == 0) {
    return fail(Code::io_failed, "another worker has removed the new folder {}", path);
  }
  return PrivateFolder(std::move(path), std::move(folder));
}

PrivateFolder::~PrivateFolder() {
  if (!folder_.valid()) return;
  Emptier(folder_.get()).empty();
  ::rmdir(path_.c_str());
}

std::size_t remove_left_folders(const std::string& parent) {
  const UniqueFd root(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) return 0;
  std::size_t removed = 0;
  for (const std::string& name : names_in(root.get(), SIZE_MAX)) {
    if (!name.starts_with(kPrefix)) continue;
    const UniqueFd folder(::openat(root.get(), name.c_str(), kFolderFlags));
    if (!folder.valid() || !lock(folder)) continue;
    Emptier(folder.get()).empty();
    if (::unlinkat(root.get(), name.c_str(), AT_REMOVEDIR) == 0) ++removed;
  }
  return removed;
}

}  // namespace proplet::worker
