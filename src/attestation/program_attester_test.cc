#include "attestation/program_attester.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "attestation/choice.h"
#include "attestation/fake_guest.h"
#include "base/encoding.h"
#include "base/fd.h"

namespace proplet::attestation {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

const auto kData = ReportData::for_guest("task", bytes_of("data"));

class ProgramAttesterTest : public ::testing::Test {
 protected:
  // A shell script as the program.
  std::string program(const std::string& script, unsigned mode = 0755) const {
    root_.write("attester", "#!/bin/sh\n" + script + "\n");
    const std::string path = root_.text() + "/attester";
    ::chmod(path.c_str(), mode);
    return path;
  }
  Result<json::value> evidence(const std::string& script, ProgramLimits limits = {}, std::stop_token stop = {}) {
    auto attester = ProgramAttester::make(program(script), "tpm", limits);
    if (!attester) return fail(std::move(attester).error());
    return (*attester)->evidence(kData, std::move(stop));
  }
  // What the program wrote into the file `name` of its own folder.
  std::string note(const std::string& name) const {
    std::ifstream file(root_.text() + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string folder() const { return root_.text(); }

  FakeRoot root_;
};

TEST_F(ProgramAttesterTest, IsGivenOneLineAndItsEvidenceIsPassedOnAsItIs) {
  const auto given = evidence("cat > " + folder() + R"(/request; echo '{"evidence":{"quote":"AAAA","pcrs":[1,2]}}')");
  ASSERT_TRUE(given) << given.error().text();
  EXPECT_EQ(json::canonical(*given), R"({"pcrs":[1,2],"quote":"AAAA"})");
  EXPECT_EQ(note("request"), R"({"version":1,"tee":"tpm","report_data":")" + base64_encode(kData.digest()) + "\"}\n");
}

TEST_F(ProgramAttesterTest, InheritsNothingOfOurs) {
  ::setenv("PROPLET_API_KEY", "secret", 1);
  const auto before = ::signal(SIGPIPE, SIG_IGN);  // as the worker does
  const UniqueFd leaked(::dup(0));                 // without close-on-exec
  ASSERT_TRUE(leaked.valid());
  // The shell adds variables of its own; the listing is the kernel's.
  const auto given =
      evidence("tr '\\0' '\\n' < /proc/$$/environ > " + folder() + "/environment; ls /proc/$$/fd > " + folder() +
               "/files; grep SigIgn /proc/$$/status > " + folder() + "/signals; echo '{\"evidence\":1}'");
  ::unsetenv("PROPLET_API_KEY");
  ::signal(SIGPIPE, before);
  ASSERT_TRUE(given) << given.error().text();
  EXPECT_EQ(note("environment"), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n");
  EXPECT_EQ(note("files").find(std::to_string(leaked.get()) + "\n"), std::string::npos) << note("files");
  // 32 and 33 are glibc's own.
  const auto ignored = std::stoull(note("signals").substr(8), nullptr, 16);
  EXPECT_EQ(ignored & 0x7FFFFFFFU, 0U) << note("signals");
}

TEST_F(ProgramAttesterTest, ThatFailsIsQuotedInOneBoundedLine) {
  const auto given = evidence(R"(echo 'no TPM here' >&2; echo more >&2; exit 3)");
  ASSERT_FALSE(given);
  EXPECT_EQ(given.error().text(), "EVIDENCE_FAILED: " + folder() + "/attester failed, exit status: 3: no TPM here");
  const auto flood = evidence("yes | tr -d '\\n' | head -c 1000000 >&2; exit 1");
  ASSERT_FALSE(flood);
  EXPECT_LT(flood.error().text().size(), 500U);
}

TEST_F(ProgramAttesterTest, MustWriteOneObjectWithEvidence) {
  for (const auto* script : {"true", "echo nonsense", "echo '[1]'", "echo '{}'", "echo '{\"evidence\":1} trailing'",
                             "printf '{\"evidence\":%s}' \"$(printf '[%.0s' $(seq 100))\""}) {
    const auto given = evidence(script);
    ASSERT_FALSE(given) << script;
    EXPECT_EQ(given.error().code(), Code::evidence_failed) << script;
  }
}

TEST_F(ProgramAttesterTest, IsBoundedInWhatItWritesAndInTime) {
  const auto flood = evidence("yes | head -c 200000", {.time = milliseconds(60000), .output_bytes = 100000});
  ASSERT_FALSE(flood);
  EXPECT_NE(flood.error().text().find("more than 100000 bytes"), std::string::npos) << flood.error().text();
  const auto slow = evidence("sleep 600", {.time = milliseconds(200), .output_bytes = 1000});
  ASSERT_FALSE(slow);
  EXPECT_NE(slow.error().text().find("longer than 200 ms"), std::string::npos) << slow.error().text();
}

TEST_F(ProgramAttesterTest, IsKilledWithItsChildrenWhenTheTaskStops) {
  std::stop_source stop;
  const std::jthread stopper([&] {
    while (note("pids").empty()) std::this_thread::sleep_for(milliseconds(5));
    stop.request_stop();
  });
  const auto start = steady_clock::now();
  const auto given = evidence("sleep 600 & printf '%s' $! > " + folder() + "/pids.new; mv " + folder() + "/pids.new " +
                                  folder() + "/pids; wait",
                              {}, stop.get_token());
  ASSERT_FALSE(given);
  EXPECT_EQ(given.error().code(), Code::cancelled);
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(20));
  const pid_t child = std::stoi(note("pids"));
  for (int i = 0; i < 1000 && ::kill(child, 0) == 0; ++i) {
    // It may be a zombie until its new parent has collected it.
    std::ifstream file("/proc/" + std::to_string(child) + "/stat");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    if (text.find(") Z ") != std::string::npos) break;
    std::this_thread::sleep_for(milliseconds(10));
  }
  std::ifstream file("/proc/" + std::to_string(child) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_TRUE(text.empty() || text.find(") Z ") != std::string::npos) << text;
}

TEST_F(ProgramAttesterTest, IsDoneWhenItEndsAlthoughAChildHoldsItsStreams) {
  const auto given = evidence("sleep 600 & echo '{\"evidence\":1}'", {.time = milliseconds(60000)});
  ASSERT_TRUE(given) << given.error().text();
}

TEST_F(ProgramAttesterTest, ThatDiesByASignalIsAFailure) {
  const auto given = evidence("echo '{\"evidence\":1}'; kill -9 $$");
  ASSERT_FALSE(given);
  EXPECT_NE(given.error().text().find("SIGKILL"), std::string::npos) << given.error().text();
}

TEST_F(ProgramAttesterTest, MustBeAnAbsoluteExecutableThatOnlyItsOwnerCanChange) {
  EXPECT_FALSE(ProgramAttester::make("attester", "tpm"));
  EXPECT_FALSE(ProgramAttester::make(folder() + "/none", "tpm"));
  EXPECT_FALSE(ProgramAttester::make("/tmp", "tpm"));
  for (const unsigned mode : {0644U, 0775U, 0757U}) {
    const auto made = ProgramAttester::make(program("true", mode), "tpm");
    ASSERT_FALSE(made) << mode;
    EXPECT_EQ(made.error().code(), Code::tee_unavailable);
  }
}

TEST_F(ProgramAttesterTest, IsOfTheTeeThatTheOperatorNames) {
  for (const auto* name : {"tpm", "keystone", "sample"}) {
    const auto attester =
        make_attester(*TeeChoice::parse(name, true), Tee::tdx, {.program = program("echo '{\"evidence\":{}}'")});
    ASSERT_TRUE(attester) << attester.error().text();
    EXPECT_EQ((*attester)->tee(), name);
    EXPECT_TRUE((*attester)->evidence(kData, {}));
  }
}

}  // namespace
}  // namespace proplet::attestation
