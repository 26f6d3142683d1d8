#include "attestation/tsm_report.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "attestation/fake_guest.h"

namespace proplet::attestation {
namespace {

const Bytes kInblob(64, 7);

Bytes echo(ByteView inblob) { return {inblob.begin(), inblob.end()}; }

class TsmReportTest : public ::testing::Test {
 protected:
  Result<TsmReport> request(FakeTsm& tsm, bool levels = false) {
    return request_tsm_report(tsm, random_,
                              {.provider = "sev_guest", .inblob = kInblob, .most_privileged_level = levels});
  }
  SystemRandom random_;
};

TEST_F(TsmReportTest, GivesTheBlobAndLeavesNoEntryBehind) {
  FakeTsm tsm("sev_guest", echo);
  const auto report = request(tsm);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->outblob, kInblob);
  EXPECT_TRUE(report->auxblob.empty());
  EXPECT_EQ(tsm.entries(), 0U);
  EXPECT_EQ(tsm.requests(), 1);
}

TEST_F(TsmReportTest, AsksForTheMostPrivilegedLevelAndReadsTheCertificates) {
  FakeTsm tsm("sev_guest", echo);
  tsm.set_privilege_floor(0);
  tsm.set_auxblob({1, 2, 3});
  const auto report = request(tsm, true);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->auxblob, (Bytes{1, 2, 3}));
}

TEST_F(TsmReportTest, SaysThatTheLevelIsRefusedBelowAParavisor) {
  FakeTsm tsm("sev_guest", echo);
  tsm.set_privilege_floor(2);
  const auto report = request(tsm, true);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().text(),
            "EVIDENCE_FAILED: asking for privilege level 0, which key brokers demand, of "
            "/sys/kernel/config/tsm/report: Invalid argument");
  EXPECT_EQ(tsm.entries(), 0U);
}

TEST_F(TsmReportTest, TriesAgainWhenSomebodyElseWroteIntoItsEntry) {
  FakeTsm tsm("sev_guest", echo);
  tsm.interfere(2);
  ASSERT_TRUE(request(tsm));
  EXPECT_EQ(tsm.requests(), 3);
  EXPECT_EQ(tsm.entries(), 0U);
}

TEST_F(TsmReportTest, GivesUpUnderConstantInterference) {
  FakeTsm tsm("sev_guest", echo);
  tsm.interfere(1000);
  const auto report = request(tsm);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), Code::evidence_failed);
  EXPECT_EQ(tsm.requests(), 3);
  EXPECT_EQ(tsm.entries(), 0U);
}

TEST_F(TsmReportTest, NamesTheProviderThatItDidNotExpect) {
  FakeTsm tsm("tdx_guest", echo);
  const auto report = request(tsm);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().text(),
            "TEE_UNAVAILABLE: the provider of /sys/kernel/config/tsm/report is 'tdx_guest', not sev_guest");
  EXPECT_EQ(tsm.requests(), 0);
}

TEST_F(TsmReportTest, NamesTheReasonOfTheKernel) {
  FakeTsm tsm("sev_guest", echo);
  tsm.fail_outblob(ENXIO);
  const auto report = request(tsm);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().text(),
            "EVIDENCE_FAILED: outblob of /sys/kernel/config/tsm/report: No such device or address");
  EXPECT_EQ(tsm.entries(), 0U);
}

TEST(SystemFiles, WritesButNeverCreates) {
  const FakeRoot root;
  root.write("dev/thing", "old");
  SystemFiles files(root.text());
  EXPECT_TRUE(files.exists("/dev/thing"));
  EXPECT_FALSE(files.exists("/dev/other"));
  ASSERT_TRUE(files.write("/dev/thing", bytes_of("new")));
  EXPECT_EQ(short_text(files, "/dev/thing"), "new");
  EXPECT_EQ(files.write("/dev/other", bytes_of("x")).error(), ENOENT);
  EXPECT_FALSE(files.exists("/dev/other"));
}

TEST(SystemFiles, BoundsWhatItReads) {
  const FakeRoot root;
  root.write("blob", std::string(100000, 'x'));
  SystemFiles files(root.text());
  EXPECT_EQ(files.read("/blob", 100000)->size(), 100000U);
  EXPECT_EQ(files.read("/blob", 99999).error(), EFBIG);
  EXPECT_EQ(files.read("/none", 1).error(), ENOENT);
}

TEST(SystemFiles, MakesAndRemovesFoldersOfItsOwn) {
  const FakeRoot root;
  SystemFiles files(root.text());
  ASSERT_TRUE(files.make_directory("/entry"));
  EXPECT_EQ(files.make_directory("/entry").error(), EEXIST);
  struct stat status{};
  ASSERT_EQ(::stat((root.text() + "/entry").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
  ASSERT_TRUE(files.remove_directory("/entry"));
  EXPECT_EQ(files.remove_directory("/entry").error(), ENOENT);
}

}  // namespace
}  // namespace proplet::attestation
