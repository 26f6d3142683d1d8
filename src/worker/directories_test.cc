#include "worker/directories.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace proplet::worker {
namespace {

namespace fs = std::filesystem;
using Access = SharedDirectory::Access;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Directories = std::vector<SharedDirectory>;

TEST(ParseDirectories, ReadsPathsAndTheWordsBehindThem) {
  const std::pair<const char*, Directories> cases[] = {
      {"", {}},
      {":::", {}},
      {"/a", {{"/a"}}},
      {"/a::/b c:", {{"/a"}, {"/b c"}}},
      {"/a:ro:/b:private:/c", {{"/a", Access::read_only}, {"/b", Access::own_folder}, {"/c"}}},
      {"./ro:ro:x/private", {{"./ro", Access::read_only}, {"x/private"}}},
      {"/a/:ro:/a:ro", {{"/a", Access::read_only}}},
      {"/", {{"/"}}},
      {"/a:/a/b:ro", {{"/a"}, {"/a/b", Access::read_only}}},
      {"/a:/ab:private", {{"/a"}, {"/ab", Access::own_folder}}},
  };
  for (const auto& [text, expected] : cases) {
    const auto parsed = parse_directories(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error().text();
    EXPECT_EQ(*parsed, expected) << text;
  }
}

TEST(ParseDirectories, RefusesWhatCouldBeMeantInTwoWays) {
  const std::pair<const char*, const char*> cases[] = {
      {"ro", "'ro' follows no path; a folder of that name is written ./ro"},
      {":private:/a", "'private' follows no path"},
      {"/a:ro:private", "'private' follows no path"},
      {"/a:/a/:ro", "/a is listed twice"},
      {"/a:private:/a", "/a is listed twice"},
      {"/a:/a/b:private", "/a/b:private is inside /a"},
      {"/:/a:private", "/a:private is inside /"},
      {"/a:private:/a/b:private", "/a/b:private is inside /a"},
  };
  for (const auto& [text, reason] : cases) {
    const auto parsed = parse_directories(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code(), Code::config_invalid);
    EXPECT_THAT(parsed.error().text(), HasSubstr(reason)) << text;
  }
}

class DirectoriesTest : public testing::Test {
 protected:
  DirectoriesTest() {
    std::string pattern = testing::TempDir() + "directories.XXXXXX";
    root_ = ::mkdtemp(pattern.data());
  }
  ~DirectoriesTest() override { fs::remove_all(root_); }

  Result<TaskDirectories> get(const std::string& setting, const std::vector<DirectoryArgument>& wanted = {}) {
    TRY_ASSIGN(const auto shared, parse_directories(setting));
    return task_directories(shared, wanted);
  }
  [[nodiscard]] std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(root_), fs::directory_iterator()));
  }

  std::string root_;
};

TEST_F(DirectoriesTest, SharedOnesAreGivenUnderTheSamePath) {
  const auto task = get("/a:/b:ro");
  ASSERT_TRUE(task);
  ASSERT_EQ(task->mounts.size(), 2U);
  EXPECT_EQ(task->mounts[0].guest_path, "/a");
  EXPECT_FALSE(task->mounts[0].read_only);
  EXPECT_EQ(task->mounts[1].host_path, "/b");
  EXPECT_TRUE(task->mounts[1].read_only);
}

TEST_F(DirectoriesTest, ATaskChoosesAnotherPathForWhatItGetsAndNothingElse) {
  const auto task =
      get("/a:ro:/b", {{"/a/", "/in"}, {"/b", "/b"}, {"/", "/"}, {"/a/..", "/x"}, {"/a/sub", "/y"}, {"", "/z"}});
  ASSERT_TRUE(task);
  ASSERT_EQ(task->mounts.size(), 3U);
  EXPECT_EQ(task->mounts[2].host_path, "/a");
  EXPECT_EQ(task->mounts[2].guest_path, "/in");
  EXPECT_TRUE(task->mounts[2].read_only);
  EXPECT_THAT(task->refused, ElementsAre("/", "/a/..", "/a/sub", ""));
}

TEST_F(DirectoriesTest, ATaskCannotTakeAllDescriptors) {
  std::vector<DirectoryArgument> wanted(32, {"/a", "/in"});
  EXPECT_TRUE(get("/a", wanted));
  wanted.push_back({"/a", "/in"});
  const auto task = get("/a", wanted);
  ASSERT_FALSE(task);
  EXPECT_EQ(task.error().code(), Code::message_invalid);
}

TEST_F(DirectoriesTest, APrivateFolderIsFreshClosedToOthersAndGoesWithTheTask) {
  std::string first_path;
  {
    const auto first = get(root_ + ":private", {{root_, "/tmp"}});
    const auto second = get(root_ + ":private");
    ASSERT_TRUE(first && second);
    ASSERT_EQ(first->mounts.size(), 2U);
    first_path = first->mounts[0].host_path;
    EXPECT_EQ(first->mounts[0].guest_path, root_);
    EXPECT_EQ(first->mounts[1].host_path, first_path);
    EXPECT_EQ(first->mounts[1].guest_path, "/tmp");
    EXPECT_NE(first_path, second->mounts[0].host_path);
    struct stat status{};
    ASSERT_EQ(::stat(first_path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0700U);
    EXPECT_EQ(entries(), 2U);
  }
  EXPECT_EQ(entries(), 0U);
}

TEST_F(DirectoriesTest, APrivateFolderNeedsItsParent) {
  const auto task = get(root_ + "/missing:private");
  ASSERT_FALSE(task);
  EXPECT_EQ(task.error().code(), Code::io_failed);
}

TEST_F(DirectoriesTest, WhatAGuestLeavesIsRemovedAndNothingElse) {
  const fs::path outside = fs::path(root_) / "outside";
  fs::create_directory(outside);
  std::ofstream(outside / "precious") << "stays";
  {
    const auto folder = PrivateFolder::make(root_);
    ASSERT_TRUE(folder);
    const fs::path path(folder->path());
    std::ofstream(path / "file") << "x";
    fs::create_directories(path / "a" / "b" / "c");
    std::ofstream(path / "a" / "b" / "file") << "x";
    fs::create_directory(path / "0");
    std::ofstream(path / "0" / "file") << "x";
    std::ofstream(path / "1") << "a name that emptying would use";
    fs::create_directory_symlink(outside, path / "a" / "link");
    fs::create_directory_symlink(outside, path / "link");
  }
  EXPECT_EQ(entries(), 1U);
  EXPECT_TRUE(fs::exists(outside / "precious"));
}

// Far more levels than there are descriptors, and longer than any path may be.
TEST_F(DirectoriesTest, FoldersOfAnyDepthAreRemoved) {
  {
    const auto folder = PrivateFolder::make(root_);
    ASSERT_TRUE(folder);
    int at = ::open(folder->path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 3000; ++i) {
      ASSERT_EQ(::mkdirat(at, "deeper", 0700), 0);
      const int next = ::openat(at, "deeper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      ::close(at);
      at = next;
    }
    ::close(at);
  }
  EXPECT_EQ(entries(), 0U);
}

TEST_F(DirectoriesTest, AStartRemovesWhatAKilledWorkerLeftAndSparesTheRest) {
  const std::string left = root_ + "/.proplet-task-abcdef";
  fs::create_directories(left + "/sub");
  fs::create_directory(root_ + "/somebody-elses");
  fs::create_directory_symlink(root_ + "/somebody-elses", root_ + "/.proplet-task-link");
  const auto living = PrivateFolder::make(root_);
  ASSERT_TRUE(living);
  EXPECT_EQ(remove_left_folders(root_), 1U);
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(living->path()));
  EXPECT_TRUE(fs::exists(root_ + "/somebody-elses"));
  EXPECT_EQ(remove_left_folders(root_ + "/missing"), 0U);
}

}  // namespace
}  // namespace proplet::worker
