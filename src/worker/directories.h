// Directories of the host that guests get: PROPLET_DIRS.
//
// It lists entries separated by colons: a path, which may be followed by an entry that says how it is given:
//
//   /data              every guest may read and write it, under the same path
//   /models:ro         every guest may read it
//   /scratch:private   every task gets a fresh empty folder below /scratch and sees it as /scratch
//
// A relative path that is called "ro" or "private" has to be written "./ro". A task may ask for one of these
// directories under another path (--dir HOST::GUEST in its cli_args), and for no other.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/runtime.h"
#include "worker/cli_arguments.h"
#include "worker/private_folder.h"

namespace proplet::worker {

struct SharedDirectory {
  enum class Access : std::uint8_t { read_write, read_only, own_folder };

  std::string path;  // without a slash at its end
  Access access = Access::read_write;
  bool operator==(const SharedDirectory&) const = default;
};

// CONFIG_INVALID for a word that follows no path, for a path listed twice with different words, and for a private one
// inside another, whose guests would see the folders of all tasks.
Result<std::vector<SharedDirectory>> parse_directories(std::string_view text);

// What one task gets. The private folders last as long as this object.
struct TaskDirectories {
  std::vector<runtime::Directory> mounts;
  std::vector<PrivateFolder> folders;
  std::vector<std::string> refused;  // paths that the operator does not list
};

// All of `shared`, and those of `wanted` that are in it, under the path that the task wants. IO_FAILED;
// MESSAGE_INVALID if it wants more than 32.
Result<TaskDirectories> task_directories(std::span<const SharedDirectory> shared,
                                         std::span<const DirectoryArgument> wanted);

}  // namespace proplet::worker
