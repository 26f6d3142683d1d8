#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "base/clock.h"
#include "base/encoding.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"
#include "base/process.h"
#include "base/secret_bytes.h"

namespace proplet {
namespace {

// RFC 4648 section 10.
TEST(Base64, EncodesAndDecodesTheVectorsOfTheRfc) {
  const std::pair<std::string_view, std::string_view> vectors[] = {{"", ""},
                                                                   {"f", "Zg=="},
                                                                   {"fo", "Zm8="},
                                                                   {"foo", "Zm9v"},
                                                                   {"foob", "Zm9vYg=="},
                                                                   {"fooba", "Zm9vYmE="},
                                                                   {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) {
    EXPECT_EQ(base64_encode(bytes_of(plain)), encoded);
    const auto decoded = base64_decode(encoded);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(text_of(*decoded), plain);
  }
}

TEST(Base64, RefusesEverythingThatIsNotTheOneEncoding) {
  for (const auto* bad : {"Zg", "Zg=", "Zh==", "Zg==\n", " Zg==", "Zm9v=", "Z===", "====", "Zm-v", "Zg==Zg=="}) {
    EXPECT_FALSE(base64_decode(bad)) << bad;
  }
  for (const auto* bad : {"Zg==", "Zh", "Zm+v", "A", "Zm9vY"}) EXPECT_FALSE(base64url_decode(bad)) << bad;
}

TEST(Json, RefusesRepeatedMembersDepthAndTrailingData) {
  EXPECT_TRUE(json::parse(R"({"a":{"b":1},"b":[{"b":2}]})"));
  for (const auto* bad : {R"({"a":1,"a":2})", R"({"x":{"a":1,"\u0061":2}})", R"({"a":1} x)", R"({"a":)", R"([1,])",
                          "\"\xff\"", R"({"a":1}{})"}) {
    const auto parsed = json::parse(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code(), Code::format_invalid) << bad;
  }
  EXPECT_FALSE(json::parse(std::string(40, '[') + std::string(40, ']')));
}

// RFC 8785 section 3.2.3, the part without floating point numbers.
TEST(Json, CanonicalFormSortsByCodeUnitsAndEscapesMinimally) {
  const auto parsed = json::parse(
      R"({"\u20ac":"Euro","\r":"CR","\ufb33":"Dalet","1":"One","\ud83d\ude00":"Smiley","a/":"\u0007/\"\\"})");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(json::canonical(*parsed),
            "{\"\\r\":\"CR\",\"1\":\"One\",\"a/\":\"\\u0007/"
            "\\\"\\\\\",\"\xe2\x82\xac\":\"Euro\",\"\xf0\x9f\x98\x80\":\"Smiley\","
            "\"\xef\xac\xb3\":\"Dalet\"}");
}

TEST(Error, TextIsOneLineWithAllCauses) {
  const Error error = Error(Code::not_encrypted, "layer 0\nis plain").because("cannot open image");
  EXPECT_EQ(error.text(), "NOT_ENCRYPTED: cannot open image: layer 0 is plain");
}

TEST(Error, CatalogueNamesAreUniqueAndFound) {
  for (const auto& info : code_catalogue()) {
    EXPECT_EQ(code_from_name(info.name), info.code);
    EXPECT_FALSE(info.meaning.empty());
    EXPECT_FALSE(info.hint.empty());
  }
}

TEST(SecretBytes, TruncatesMovesAndComparesInFull) {
  auto secret = SecretBytes::copy_of(bytes_of("canary-value"));
  EXPECT_TRUE(secret.equals(bytes_of("canary-value")));
  secret.truncate(6);
  const SecretBytes moved = std::move(secret);
  EXPECT_TRUE(moved.equals(bytes_of("canary")));
  EXPECT_FALSE(moved.equals(bytes_of("canarz")));
  EXPECT_FALSE(moved.equals(bytes_of("canary-")));
}

TEST(Log, CutsLongTextBetweenCharacters) {
  std::string text(2047, 'a');
  text += "\u00e9 and more";
  Log log(LogLevel::info, LogFormat::json);
  ::testing::internal::CaptureStderr();
  log.info("event", {{"text", text}});
  const auto line = ::testing::internal::GetCapturedStderr();
  EXPECT_TRUE(json::parse_object(line)) << "a line is JSON, and JSON is UTF-8";
}

TEST(SecretFile, IsReadWholeAndBounded) {
  const std::string path = ::testing::TempDir() + "proplet-secret-file";
  ASSERT_TRUE(write_file_atomically(path, bytes_of("secret"), 0600));
  const auto whole = read_secret_file(path, 6);
  ASSERT_TRUE(whole);
  EXPECT_TRUE(whole->equals(bytes_of("secret")));
  const auto larger = read_secret_file(path, 5);
  ASSERT_FALSE(larger);
  EXPECT_EQ(larger.error().code(), Code::size_limit);
  ASSERT_TRUE(write_file_atomically(path, {}, 0600));
  EXPECT_TRUE(read_secret_file(path, 5)->empty());
  ::unlink(path.c_str());
  EXPECT_EQ(read_secret_file(path, 5).error().code(), Code::io_failed);
}

// In a process of its own: hardening cannot be undone.
TEST(Process, HardeningSilencesLibrariesAndBrokenPipes) {
  const auto harden = [] {
    ::setenv("SSLKEYLOGFILE", "/dev/null", 1);
    const bool done = harden_process().has_value();
    const bool silent = ::getenv("SSLKEYLOGFILE") == nullptr && ::prctl(PR_GET_DUMPABLE) == 0;
    const bool ignored = ::raise(SIGPIPE) == 0;
    ::_exit(done && silent && ignored ? 0 : 1);
  };
  EXPECT_EXIT(harden(), ::testing::ExitedWithCode(0), "");
}

TEST(Random, UuidsAreVersionFourAndDiffer) {
  SystemRandom random;
  const std::string uuid = random.uuid();
  ASSERT_EQ(uuid.size(), 36U);
  EXPECT_EQ(uuid[14], '4');
  EXPECT_NE(uuid, random.uuid());
}

TEST(Clock, FormatsNanosecondsAsGoDoes) {
  const auto time = std::chrono::system_clock::time_point(std::chrono::nanoseconds(1767225600'000005000));
  EXPECT_EQ(rfc3339(time), "2026-01-01T00:00:00.000005000Z");
}

TEST(StopSignals, AHangupCallsAndDoesNotStop) {
  std::stop_source stop;
  StopSignals signals(stop, StopSignals::Hangup::calls);
  ::kill(::getpid(), SIGHUP);  // before anybody cares
  std::atomic<int> calls = 0;
  signals.on_hangup([&] {
    ++calls;
    calls.notify_all();
  });
  while (calls == 0) {
    ::kill(::getpid(), SIGHUP);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  signals.on_hangup({});
  const int before = calls;
  ::kill(::getpid(), SIGHUP);
  EXPECT_FALSE(stop.stop_requested());
  EXPECT_EQ(calls, before);
  ::kill(::getpid(), SIGTERM);
  wait_for_stop(stop.get_token());
  EXPECT_TRUE(stop.stop_requested());
}

}  // namespace
}  // namespace proplet
