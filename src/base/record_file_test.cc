#include "base/record_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <random>
#include <set>

namespace proplet {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class RecordFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string folder = testing::TempDir() + "record-file.XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    path_ = folder + "/records";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Opens the file, and leaves in `found_` what is open in it.
  std::unique_ptr<RecordFile> open(RecordFileLimits limits = {}) {
    found_.clear();
    auto file = RecordFile::open(path_, limits, [this](const RecordFile::Record& record) {
      found_.push_back(std::to_string(record.state) + std::string(text_of(record.body)));
    });
    EXPECT_TRUE(file.has_value()) << file.error().text();
    return file ? *std::move(file) : nullptr;
  }
  std::vector<std::string> reopened() {
    open();
    return found_;
  }
  Bytes content() { return read_file(path_, 1 << 30).value(); }
  void write(const Bytes& content) { ASSERT_TRUE(write_file_atomically(path_, content, 0600).has_value()); }

  static RecordFile::Number append(RecordFile& file, std::string_view text, std::uint8_t state = 1) {
    return file.append(state, bytes_of(text)).value();
  }

  std::string folder_;
  std::string path_;
  std::vector<std::string> found_;
};

TEST_F(RecordFileTest, KeepsOpenRecordsInOrderWithTheirState) {
  const auto file = open();
  EXPECT_THAT(found_, IsEmpty());
  append(*file, "a");
  const auto b = append(*file, "b");
  const auto c = append(*file, "");
  append(*file, "d");
  ASSERT_TRUE(file->set_state(b, RecordFile::kClosed).has_value());
  ASSERT_TRUE(file->set_state(c, 7).has_value());
  ASSERT_TRUE(file->set_state(99, 7).has_value());
  EXPECT_THAT(reopened(), ElementsAre("1a", "7", "1d"));
}

TEST_F(RecordFileTest, LosesNothingToAKillAtAnyMoment) {
  for (int round = 0; round < 5; ++round) {
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      const auto file = open({.slack_bytes = 4096});
      for (std::uint32_t i = 1;; ++i) {
        const auto number = append(*file, "x" + std::to_string(i));
        if (i % 8 != 0) static_cast<void>(file->set_state(number, RecordFile::kClosed));
        if (i % 8 == 0 && ::write(pipe[1], &i, sizeof(i)) < 0) ::_exit(1);
        if (i > 1 << 14) ::pause();
      }
    }
    ::close(pipe[1]);
    std::uint32_t told = 0;
    const std::uint32_t enough = 1600 + (static_cast<std::uint32_t>(round) * 800);
    std::size_t count = 0;
    while (told < enough && ::read(pipe[0], &told, sizeof(told)) == sizeof(told)) ++count;
    ::kill(child, SIGKILL);
    while (::read(pipe[0], &told, sizeof(told)) == sizeof(told)) ++count;
    ::close(pipe[0]);
    ::waitpid(child, nullptr, 0);

    const auto file = open({.slack_bytes = 4096});
    EXPECT_EQ(file->damaged_bytes(), 0U);
    // Those that were told, perhaps one more, perhaps one that was not closed any more.
    EXPECT_GE(found_.size(), count);
    EXPECT_LE(found_.size(), count + 1);
    for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(found_[i], "1x" + std::to_string((i + 1) * 8));
    std::filesystem::remove(path_);
  }
}

TEST_F(RecordFileTest, ATornEndIsCutOffWhereverItIsTorn) {
  append(*open(), "first");
  const Bytes first = content();
  append(*open(), "second record");
  const Bytes both = content();
  for (std::size_t size = 0; size < both.size(); ++size) {
    write(Bytes(both.begin(), both.begin() + static_cast<std::ptrdiff_t>(size)));
    auto file = open();
    ASSERT_NE(file, nullptr) << size;
    const bool has_first = size >= first.size();
    EXPECT_EQ(found_.size(), has_first ? 1U : 0U) << size;
    append(*file, "third");
    file.reset();
    EXPECT_EQ(reopened().back(), "1third") << size;
    EXPECT_EQ(found_.size(), has_first ? 2U : 1U) << size;
  }
}

TEST_F(RecordFileTest, ADamagedRecordIsPassedOverAndTheOthersAreFound) {
  auto file = open();
  append(*file, "first");
  const std::size_t begin = content().size();
  append(*file, "second");
  const std::size_t end = content().size();
  append(*file, "third");
  file.reset();
  const Bytes good = content();
  for (std::size_t at = begin; at < end; ++at) {
    if (at - begin >= 4 && at - begin < 8) continue;  // the state, and bytes that mean nothing
    for (const std::uint8_t flip : Bytes{0x01, 0x80, 0xFF}) {
      Bytes bad = good;
      bad[at] ^= flip;
      write(bad);
      file = open();
      EXPECT_THAT(found_, ElementsAre("1first", "1third")) << at - begin;
      EXPECT_EQ(file->damaged_bytes(), end - begin);
    }
  }
}

TEST_F(RecordFileTest, TextInADamagedRecordDoesNotPassForARecord) {
  // A whole record as text, as a guest could print it if bytes that are no text could get through.
  append(*open(), "inner");
  const Bytes file_with_inner = content();
  std::string inner(text_of(ByteView(file_with_inner).subspan(8)));
  for (char& c : inner) c = c == '\xFF' ? 'y' : c;
  std::filesystem::remove(path_);
  append(*open(), "before" + inner + "after");
  Bytes bad = content();
  bad[8 + 16] ^= 1;
  write(bad);
  EXPECT_THAT(reopened(), IsEmpty());
}

TEST_F(RecordFileTest, RandomDamageNeverInventsARecord) {
  auto file = open();
  std::set<std::string> written;
  for (int i = 0; i < 50; ++i) {
    const std::string text = "record " + std::to_string(i * i);
    written.insert(text);
    append(*file, text);
  }
  file.reset();
  const Bytes good = content();
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    Bytes bad = good;
    for (int i = 0; i < 20; ++i) {
      const std::size_t at = 8 + (random() % (bad.size() - 8));
      if (i % 5 == 0) {
        bad.erase(bad.begin() + static_cast<std::ptrdiff_t>(at));
      } else {
        bad[at] = static_cast<std::uint8_t>(random());
      }
    }
    write(bad);
    for (const std::string& record : reopened()) {
      const std::string text = record.substr(std::min(record.find('r'), record.size()));  // the state is not covered
      EXPECT_TRUE(written.contains(text)) << record;
    }
  }
}

TEST_F(RecordFileTest, StaysSmallHoweverManyRecordsComeAndGo) {
  const auto file = open({.slack_bytes = 100'000});
  const auto kept = append(*file, "kept");
  std::vector<RecordFile::Number> recent;
  const std::string text(1000, 'x');
  for (int i = 0; i < 5000; ++i) {
    recent.push_back(append(*file, text));
    if (recent.size() > 10) {
      ASSERT_TRUE(file->set_state(recent.front(), RecordFile::kClosed).has_value());
      recent.erase(recent.begin());
    }
    ASSERT_LT(file->file_bytes(), 150'000U);
  }
  EXPECT_EQ(std::filesystem::file_size(path_), file->file_bytes());
  ASSERT_TRUE(file->set_state(kept, 5).has_value());  // numbers stay what they were when the file is written anew
  EXPECT_EQ(reopened().size(), 11U);
  EXPECT_EQ(found_.front(), "5kept");
}

TEST_F(RecordFileTest, IsEmptiedWhenNothingIsOpen) {
  const auto file = open();
  const std::string text(100'000, 'x');
  std::vector<RecordFile::Number> numbers;
  for (int i = 0; i < 4; ++i) numbers.push_back(append(*file, text));
  for (const auto number : numbers) ASSERT_TRUE(file->set_state(number, RecordFile::kClosed).has_value());
  EXPECT_EQ(std::filesystem::file_size(path_), 8U);
  append(*file, "next");
  EXPECT_THAT(reopened(), ElementsAre("1next"));
}

TEST_F(RecordFileTest, TakesNoMoreThanItsLimit) {
  const auto file = open({.file_bytes = 1000});
  append(*file, std::string(800, 'x'));
  const auto refused = file->append(1, bytes_of(std::string(300, 'y')));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Code::size_limit);
  append(*file, "small");
  EXPECT_EQ(reopened().size(), 2U);
}

TEST_F(RecordFileTest, AFullDiskCostsNothingThatIsThere) {
  ::signal(SIGXFSZ, SIG_IGN);
  auto file = open();
  const auto a = append(*file, "a");
  append(*file, "b");
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const rlimit full{.rlim_cur = content().size() + 20, .rlim_max = old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  const auto refused = file->append(1, bytes_of("a record that does not fit"));
  const auto closed = file->set_state(a, RecordFile::kClosed);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Code::io_failed);
  EXPECT_TRUE(closed.has_value());  // needs no room
  append(*file, "c");
  file.reset();
  EXPECT_THAT(reopened(), ElementsAre("1b", "1c"));
}

TEST_F(RecordFileTest, LeavesAFileOfAnotherKindOrVersionAlone) {
  append(*open(), "a");
  Bytes newer = content();
  newer[7] = 2;
  for (const Bytes& foreign : {newer, Bytes(100, 'x')}) {
    write(foreign);
    const auto file = RecordFile::open(path_, {}, [](const RecordFile::Record&) { FAIL(); });
    ASSERT_FALSE(file.has_value());
    EXPECT_EQ(file.error().code(), Code::state_unusable);
    EXPECT_EQ(content(), foreign);
  }
}

TEST_F(RecordFileTest, FollowsNoLink) {
  ASSERT_EQ(::symlink("/tmp/elsewhere", path_.c_str()), 0);
  EXPECT_FALSE(RecordFile::open(path_, {}, [](const RecordFile::Record&) {}).has_value());
}

}  // namespace
}  // namespace proplet
