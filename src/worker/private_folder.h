// PrivateFolder: a fresh empty folder that one task has for itself.
//
// It has a random name that no task can choose or foresee, is open to its owner alone (mode 0700), and goes with
// everything in it when the object does, however many and deep the folders are that a guest has made there. Whoever
// made one holds a lock on it, so that a worker that starts can tell what one that was killed has left behind from what
// others use. Contents lie on the host's disk in clear, up to the disk's size.
#pragma once

#include <string>
#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace proplet::worker {

// Moves; used by one thread at a time.
class PrivateFolder {
 public:
  // Below `parent`. IO_FAILED.
  static Result<PrivateFolder> make(const std::string& parent);
  ~PrivateFolder();
  PrivateFolder(PrivateFolder&& other) noexcept = default;
  PrivateFolder& operator=(PrivateFolder&& other) = delete;
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  PrivateFolder(std::string path, UniqueFd folder) : path_(std::move(path)), folder_(std::move(folder)) {}

  std::string path_;
  UniqueFd folder_;  // locked
};

// Removes the private folders below `parent` that nobody holds any more; says how many.
std::size_t remove_left_folders(const std::string& parent);

}  // namespace proplet::worker
