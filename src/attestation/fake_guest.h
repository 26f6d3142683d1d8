// Pretended guests for tests: a folder of plain files, and a kernel with the TSM report interface.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "attestation/guest_files.h"
#include "attestation/tsm_report.h"

namespace proplet::attestation {

// A guest's file system, empty at first.
class FakeRoot {
 public:
  FakeRoot() {
    std::string name = (std::filesystem::temp_directory_path() / "proplet-root-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~FakeRoot() { std::filesystem::remove_all(path_); }
  FakeRoot(const FakeRoot&) = delete;
  FakeRoot& operator=(const FakeRoot&) = delete;

  void write(const std::string& relative, const std::string& text = "") const {
    const auto file = path_ / relative;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
  }
  [[nodiscard]] std::string text() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

// The kernel as Documentation/ABI/testing/configfs-tsm describes it: attributes appear with the entry, generation
// counts writes, blobs exist once inblob is written, privilege levels below the floor are refused. An empty provider
// name: no TSM interface. Other files are what `put` says.
class FakeTsm final : public GuestFiles {
 public:
  using MakeBlob = std::function<Bytes(ByteView inblob)>;

  explicit FakeTsm(std::string provider, MakeBlob make_outblob = {})
      : provider_(std::move(provider)), make_outblob_(std::move(make_outblob)) {}

  void put(const std::string& path, const std::string& text) { files_[path] = text; }
  void set_privilege_floor(int floor) { floor_ = floor; }
  void set_auxblob(Bytes blob) { auxblob_ = std::move(blob); }
  // Another program writes into our entry while we wait for the blob, this many times.
  void interfere(int times) { interferences_ = times; }
  // The read of outblob fails.
  void fail_outblob(int error) { outblob_error_ = error; }
  // Reads of outblob wait until `let_go`.
  void hold() {
    const std::lock_guard lock(mutex_);
    held_ = true;
  }
  void let_go() {
    const std::lock_guard lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }

  [[nodiscard]] std::size_t entries() const {
    const std::lock_guard lock(mutex_);
    return entries_.size();
  }
  [[nodiscard]] int requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  [[nodiscard]] int waiting() const {
    const std::lock_guard lock(mutex_);
    return waiting_;
  }

  [[nodiscard]] bool exists(const std::string& path) const override {
    const std::lock_guard lock(mutex_);
    if (path == kTsmFolder) return !provider_.empty();
    if (files_.contains(path)) return true;
    const auto [entry, attribute] = split(path);
    if (!entries_.contains(entry)) return false;
    if (attribute.starts_with("privlevel")) return floor_ >= 0;
    return attribute != "auxblob" || floor_ >= 0;
  }
  FileResult<Bytes> read(const std::string& path, std::size_t limit) override {
    std::unique_lock lock(mutex_);
    if (const auto file = files_.find(path); file != files_.end()) return bounded(bytes(file->second), limit);
    const auto [name, attribute] = split(path);
    const auto found = entries_.find(name);
    if (found == entries_.end()) return tl::unexpected(ENOENT);
    Entry& entry = found->second;
    if (attribute == "provider") return bytes(provider_ + "\n");
    if (attribute == "generation") return bytes(std::to_string(entry.generation) + "\n");
    if (attribute == "auxblob") return bounded(auxblob_, limit);
    if (attribute != "outblob") return tl::unexpected(ENOENT);
    ++waiting_;
    changed_.wait(lock, [&] { return !held_; });
    if (outblob_error_ != 0) return tl::unexpected(outblob_error_);
    if (entry.inblob.empty()) return tl::unexpected(EINVAL);
    ++requests_;
    auto blob = make_outblob_(entry.inblob);
    if (interferences_-- > 0) ++entry.generation;
    return bounded(std::move(blob), limit);
  }
  FileResult<void> write(const std::string& path, ByteView content) override {
    const std::lock_guard lock(mutex_);
    if (const auto file = files_.find(path); file != files_.end()) {
      file->second = text_of(content);
      return {};
    }
    const auto [name, attribute] = split(path);
    const auto found = entries_.find(name);
    if (found == entries_.end()) return tl::unexpected(ENOENT);
    if (attribute == "inblob") {
      if (content.size() > 64) return tl::unexpected(EINVAL);
      found->second.inblob.assign(content.begin(), content.end());
    } else if (attribute == "privlevel" && floor_ >= 0) {
      if (std::stoi(std::string(text_of(content))) < floor_) return tl::unexpected(EINVAL);
    } else {
      return tl::unexpected(EACCES);
    }
    ++found->second.generation;
    return {};
  }
  FileResult<void> make_directory(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    if (provider_.empty() || !path.starts_with(kTsmFolder)) return tl::unexpected(ENOENT);
    if (!entries_.emplace(path, Entry{}).second) return tl::unexpected(EEXIST);
    return {};
  }
  FileResult<void> remove_directory(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    if (entries_.erase(path) == 0) return tl::unexpected(ENOENT);
    return {};
  }

 private:
  struct Entry {
    Bytes inblob;
    std::uint64_t generation = 0;
  };

  static std::pair<std::string, std::string> split(const std::string& path) {
    const auto slash = path.rfind('/');
    return {path.substr(0, slash), path.substr(slash + 1)};
  }
  static Bytes bytes(std::string_view text) {
    const auto view = bytes_of(text);
    return {view.begin(), view.end()};
  }
  static FileResult<Bytes> bounded(Bytes blob, std::size_t limit) {
    if (blob.size() > limit) return tl::unexpected(EFBIG);
    return blob;
  }

  const std::string provider_;
  const MakeBlob make_outblob_;
  std::map<std::string, std::string> files_;
  int floor_ = -1;  // the provider knows no privilege levels
  Bytes auxblob_;
  int interferences_ = 0;
  int outblob_error_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  int waiting_ = 0;
  int requests_ = 0;
  std::map<std::string, Entry> entries_;
};

}  // namespace proplet::attestation
