// TDX, SGX and CCA: what stands in the evidence, over structures laid out as the manuals say.
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "attestation/cca_attester.h"
#include "attestation/event_log.h"
#include "attestation/fake_guest.h"
#include "attestation/sgx_attester.h"
#include "attestation/tdx_attester.h"
#include "base/encoding.h"

namespace proplet::attestation {
namespace {

const auto kData = ReportData::for_guest("task", bytes_of("data"));

void place(Bytes& bytes, std::size_t offset, ByteView content) {
  std::ranges::copy(content, bytes.begin() + static_cast<std::ptrdiff_t>(offset));
}

// Offsets of the fields, by version of the quote.
struct QuoteShape {
  std::uint8_t version;
  std::uint8_t tee_type;
  std::size_t config_id, report_data, size;
};
constexpr QuoteShape kTdx4{.version = 4, .tee_type = 0x81, .config_id = 232, .report_data = 568, .size = 5000};
constexpr QuoteShape kTdx5{.version = 5, .tee_type = 0x81, .config_id = 238, .report_data = 574, .size = 5000};
constexpr QuoteShape kSgx3{.version = 3, .tee_type = 0, .config_id = 240, .report_data = 368, .size = 4600};

Bytes quote(const QuoteShape& shape, ByteView report_data, ByteView config_id = {}) {
  Bytes bytes(shape.size, 0xEE);
  place(bytes, 0, Bytes{shape.version, 0, 2, 0, shape.tee_type, 0, 0, 0});
  place(bytes, shape.report_data, report_data);
  place(bytes, shape.config_id, config_id);
  return bytes;
}

std::shared_ptr<FakeTsm> tdx_guest(const QuoteShape& shape, Bytes config_id = {}) {
  return std::make_shared<FakeTsm>("tdx_guest", [shape, config_id = std::move(config_id)](ByteView inblob) {
    return quote(shape, inblob, config_id);
  });
}

Result<json::value> tdx_evidence(std::shared_ptr<FakeTsm> tsm, Bytes init_data_digest = {}) {
  return TdxAttester(std::move(tsm), std::make_shared<SystemRandom>(), std::move(init_data_digest)).evidence(kData, {});
}

Bytes decoded(const json::value& evidence, std::string_view member) {
  return *base64_decode(std::string(evidence.at(member).as_string()));
}

TEST(TdxAttester, GivesTheQuoteInStandardBase64AndNoLogWhereThereIsNone) {
  for (const auto& shape : {kTdx4, kTdx5}) {
    const auto evidence = tdx_evidence(tdx_guest(shape));
    ASSERT_TRUE(evidence) << evidence.error().text();
    EXPECT_EQ(evidence->as_object().size(), 2U);
    EXPECT_TRUE(evidence->at("cc_eventlog").is_null());
    EXPECT_EQ(decoded(*evidence, "quote"), quote(shape, kData.padded()));
  }
}

TEST(TdxAttester, RefusesAQuoteOverOtherBytes) {
  const auto evidence = tdx_evidence(std::make_shared<FakeTsm>("tdx_guest", [](ByteView inblob) {
    Bytes other(inblob.begin(), inblob.end());
    other.back() ^= 1U;
    return quote(kTdx4, other);
  }));
  ASSERT_FALSE(evidence);
  EXPECT_EQ(evidence.error().text(), "EVIDENCE_FAILED: the evidence is made over other report data than ours");
}

TEST(TdxAttester, RefusesWhatIsNoQuoteOfATd) {
  for (const auto& bytes :
       {Bytes{}, Bytes(47, 0), Bytes(700, 0), quote(kSgx3, kData.padded()), Bytes{4, 0, 2, 0, 0x81, 0, 0, 0}, [] {
          auto old = quote(kTdx4, kData.padded());
          old[0] = 3;
          return old;
        }()}) {
    const auto evidence =
        tdx_evidence(std::make_shared<FakeTsm>("tdx_guest", [bytes](ByteView /*inblob*/) { return bytes; }));
    ASSERT_FALSE(evidence);
    EXPECT_EQ(evidence.error().code(), Code::evidence_failed);
  }
}

TEST(TdxAttester, ComparesInitDataWithTheRegisterOfTheLaunch) {
  const Bytes sha256(32, 0xA1);
  const Bytes sha384(48, 0xA2);
  const Bytes sha512(64, 0xA3);
  const auto launched_with = [](const Bytes& digest) {
    Bytes field(48, 0);
    std::copy_n(digest.begin(), std::min(digest.size(), field.size()), field.begin());
    return field;
  };
  for (const auto& digest : {sha256, sha384, sha512}) {
    EXPECT_TRUE(tdx_evidence(tdx_guest(kTdx4, launched_with(digest)), digest)) << digest.size();
    EXPECT_TRUE(tdx_evidence(tdx_guest(kTdx5, launched_with(digest)), digest)) << digest.size();
  }
  const auto other = tdx_evidence(tdx_guest(kTdx4, launched_with(sha384)), sha256);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().text(),
            "EVIDENCE_FAILED: this machine was launched with other init-data: its MRCONFIGID is not our file's digest");
  EXPECT_FALSE(tdx_evidence(tdx_guest(kTdx4, Bytes(48, 0xA1)), sha256)) << "the rest of the field must be zero";
}

TEST(TdxAttester, EndsWithTheTaskAlthoughTheKernelDoesNot) {
  const auto tsm = tdx_guest(kTdx4);
  tsm->hold();
  TdxAttester attester(tsm, std::make_shared<SystemRandom>(), {});
  std::stop_source stop;
  const std::jthread stopper([&] {
    while (tsm->waiting() == 0) std::this_thread::yield();
    stop.request_stop();
  });
  const auto evidence = attester.evidence(kData, stop.get_token());
  ASSERT_FALSE(evidence);
  EXPECT_EQ(evidence.error().code(), Code::cancelled);
  EXPECT_EQ(tsm->requests(), 0);
  tsm->let_go();
  // The call that was given up cleans up behind itself, and the next one is not disturbed.
  EXPECT_TRUE(attester.evidence(kData, {}));
  while (tsm->entries() != 0) std::this_thread::yield();
}

// A log of one event of each kind.
class LogMaker {
 public:
  LogMaker() {
    Bytes spec;
    append(spec, "Spec ID Event03");
    spec.resize(16 + 8, 0);
    integer(spec, 2U, 4);  // algorithms
    integer(spec, 0x000CU, 2);
    integer(spec, 48U, 2);
    integer(spec, 0x0012U, 2);
    integer(spec, 32U, 2);
    spec.push_back(0);
    integer(log, 0U, 4);
    integer(log, 3U, 4);
    log.resize(log.size() + 20, 0);
    integer(log, spec.size(), 4);
    log.insert(log.end(), spec.begin(), spec.end());
  }
  LogMaker& event(std::size_t size) {
    integer(log, 1U, 4);
    integer(log, 0x80000001U, 4);
    integer(log, 2U, 4);
    integer(log, 0x000CU, 2);
    log.resize(log.size() + 48, 0);  // zeros, which are no end marker inside an event
    integer(log, 0x0012U, 2);
    log.resize(log.size() + 32, 0xFF);
    integer(log, size, 4);
    log.resize(log.size() + size, 0x55);
    return *this;
  }

  Bytes log;

 private:
  static void append(Bytes& bytes, std::string_view text) { bytes.insert(bytes.end(), text.begin(), text.end()); }
  static void integer(Bytes& bytes, std::size_t value, int size) {
    for (int i = 0; i < size; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  }
};

TEST(EventLog, EndsAtAMarkerOrWhereTheTableEnds) {
  const Bytes log = LogMaker().event(10).event(0).event(200).log;
  EXPECT_EQ(event_log_length(log), log.size());
  for (const auto filler : {std::uint8_t{0x00}, std::uint8_t{0xFF}}) {
    Bytes table = log;
    table.resize(65536, filler);
    EXPECT_EQ(event_log_length(table), log.size());
  }
}

TEST(EventLog, KeepsWholeEventsOnly) {
  const Bytes one = LogMaker().event(10).log;
  const Bytes two = LogMaker().event(10).event(100).log;
  for (std::size_t size = one.size(); size < two.size(); ++size) {
    EXPECT_EQ(event_log_length(ByteView(two).first(size)), one.size()) << size;
  }
  for (std::size_t size = 0; size < LogMaker().log.size(); ++size) {
    EXPECT_EQ(event_log_length(ByteView(two).first(size)), 0U) << size;
  }
}

TEST(EventLog, OfATdIsTheFirmwaresWithTheAgentsBehindIt) {
  Bytes firmware = LogMaker().event(10).log;
  const std::size_t length = firmware.size();
  firmware.resize(4096, 0xFF);
  const auto tsm = tdx_guest(kTdx4);
  EXPECT_FALSE(td_event_log(*tsm));
  tsm->put("/sys/firmware/acpi/tables/data/CCEL", std::string(text_of(firmware)));
  auto log = td_event_log(*tsm);
  ASSERT_TRUE(log);
  EXPECT_EQ(log->size(), length + 8);
  EXPECT_TRUE(std::ranges::all_of(ByteView(*log).last(8), [](auto byte) { return byte == 0xFF; }));

  tsm->put("/run/attestation-agent/eventlog", "AGENT");
  log = td_event_log(*tsm);
  ASSERT_TRUE(log);
  EXPECT_EQ(text_of(ByteView(*log).subspan(length, 5)), "AGENT");

  const auto evidence = tdx_evidence(tsm);
  ASSERT_TRUE(evidence);
  EXPECT_EQ(decoded(*evidence, "cc_eventlog"), *log);
}

TEST(CcaAttester, GivesTheTokenAsNumbers) {
  const auto tsm = std::make_shared<FakeTsm>("arm_cca_guest", [](ByteView inblob) {
    Bytes token{0xD2, 0x84};
    token.insert(token.end(), inblob.begin(), inblob.end());
    return token;
  });
  const auto evidence = CcaAttester(tsm, std::make_shared<SystemRandom>()).evidence(kData, {});
  ASSERT_TRUE(evidence) << evidence.error().text();
  EXPECT_EQ(evidence->as_object().size(), 1U);
  const auto& token = evidence->at("token").as_array();
  ASSERT_EQ(token.size(), 66U);
  EXPECT_EQ(token[0].to_number<int>(), 210);
  EXPECT_EQ(token[1].to_number<int>(), 132);
  EXPECT_EQ(token[2].to_number<int>(), kData.digest()[0]);
  EXPECT_EQ(token[65].to_number<int>(), 0);
}

// Gramine makes the quote when it is read; a folder of plain files has it in advance.
class GramineTest : public ::testing::Test {
 protected:
  GramineTest() {
    root_.write("dev/attestation/attestation_type", "dcap");
    root_.write("dev/attestation/user_report_data", std::string(64, 'x'));
  }
  Result<json::value> evidence(const Bytes& quote, Bytes init_data_digest = {}) {
    root_.write("dev/attestation/quote", std::string(text_of(quote)));
    return SgxAttester(std::make_shared<SystemFiles>(root_.text()), std::move(init_data_digest)).evidence(kData, {});
  }
  FakeRoot root_;
};

TEST_F(GramineTest, WritesTheReportDataAndGivesTheQuote) {
  const auto bytes = quote(kSgx3, kData.padded());
  const auto given = evidence(bytes);
  ASSERT_TRUE(given) << given.error().text();
  EXPECT_EQ(given->as_object().size(), 1U);
  EXPECT_EQ(decoded(*given, "quote"), bytes);
  SystemFiles files(root_.text());
  EXPECT_TRUE(std::ranges::equal(*files.read(kGramineReportData, 64), kData.padded()));
}

TEST_F(GramineTest, RefusesAQuoteOverOtherBytesOrOfAnotherVersion) {
  EXPECT_FALSE(evidence(quote(kSgx3, Bytes(64, 1))));
  EXPECT_FALSE(evidence(quote(kTdx4, kData.padded())));
  EXPECT_FALSE(evidence({}));
}

TEST_F(GramineTest, ComparesInitDataWithTheConfigId) {
  Bytes field(64, 0);
  std::fill_n(field.begin(), 48, 9);
  EXPECT_TRUE(evidence(quote(kSgx3, kData.padded(), field), Bytes(48, 9)));
  EXPECT_FALSE(evidence(quote(kSgx3, kData.padded(), field), Bytes(48, 8)));
}

TEST(SgxAttester, NamesTheFileThatIsMissing) {
  const FakeRoot empty;
  const auto evidence = SgxAttester(std::make_shared<SystemFiles>(empty.text()), {}).evidence(kData, {});
  ASSERT_FALSE(evidence);
  EXPECT_EQ(evidence.error().text(), "EVIDENCE_FAILED: /dev/attestation/user_report_data: No such file or directory");
}

}  // namespace
}  // namespace proplet::attestation
