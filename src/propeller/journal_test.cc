#include "propeller/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "propeller/outbox.h"

namespace proplet::propeller {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class FakePublisher final : public Publisher {
 public:
  Result<std::uint64_t> publish(std::string_view topic, std::string_view payload) override {
    published.push_back(std::string(topic) + "|" + std::string(payload));
    return ++ticket;
  }

  std::uint64_t ticket = 0;
  std::vector<std::string> published;
};

class JournalTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string folder = testing::TempDir() + "journal.XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    parent_ = folder;
    folder_ = folder + "/state";
    begin();
  }
  void TearDown() override {
    outbox_.reset();
    journal_.reset();
    std::filesystem::remove_all(parent_);
  }

  // A worker dies and the next one comes: what is in the folder is all that is left.
  void begin() {
    outbox_.reset();
    journal_.reset();
    auto journal = Journal::open(folder_, log_);
    ASSERT_TRUE(journal.has_value()) << journal.error().text();
    journal_ = *std::move(journal);
    outbox_ = std::make_unique<Outbox>(publisher_, log_, OutboxLimits{}, journal_.get());
  }
  std::vector<std::string> left_behind() {
    begin();
    std::vector<std::string> texts;
    for (const JournalEntry& entry : journal_->take_left_behind()) {
      const bool promise = entry.kind == JournalEntry::Kind::promise;
      texts.push_back(promise ? (entry.withheld ? "withheld " : "promise ") + entry.subject
                              : entry.topic + "|" + entry.subject + "|" + entry.payload);
    }
    return texts;
  }
  std::string file() { return read_text_file(folder_ + "/journal", 1 << 20).value(); }

  Log log_{LogLevel::error, LogFormat::json};
  FakePublisher publisher_;
  std::string parent_;
  std::string folder_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Outbox> outbox_;
};

TEST_F(JournalTest, KeepsWhatTheBrokerHasNotTaken) {
  outbox_->connected();
  outbox_->add("t", "1", "m");
  outbox_->add("t", "2", "a", Outbox::Kind::answer);
  outbox_->add("u", "3", "", Outbox::Kind::message);
  outbox_->acknowledged(1);
  EXPECT_THAT(left_behind(), ElementsAre("t|a|2", "u||3"));
}

TEST_F(JournalTest, APromiseStandsUntilItsAnswerIsThere) {
  outbox_->promise("a");
  outbox_->promise("b");
  EXPECT_THAT(left_behind(), ElementsAre("promise a", "promise b"));
  outbox_->add("t", "answer", "a", Outbox::Kind::answer);
  EXPECT_THAT(left_behind(), ElementsAre("promise b", "t|a|answer"));
}

TEST_F(JournalTest, NothingIsLeftOfAnAnswerThatTheBrokerHas) {
  outbox_->connected();
  outbox_->promise("a");
  outbox_->add("t", "answer", "a", Outbox::Kind::answer);
  outbox_->promise("b");
  outbox_->add("t", "secret", "b", Outbox::Kind::confidential_answer);
  outbox_->acknowledged(1);
  outbox_->acknowledged(2);
  EXPECT_THAT(left_behind(), IsEmpty());
}

TEST_F(JournalTest, WhatIsLeftBehindIsDeliveredByTheNextAndThenForgotten) {
  outbox_->add("t", "answer", "a", Outbox::Kind::answer);
  begin();
  for (JournalEntry& entry : journal_->take_left_behind()) outbox_->add_left_behind(std::move(entry));
  EXPECT_TRUE(outbox_->holds_answer("a"));
  outbox_->connected();
  EXPECT_THAT(publisher_.published, ElementsAre("t|answer"));
  outbox_->acknowledged(1);
  EXPECT_FALSE(outbox_->holds_answer("a"));
  EXPECT_THAT(left_behind(), IsEmpty());
}

TEST_F(JournalTest, AConfidentialAnswerIsNeverWritten) {
  outbox_->promise("a");
  outbox_->add("t", "the plaintext", "a", Outbox::Kind::confidential_answer);
  outbox_->add("t", "more plaintext", "no promise", Outbox::Kind::confidential_answer);
  EXPECT_THAT(file(), testing::Not(HasSubstr("plaintext")));
  EXPECT_THAT(left_behind(), ElementsAre("withheld a", "withheld no promise"));
  // The next worker answers for it, and dies as well before anybody hears it.
  outbox_->add("t", "lost", "a", Outbox::Kind::answer);
  EXPECT_THAT(left_behind(), ElementsAre("withheld no promise", "t|a|lost"));
}

TEST_F(JournalTest, ATaskThatRunsAgainHasAPromiseOfItsOwn) {
  outbox_->promise("a");
  outbox_->add("t", "first", "a", Outbox::Kind::answer);
  outbox_->promise("a");
  EXPECT_THAT(left_behind(), ElementsAre("t|a|first", "promise a"));
  outbox_->promise("b");
  outbox_->add("t", "secret", "b", Outbox::Kind::confidential_answer);
  outbox_->promise("b");
  EXPECT_THAT(left_behind(), ElementsAre("t|a|first", "promise a", "withheld b", "promise b"));
  outbox_->add("t", "second", "b", Outbox::Kind::answer);
  outbox_->add("t", "third", "b", Outbox::Kind::answer);
  EXPECT_THAT(left_behind(), ElementsAre("t|a|first", "promise a", "t|b|second", "t|b|third"));
}

TEST_F(JournalTest, AMessageThatIsGivenUpIsForgotten) {
  Outbox outbox(publisher_, log_, {.messages = 1}, journal_.get());
  outbox.add("t", "1", "a", Outbox::Kind::answer);
  outbox.add("t", "2", "b", Outbox::Kind::answer);
  EXPECT_FALSE(outbox.holds_answer("a"));
  EXPECT_THAT(left_behind(), ElementsAre("t|b|2"));
}

TEST_F(JournalTest, WhenTheDiskIsFullTheWorkerGoesOnAndNobodyIsAnsweredTwice) {
  ::signal(SIGXFSZ, SIG_IGN);
  outbox_->connected();
  outbox_->promise("a");
  outbox_->promise("b");
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const rlimit full{.rlim_cur = file().size(), .rlim_max = old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  outbox_->add("t", "1", "a", Outbox::Kind::answer);
  outbox_->add("t", "2", "b", Outbox::Kind::answer);
  outbox_->promise("c");
  outbox_->add("t", "3", "c", Outbox::Kind::answer);
  outbox_->acknowledged(1);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  EXPECT_THAT(publisher_.published, ElementsAre("t|1", "t|2", "t|3"));
  // a is settled; b was not acknowledged, and its answer is lost with the worker.
  EXPECT_THAT(left_behind(), ElementsAre("promise b"));
}

TEST_F(JournalTest, OneWorkerUsesAFolder) {
  const auto second = Journal::open(folder_, log_);
  ASSERT_FALSE(second.has_value());
  EXPECT_THAT(second.error().text(), HasSubstr("STATE_UNUSABLE: another worker uses"));
}

TEST_F(JournalTest, TheFolderIsThisUsersAlone) {
  struct stat status{};
  ASSERT_EQ(::stat(folder_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0700U);
  ASSERT_EQ(::stat((folder_ + "/journal").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
  const std::string open_folder = parent_ + "/open";
  ASSERT_EQ(::mkdir(open_folder.c_str(), 0755), 0);
  for (const std::string& path : {open_folder, folder_ + "/journal"}) {
    const auto refused = Journal::open(path, log_);
    ASSERT_FALSE(refused.has_value()) << path;
  }
}

TEST_F(JournalTest, EntriesThatAreNotUnderstoodAreLeftOut) {
  outbox_.reset();
  journal_.reset();
  {
    const auto records = RecordFile::open(folder_ + "/journal", {}, [](const RecordFile::Record&) {});
    ASSERT_TRUE(records.has_value());
    for (const std::string_view body :
         {std::string_view(""), std::string_view("\x09"), std::string_view("\x02\xFF\0\0\0", 5)}) {
      ASSERT_TRUE((*records)->append(1, bytes_of(body)).has_value());
    }
  }
  EXPECT_THAT(left_behind(), IsEmpty());
}

}  // namespace
}  // namespace proplet::propeller
