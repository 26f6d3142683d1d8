#include "worker/directories.h"

#include <algorithm>
#include <map>

namespace proplet::worker {
namespace {

using Access = SharedDirectory::Access;

constexpr std::size_t kMaxWanted = 32;

std::string without_end_slashes(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return std::string(path);
}

bool is_inside(std::string_view path, std::string_view folder) {
  if (folder == "/") return path.starts_with('/') && path != "/";
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

Status check(const std::vector<SharedDirectory>& directories) {
  for (const SharedDirectory& one : directories) {
    for (const SharedDirectory& other : directories) {
      if (one.path == other.path && one.access != other.access) {
        return fail(Code::config_invalid, "{} is listed twice, in different ways", one.path);
      }
      if (one.access == Access::own_folder && is_inside(one.path, other.path)) {
        return fail(Code::config_invalid, "{}:private is inside {}, where every guest would see it", one.path,
                    other.path);
      }
    }
  }
  return {};
}

}  // namespace

Result<std::vector<SharedDirectory>> parse_directories(std::string_view text) {
  std::vector<SharedDirectory> directories;
  bool word_may_follow = false;
  while (!text.empty()) {
    const std::string_view entry = text.substr(0, std::min(text.find(':'), text.size()));
    text.remove_prefix(std::min(entry.size() + 1, text.size()));
    if (entry.empty()) continue;
    const bool is_word = entry == "ro" || entry == "private";
    if (is_word && !word_may_follow) {
      return fail(Code::config_invalid, "'{0}' follows no path; a folder of that name is written ./{0}", entry);
    }
    if (is_word) {
      directories.back().access = entry == "ro" ? Access::read_only : Access::own_folder;
    } else {
      directories.push_back({.path = without_end_slashes(entry)});
    }
    word_may_follow = !is_word;
  }
  TRY(check(directories));
  std::vector<SharedDirectory> unique;
  for (SharedDirectory& directory : directories) {
    if (std::ranges::find(unique, directory) == unique.end()) unique.push_back(std::move(directory));
  }
  return unique;
}

Result<TaskDirectories> task_directories(std::span<const SharedDirectory> shared,
                                         std::span<const DirectoryArgument> wanted) {
  // Each mount takes a descriptor, of which all tasks together have a few thousand.
  if (wanted.size() > kMaxWanted) {
    return fail(Code::message_invalid, "cli_args: {} times --dir; at most {}", wanted.size(), kMaxWanted);
  }
  TaskDirectories task;
  std::map<std::string, runtime::Directory> by_path;
  for (const SharedDirectory& directory : shared) {
    std::string host_path = directory.path;
    if (directory.access == Access::own_folder) {
      TRY_ASSIGN(PrivateFolder folder, PrivateFolder::make(directory.path));
      host_path = folder.path();
      task.folders.push_back(std::move(folder));
    }
    task.mounts.push_back({.host_path = std::move(host_path),
                           .guest_path = directory.path,
                           .read_only = directory.access == Access::read_only});
    by_path[directory.path] = task.mounts.back();
  }
  for (const DirectoryArgument& argument : wanted) {
    const auto found = by_path.find(without_end_slashes(argument.host_path));
    if (found == by_path.end()) {
      task.refused.push_back(argument.host_path);
    } else if (argument.guest_path != argument.host_path) {
      task.mounts.push_back({found->second.host_path, argument.guest_path, found->second.read_only});
    }
  }
  return task;
}

}  // namespace proplet::worker
