#include "attestation/snp_attester.h"

#include <gtest/gtest.h>
#include <linux/sev-guest.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstring>

#include "attestation/fake_guest.h"
#include "attestation/snp_report.h"
#include "base/encoding.h"

namespace proplet::attestation {
namespace {

const auto kData = ReportData::for_guest("task", bytes_of("data"));

void place(Bytes& bytes, std::size_t offset, ByteView content) {
  std::ranges::copy(content, bytes.begin() + static_cast<std::ptrdiff_t>(offset));
}

// A report in which every byte that is not reserved differs from its neighbours.
Bytes make_report(std::uint8_t version, std::uint8_t family, ByteView report_data = kData.padded()) {
  Bytes report(kSnpReportBytes, 0);
  const auto fill = [&](std::size_t offset, std::size_t size) {
    for (std::size_t i = offset; i < offset + size; ++i) report[i] = static_cast<std::uint8_t>(i * 7 + i / 256 + 1);
  };
  report[0] = version;
  fill(0x04, 0x4C - 0x04);   // svn to key_info
  fill(0x50, 0x180 - 0x50);  // report_data to report_id_ma
  for (const std::size_t tcb : {0x38, 0x180, 0x1E0, 0x1F0}) {
    fill(tcb, 8);
    for (const int reserved : family >= 0x1A ? std::vector{4, 5, 6} : std::vector{2, 3, 4, 5}) {
      report[tcb + static_cast<std::size_t>(reserved)] = 0;
    }
  }
  report[0x188] = family;
  report[0x189] = 0x11;
  report[0x18A] = 0x01;
  fill(0x1A0, 64);
  fill(0x1E8, 3);
  fill(0x1EC, 3);
  if (version >= 5) fill(0x1F8, 16);
  fill(0x2A0, 144);
  place(report, 0x50, report_data);
  return report;
}

// What a verifier does: makes the bytes again that the firmware signed.
class Rebuilder {
 public:
  explicit Rebuilder(const json::value& report) : report_(report.as_object()) {
    integer("version", 0x00, 4);
    integer("guest_svn", 0x04, 4);
    integer("policy", 0x08, 8);
    array("family_id", 0x10, 16);
    array("image_id", 0x20, 16);
    integer("vmpl", 0x30, 4);
    integer("sig_algo", 0x34, 4);
    tcb("current_tcb", 0x38);
    integer("plat_info", 0x40, 8);
    integer("key_info", 0x48, 4);
    array("report_data", 0x50, 64);
    array("measurement", 0x90, 48);
    array("host_data", 0xC0, 32);
    array("id_key_digest", 0xE0, 48);
    array("author_key_digest", 0x110, 48);
    array("report_id", 0x140, 32);
    array("report_id_ma", 0x160, 32);
    tcb("reported_tcb", 0x180);
    integer("cpuid_fam_id", 0x188, 1);
    integer("cpuid_mod_id", 0x189, 1);
    integer("cpuid_step", 0x18A, 1);
    array("chip_id", 0x1A0, 64);
    tcb("committed_tcb", 0x1E0);
    version("current", 0x1E8);
    version("committed", 0x1EC);
    tcb("launch_tcb", 0x1F0);
    integer("launch_mit_vector", 0x1F8, 8);
    integer("current_mit_vector", 0x200, 8);
    const auto& signature = report_.at("signature").as_object();
    bytes_of_array(signature.at("r"), 0x2A0, 72);
    bytes_of_array(signature.at("s"), 0x2E8, 72);
    ++members_;
  }
  Bytes bytes = Bytes(kSnpReportBytes, 0);
  [[nodiscard]] bool used_every_member() const { return members_ == report_.size(); }

 private:
  void put(const json::value& value, std::size_t offset, std::size_t size) {
    if (value.is_null()) return;
    const auto number = value.to_number<std::uint64_t>();
    for (std::size_t i = 0; i < size; ++i) bytes[offset + i] = static_cast<std::uint8_t>(number >> (8 * i));
  }
  void integer(std::string_view name, std::size_t offset, std::size_t size) {
    put(report_.at(name), offset, size);
    ++members_;
  }
  void bytes_of_array(const json::value& value, std::size_t offset, std::size_t size) {
    ASSERT_EQ(value.as_array().size(), size);
    for (std::size_t i = 0; i < size; ++i) put(value.as_array()[i], offset + i, 1);
  }
  void array(std::string_view name, std::size_t offset, std::size_t size) {
    bytes_of_array(report_.at(name), offset, size);
    ++members_;
  }
  void tcb(std::string_view name, std::size_t offset) {
    const auto& tcb = report_.at(name).as_object();
    EXPECT_EQ(tcb.size(), 5U);
    const bool turin = report_.at("cpuid_fam_id").to_number<int>() >= 0x1A;
    EXPECT_EQ(tcb.at("fmc").is_null(), !turin);
    put(tcb.at("fmc"), offset, 1);
    put(tcb.at("bootloader"), offset + (turin ? 1 : 0), 1);
    put(tcb.at("tee"), offset + (turin ? 2 : 1), 1);
    put(tcb.at("snp"), offset + (turin ? 3 : 6), 1);
    put(tcb.at("microcode"), offset + 7, 1);
    ++members_;
  }
  void version(std::string_view name, std::size_t offset) {
    const auto& version = report_.at(name).as_object();
    EXPECT_EQ(version.size(), 3U);
    put(version.at("build"), offset, 1);
    put(version.at("minor"), offset + 1, 1);
    put(version.at("major"), offset + 2, 1);
    ++members_;
  }

  const json::object& report_;
  std::size_t members_ = 0;
};

TEST(SnpReport, CanBeMadeIntoTheSignedBytesAgain) {
  for (const auto version : Bytes{3, 4, 5}) {
    for (const auto family : Bytes{0x19, 0x1A}) {
      const Bytes report = make_report(version, family);
      const auto value = snp_report_json(report);
      ASSERT_TRUE(value) << value.error().text();
      const Rebuilder rebuilt(*value);
      EXPECT_EQ(hex_encode(rebuilt.bytes), hex_encode(report)) << int{version} << " " << int{family};
      EXPECT_TRUE(rebuilt.used_every_member());
      EXPECT_EQ(value->at("launch_mit_vector").is_null(), version < 5);
    }
  }
}

TEST(SnpReport, OfAnUnknownVersionOrLengthIsRefused) {
  for (const auto version : Bytes{0, 2, 6}) EXPECT_FALSE(snp_report_json(make_report(version, 0x19)));
  const Bytes report = make_report(3, 0x19);
  EXPECT_FALSE(snp_report_json(ByteView(report).first(kSnpReportBytes - 1)));
  EXPECT_FALSE(snp_report_json({}));
  EXPECT_NE(snp_report_json(make_report(2, 0x19)).error().text().find("newer SEV firmware"), std::string::npos);
}

class TableMaker {
 public:
  TableMaker& add(std::string_view guid, std::string_view data) {
    entries_.emplace_back(guid, data);
    return *this;
  }
  [[nodiscard]] Bytes bytes() const {
    Bytes table((entries_.size() + 1) * 24, 0);
    std::size_t at = 0;
    for (const auto& [guid, data] : entries_) {
      std::string hex(guid);
      std::erase(hex, '-');
      place(table, at, *hex_decode(hex));
      number(table, at + 16, table.size());
      number(table, at + 20, data.size());
      table.insert(table.end(), data.begin(), data.end());
      at += 24;
    }
    return table;
  }
  static void number(Bytes& bytes, std::size_t at, std::size_t value) {
    for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
  }

 private:
  std::vector<std::pair<std::string, std::string>> entries_;
};

constexpr std::string_view kVcek = "63da758d-e664-4564-adc5-f4b93be8accd";
constexpr std::string_view kAsk = "4ab7b379-bbac-4fe4-a02f-05aef327c782";
constexpr std::string_view kOther = "11111111-2222-3333-4444-555566667777";

TEST(SnpCertificates, AreNamedByTheirGuidAndGivenAsNumbers) {
  const auto chain = snp_certificates_json(TableMaker().add(kVcek, "AB").add(kAsk, "C").add(kOther, "").bytes());
  ASSERT_TRUE(chain) << chain.error().text();
  EXPECT_EQ(json::canonical(*chain), R"([{"cert_type":"VCEK","data":[65,66]},{"cert_type":"ASK","data":[67]},)"
                                     R"({"cert_type":{"OTHER":"11111111-2222-3333-4444-555566667777"},"data":[]}])");
}

TEST(SnpCertificates, AreNullWithoutTheSigner) {
  for (const auto& table : {Bytes{}, TableMaker().bytes(), TableMaker().add(kAsk, "C").bytes(), Bytes(4096, 0)}) {
    const auto chain = snp_certificates_json(table);
    ASSERT_TRUE(chain);
    EXPECT_TRUE(chain->is_null());
  }
}

TEST(SnpCertificates, OutsideTheTableAreRefused) {
  const Bytes good = TableMaker().add(kVcek, "AB").bytes();
  for (const std::size_t offset : {std::size_t{51}, std::size_t{49}, std::size_t{0xFFFFFFFF}}) {
    Bytes bad = good;
    TableMaker::number(bad, 16, offset);
    EXPECT_FALSE(snp_certificates_json(bad)) << offset;
  }
  Bytes bad = good;
  TableMaker::number(bad, 20, 0xFFFFFFFF);
  EXPECT_FALSE(snp_certificates_json(bad));
  EXPECT_FALSE(snp_certificates_json(ByteView(good).first(23)));
  EXPECT_FALSE(snp_certificates_json(Bytes(24 * 100, 1))) << "no end";
}

// /dev/sev-guest as linux/sev-guest.h and the driver behave: a table that does not fit is VMM error 1 with the length
// that would do.
class FakeSevGuest final : public GuestDevice {
 public:
  struct Script {
    Bytes report;
    Bytes table;
    int error = 0;  // errno of every call
    std::uint64_t exit_info = 0;
    std::uint32_t status = 0;  // of the firmware
    bool table_grows = false;  // with each call
    int calls = 0;
    std::uint32_t vmpl = 99;
  };
  explicit FakeSevGuest(Script& script) : script_(script) {}

  int control(unsigned long request, void* argument) override {
    ++script_.calls;
    if (request != SNP_GET_EXT_REPORT) return ENOTTY;
    auto& call = *static_cast<snp_guest_request_ioctl*>(argument);
    if (call.msg_version == 0) return EINVAL;
    auto& wanted = *reinterpret_cast<snp_ext_report_req*>(call.req_data);
    auto& answer = *reinterpret_cast<snp_report_resp*>(call.resp_data);
    script_.vmpl = wanted.data.vmpl;
    if (script_.error != 0) {
      call.exitinfo2 = script_.exit_info;
      return script_.error;
    }
    if (script_.table_grows) script_.table.resize(script_.table.size() + 4096);
    const std::size_t needed = (script_.table.size() + 4095) / 4096 * 4096;
    if (wanted.certs_len < needed) {
      wanted.certs_len = static_cast<std::uint32_t>(needed);
      call.exitinfo2 = std::uint64_t{SNP_GUEST_VMM_ERR_INVALID_LEN} << 32U;
      return EIO;
    }
    Bytes report = script_.report;
    place(report, 0x50, ByteView(wanted.data.user_data));
    std::memcpy(answer.data, &script_.status, 4);
    const auto size = static_cast<std::uint32_t>(report.size());
    std::memcpy(answer.data + 4, &size, 4);
    std::memcpy(answer.data + 32, report.data(), report.size());
    if (!script_.table.empty()) {
      std::memcpy(reinterpret_cast<void*>(wanted.certs_address), script_.table.data(), script_.table.size());
    }
    return 0;
  }

 private:
  Script& script_;
};

class SevGuestDeviceTest : public ::testing::Test {
 protected:
  Result<json::value> evidence(Bytes init_data_digest = {}) {
    const auto open = [this](const std::string& path) -> Result<std::unique_ptr<GuestDevice>> {
      EXPECT_EQ(path, "/dev/sev-guest");
      return std::make_unique<FakeSevGuest>(script_);
    };
    return SnpAttester(std::make_shared<FakeTsm>(""), std::make_shared<SystemRandom>(), open,
                       std::move(init_data_digest))
        .evidence(kData, {});
  }
  FakeSevGuest::Script script_{.report = make_report(3, 0x19), .table = {}};
};

TEST_F(SevGuestDeviceTest, GivesReportAndCertificatesInTwoCalls) {
  script_.table = TableMaker().add(kVcek, std::string(5000, 'A')).bytes();
  const auto given = evidence();
  ASSERT_TRUE(given) << given.error().text();
  EXPECT_EQ(script_.calls, 2);
  EXPECT_EQ(script_.vmpl, 0U);
  EXPECT_EQ(given->as_object().size(), 2U);
  EXPECT_EQ(Rebuilder(given->at("attestation_report")).bytes, script_.report);
  EXPECT_EQ(given->at("cert_chain").as_array().at(0).at("data").as_array().size(), 5000U);
}

TEST_F(SevGuestDeviceTest, NeedsOneCallWhereTheHostHasNoCertificates) {
  const auto given = evidence();
  ASSERT_TRUE(given) << given.error().text();
  EXPECT_EQ(script_.calls, 1);
  EXPECT_TRUE(given->at("cert_chain").is_null());
}

TEST_F(SevGuestDeviceTest, GivesUpOnATableThatGrowsAllTheTime) {
  script_.table = TableMaker().add(kVcek, "A").bytes();
  script_.table_grows = true;
  EXPECT_EQ(evidence().error().code(), Code::evidence_failed);
  EXPECT_EQ(script_.calls, 3);
}

TEST_F(SevGuestDeviceTest, AllocatesNoHugeTableForAHost) {
  script_.table.resize(std::size_t{2} << 20);
  EXPECT_EQ(evidence().error().code(), Code::evidence_failed);
  EXPECT_EQ(script_.calls, 1);
}

TEST_F(SevGuestDeviceTest, NamesTheErrorsOfFirmwareAndHost) {
  script_.error = EIO;
  script_.exit_info = 0x0000000200000016;
  EXPECT_EQ(evidence().error().text(),
            "EVIDENCE_FAILED: /dev/sev-guest refused a report: Input/output error, firmware error 0x16, host error "
            "0x2");
  script_.error = 0;
  script_.status = 0x16;
  EXPECT_EQ(evidence().error().text(), "EVIDENCE_FAILED: the SEV firmware answered a report request with status 0x16");
}

TEST_F(SevGuestDeviceTest, ComparesInitDataWithTheHostData) {
  Bytes digest(48, 5);
  place(script_.report, 0xC0, Bytes(32, 5));
  EXPECT_TRUE(evidence(digest)) << "a SHA-384 digest is cut to the field";
  digest[31] = 6;
  EXPECT_EQ(evidence(digest).error().text(),
            "EVIDENCE_FAILED: this machine was launched with other init-data: its HOST_DATA is not our file's digest");
}

TEST(SnpAttester, PrefersTheReportInterfaceAndGivesTheSameEvidence) {
  const auto tsm = std::make_shared<FakeTsm>("sev_guest", [](ByteView inblob) { return make_report(5, 0x1A, inblob); });
  tsm->set_privilege_floor(0);
  tsm->set_auxblob(TableMaker().add(kVcek, "AB").bytes());
  const auto never = [](const std::string&) -> Result<std::unique_ptr<GuestDevice>> {
    ADD_FAILURE() << "the device is not needed";
    return fail(Code::evidence_failed, "no device");
  };
  const auto evidence = SnpAttester(tsm, std::make_shared<SystemRandom>(), never, {}).evidence(kData, {});
  ASSERT_TRUE(evidence) << evidence.error().text();
  EXPECT_EQ(Rebuilder(evidence->at("attestation_report")).bytes, make_report(5, 0x1A));
  EXPECT_EQ(evidence->at("cert_chain").as_array().size(), 1U);
}

TEST(SnpAttester, RefusesAReportOverOtherBytes) {
  const auto tsm = std::make_shared<FakeTsm>("sev_guest", [](ByteView) { return make_report(3, 0x19, Bytes(64, 1)); });
  const auto evidence =
      SnpAttester(tsm, std::make_shared<SystemRandom>(), system_devices("/nowhere"), {}).evidence(kData, {});
  EXPECT_EQ(evidence.error().text(), "EVIDENCE_FAILED: the evidence is made over other report data than ours");
}

TEST(SnpAttester, NamesTheDeviceThatIsMissing) {
  const FakeRoot empty;
  const auto evidence = SnpAttester(std::make_shared<SystemFiles>(empty.text()), std::make_shared<SystemRandom>(),
                                    system_devices(empty.text()), {})
                            .evidence(kData, {});
  EXPECT_EQ(evidence.error().text(), "EVIDENCE_FAILED: cannot open /dev/sev-guest: No such file or directory");
}

}  // namespace
}  // namespace proplet::attestation
