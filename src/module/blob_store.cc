#include "module/blob_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace proplet::module {
namespace {

constexpr std::string_view kTemporaryPrefix = ".new-";
constexpr std::time_t kAbandoned = 3600;                 // seconds after which a temporary file's writer is surely gone
constexpr std::size_t kReadStep = std::size_t{1} << 20;  // bytes between two looks at the stop token

std::string reason(int error) { return std::generic_category().message(error); }

std::string file_name(const oci::Digest& digest) {
  return std::string(digest.algorithm_name()) + "-" + std::string(digest.hex());
}

// Others' files in the folder are not ours to remove.
bool is_blob_name(std::string name) {
  const auto dash = name.find('-');
  if (dash == std::string::npos) return false;
  name[dash] = ':';
  return oci::Digest::parse(name).has_value();
}

Status check_folder(int folder, const std::string& path) {
  struct stat status{};
  if (::fstat(folder, &status) != 0) return fail(Code::io_failed, "cannot examine {}: {}", path, reason(errno));
  if (status.st_uid != ::geteuid()) return fail(Code::config_invalid, "layer store {} belongs to another user", path);
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return fail(Code::config_invalid, "layer store {} may be written by other users (mode {:o}); chmod it to 700", path,
                status.st_mode & 07777U);
  }
  return {};
}

Status make_folder(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  if (error) return fail(Code::io_failed, "cannot create {}: {}", parent.string(), error.message());
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(Code::io_failed, "cannot create {}: {}", path, reason(errno));
  }
  return {};
}

// Fills `out`; false when the file is shorter, cannot be read, or the wait is over.
bool read_all(int file, MutableByteView out, const std::stop_token& stop) {
  while (!out.empty()) {
    if (stop.stop_requested()) return false;
    const ssize_t count = ::read(file, out.data(), std::min(out.size(), kReadStep));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    out = out.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

Status write_all(int file, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(Code::io_failed, "cannot write to the layer store: {}", reason(errno));
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

// Complete or not there. No fsync: a blob that a crash damages is found out by its digest.
Status write_in_one_step(int folder, const std::string& name, ByteView bytes) {
  const std::string temporary = std::string(kTemporaryPrefix) + SystemRandom().uuid();
  const UniqueFd file(::openat(folder, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.valid()) return fail(Code::io_failed, "cannot create a file in the layer store: {}", reason(errno));
  auto status = write_all(file.get(), bytes);
  if (status && ::renameat(folder, temporary.c_str(), folder, name.c_str()) != 0) {
    status = fail(Code::io_failed, "cannot rename a file in the layer store: {}", reason(errno));
  }
  if (!status) ::unlinkat(folder, temporary.c_str(), 0);
  return status;
}

struct StoredFile {
  std::string name;
  std::uint64_t size = 0;
  timespec used{};
};

struct DirClose {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

// The blobs in the folder. Removes what writers that died left behind.
std::vector<StoredFile> list_blobs(int folder) {
  std::vector<StoredFile> files;
  // A descriptor of its own: the position in a directory belongs to the open file.
  const int own = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (own < 0) return files;
  const std::unique_ptr<DIR, DirClose> dir(::fdopendir(own));
  if (!dir) {
    ::close(own);
    return files;
  }
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string name(entry->d_name);
    struct stat status{};
    if (::fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode)) continue;
    if (name.starts_with(kTemporaryPrefix) && std::time(nullptr) - status.st_mtim.tv_sec > kAbandoned) {
      ::unlinkat(folder, name.c_str(), 0);
    }
    if (is_blob_name(name)) files.push_back({name, static_cast<std::uint64_t>(status.st_size), status.st_mtim});
  }
  return files;
}

bool used_before(const StoredFile& a, const StoredFile& b) {
  return std::pair(a.used.tv_sec, a.used.tv_nsec) < std::pair(b.used.tv_sec, b.used.tv_nsec);
}

}  // namespace

Result<std::unique_ptr<BlobStore>> BlobStore::open(const std::string& folder, std::uint64_t max_bytes) {
  TRY(make_folder(folder));
  UniqueFd opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!opened.valid() && (errno == ELOOP || errno == ENOTDIR)) {
    return fail(Code::config_invalid, "layer store {} is not a folder", folder);
  }
  if (!opened.valid()) return fail(Code::io_failed, "cannot open {}: {}", folder, reason(errno));
  TRY(check_folder(opened.get(), folder));
  return std::unique_ptr<BlobStore>(new BlobStore(std::move(opened), max_bytes));
}

std::optional<SecretBytes> BlobStore::get(const oci::Descriptor& descriptor, const std::stop_token& stop) {
  const std::string name = file_name(descriptor.digest);
  // O_NONBLOCK: a pipe of that name must not hold us up.
  const UniqueFd file(::openat(folder_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status{};
  if (!file.valid() || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  // Not removed: it may be the descriptor that lies. If it is the file, the next put replaces it.
  if (std::cmp_not_equal(status.st_size, descriptor.size)) return std::nullopt;
  SecretBytes bytes(descriptor.size);
  if (!read_all(file.get(), bytes.mutable_view(), stop)) return std::nullopt;
  if (!oci::verify_digest(bytes.view(), descriptor.digest)) {
    ::unlinkat(folder_.get(), name.c_str(), 0);
    return std::nullopt;
  }
  ::futimens(file.get(), nullptr);  // used just now; if that fails it merely goes earlier
  return bytes;
}

Status BlobStore::put(const oci::Digest& digest, ByteView bytes) {
  if (bytes.size() > max_bytes_) {
    return fail(Code::size_limit, "blob of {} bytes; the layer store holds {}", bytes.size(), max_bytes_);
  }
  TRY(write_in_one_step(folder_.get(), file_name(digest), bytes));
  remove_least_recently_used();
  return {};
}

void BlobStore::remove_least_recently_used() {
  auto files = list_blobs(folder_.get());
  std::uint64_t total = 0;
  for (const auto& file : files) total += file.size;
  std::ranges::sort(files, used_before);
  for (const auto& file : files) {
    if (total <= max_bytes_) return;
    ::unlinkat(folder_.get(), file.name.c_str(), 0);
    total -= file.size;
  }
}

Result<oci::RawManifest> CachedImageSource::fetch_manifest(const oci::Descriptor& descriptor, std::stop_token stop) {
  if (descriptor.size <= oci::kMaxManifestBytes) {
    if (const auto known = store_.get(descriptor, stop)) {
      return oci::RawManifest{descriptor.digest, descriptor.media_type, std::string(text_of(known->view()))};
    }
  }
  auto fetched = origin_->fetch_manifest(descriptor, std::move(stop));
  if (fetched) std::ignore = store_.put(descriptor.digest, bytes_of(fetched->bytes));  // not stored: pulled again
  return fetched;
}

Result<SecretBytes> CachedImageSource::fetch_blob(const oci::Descriptor& descriptor, std::size_t limit,
                                                  std::stop_token stop) {
  if (descriptor.size <= limit) {
    if (auto known = store_.get(descriptor, stop)) return *std::move(known);
  }
  auto fetched = origin_->fetch_blob(descriptor, limit, std::move(stop));
  if (fetched) std::ignore = store_.put(descriptor.digest, fetched->view());  // not stored: pulled again
  return fetched;
}

}  // namespace proplet::module
