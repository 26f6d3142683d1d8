#include "attestation/attester.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "attestation/choice.h"
#include "attestation/detect.h"
#include "attestation/sample_attester.h"
#include "base/encoding.h"

namespace proplet::attestation {
namespace {

namespace fs = std::filesystem;

// A guest's file system, empty at first.
class FakeRoot {
 public:
  FakeRoot() {
    std::string name = (fs::temp_directory_path() / "proplet-root-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~FakeRoot() { fs::remove_all(path_); }
  FakeRoot(const FakeRoot&) = delete;
  FakeRoot& operator=(const FakeRoot&) = delete;

  void write(const std::string& relative, const std::string& text = "") const {
    const auto file = path_ / relative;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  [[nodiscard]] std::string text() const { return path_.string(); }

 private:
  fs::path path_;
};

TEST(TeeName, SurvivesARoundTripForEveryKind) {
  for (const auto tee : {Tee::sample, Tee::tdx, Tee::snp, Tee::sgx, Tee::cca, Tee::csv, Tee::se, Tee::az_snp_vtpm,
                         Tee::az_tdx_vtpm, Tee::tpm}) {
    EXPECT_EQ(tee_from_name(tee_name(tee)), tee) << tee_name(tee);
  }
  EXPECT_EQ(tee_from_name("martian"), std::nullopt);
  EXPECT_EQ(tee_from_name("TDX"), std::nullopt);
}

TEST(Detect, FindsTheTeeByItsGuestInterface) {
  struct Case {
    std::string file, text;
    Tee tee;
  };
  const Case cases[] = {
      {"dev/tdx_guest", "", Tee::tdx},
      {"dev/attestation/attestation_type", "dcap", Tee::sgx},
      {"sys/devices/platform/sev-guest/uevent", "", Tee::snp},
      {"dev/csv-guest", "", Tee::csv},
      {"sys/devices/platform/arm-cca-dev/uevent", "", Tee::cca},
      {"sys/firmware/uv/prot_virt_guest", "1\n", Tee::se},
  };
  for (const auto& c : cases) {
    const FakeRoot root;
    root.write(c.file, c.text);
    EXPECT_EQ(detect(root.text()), c.tee) << c.file;
  }
}

TEST(Detect, TakesNeitherHostsNorTpmsForATee) {
  for (const auto* file : {"dev/tpm0", "dev/tpmrm0", "dev/sev", "dev/sgx_enclave", "dev/kvm",
                           "sys/module/kvm_intel/parameters/tdx", "dev/attestation/user_report_data"}) {
    const FakeRoot root;
    root.write(file, "Y\n");
    EXPECT_EQ(detect(root.text()), std::nullopt) << file;
  }
  const FakeRoot other;
  other.write("dev/attestation/attestation_type", "none");
  other.write("sys/firmware/uv/prot_virt_guest", "0\n");
  EXPECT_EQ(detect(other.text()), std::nullopt);
}

TEST(TeeChoice, ReadsWhatOperatorsWrite) {
  EXPECT_EQ(TeeChoice::parse("")->mode, TeeChoice::Mode::automatic);
  for (const auto* text : {"auto", "off", "sample", "tdx", "az-snp-vtpm"}) {
    const auto choice = TeeChoice::parse(text);
    ASSERT_TRUE(choice) << text;
    EXPECT_EQ(choice->text(), text);
  }
  for (const auto* text : {"Auto", "yes", "tdx,snp", " tdx"}) {
    const auto choice = TeeChoice::parse(text);
    ASSERT_FALSE(choice) << text;
    EXPECT_EQ(choice.error().code(), Code::config_invalid);
  }
}

TEST(MakeAttester, NeverChoosesSampleByItself) {
  const auto attester = make_attester(TeeChoice{}, std::nullopt);
  ASSERT_FALSE(attester);
  EXPECT_EQ(attester.error().code(), Code::tee_unavailable);
}

TEST(MakeAttester, GivesSampleWhenItIsNamed) {
  const auto attester = make_attester(*TeeChoice::parse("sample"), std::nullopt);
  ASSERT_TRUE(attester);
  EXPECT_EQ((*attester)->tee(), Tee::sample);
}

TEST(MakeAttester, NamesTheTeeItCannotServe) {
  const auto detected = make_attester(TeeChoice{}, Tee::tdx);
  ASSERT_FALSE(detected);
  EXPECT_EQ(detected.error().text(), "UNSUPPORTED: detected tdx; this version cannot produce its evidence yet");
  const auto named = make_attester(*TeeChoice::parse("snp"), std::nullopt);
  ASSERT_FALSE(named);
  EXPECT_EQ(named.error().text(), "UNSUPPORTED: asked for snp; this version cannot produce its evidence yet");
}

TEST(MakeAttester, RefusesWhenSwitchedOffOrInAnotherTee) {
  EXPECT_EQ(make_attester(*TeeChoice::parse("off"), Tee::tdx).error().code(), Code::tee_unavailable);
  EXPECT_EQ(make_attester(*TeeChoice::parse("snp"), Tee::tdx).error().text(),
            "TEE_UNAVAILABLE: snp was asked for, but this is tdx");
}

TEST(SampleAttester, EncodesTheDigestWithoutPadding) {
  const auto digest =
      hex_decode("fe42ba19f75c02753fc048eb40dabf49426d64061c300918efc0cccb040b12989717096d9606c65add92c84d432f4939");
  const auto evidence = SampleAttester().evidence(*digest, {});
  ASSERT_TRUE(evidence);
  EXPECT_EQ(json::canonical(*evidence),
            R"({"report_data":"/kK6GfdcAnU/wEjrQNq/SUJtZAYcMAkY78DMywQLEpiXFwltlgbGWt2SyE1DL0k5","svn":"1"})");
}

}  // namespace
}  // namespace proplet::attestation
