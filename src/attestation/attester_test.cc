#include "attestation/attester.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "attestation/choice.h"
#include "attestation/detect.h"
#include "attestation/fake_guest.h"
#include "attestation/sample_attester.h"
#include "base/encoding.h"

namespace proplet::attestation {
namespace {

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
      {"dev/sev-guest", "", Tee::snp},
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

TEST(Detect, AsksTheReportInterfaceWhereThereIsNoDevice) {
  struct Case {
    std::string provider;
    std::optional<Tee> tee;
  };
  SystemRandom random;
  for (const auto& c : {Case{"tdx_guest", Tee::tdx}, Case{"sev_guest", Tee::snp}, Case{"arm_cca_guest", Tee::cca},
                        Case{"martian_guest", std::nullopt}}) {
    FakeTsm tsm(c.provider);
    EXPECT_EQ(detect(tsm, random), c.tee) << c.provider;
    EXPECT_EQ(tsm.entries(), 0U) << "nothing is left behind";
  }
  FakeTsm host("");
  host.put("/dev/sev", "");
  EXPECT_EQ(detect(host, random), std::nullopt);
}

TEST(Detect, TakesNeitherHostsNorTpmsForATee) {
  for (const auto* file : {"dev/tpm0", "dev/tpmrm0", "dev/sev", "dev/sgx_enclave", "dev/kvm", "dev/sgx_provision",
                           "sys/module/kvm_intel/parameters/tdx", "sys/module/kvm_amd/parameters/sev_snp",
                           "dev/attestation/user_report_data"}) {
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

TEST(TeeChoice, TakesForeignNamesOnlyForAProgram) {
  EXPECT_FALSE(TeeChoice::parse("keystone"));
  const auto choice = TeeChoice::parse("keystone", true);
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->text(), "keystone");
  for (const auto* text : {"Key stone", "key_stone", "k/x", "a-name-that-is-longer-than-any-tee-s"}) {
    EXPECT_FALSE(TeeChoice::parse(text, true)) << text;
  }
}

TEST(MakeAttester, NeverChoosesSampleByItself) {
  const auto attester = make_attester(TeeChoice{}, std::nullopt);
  ASSERT_FALSE(attester);
  EXPECT_EQ(attester.error().code(), Code::tee_unavailable);
  const auto program = make_attester(TeeChoice{}, std::nullopt, {.program = "/bin/cat"});
  ASSERT_FALSE(program);
  EXPECT_EQ(program.error().text(),
            "TEE_UNAVAILABLE: PROPLET_ATTESTER_PROGRAM needs PROPLET_TEE to name the TEE that it attests");
}

TEST(MakeAttester, GivesSampleWhenItIsNamed) {
  const auto attester = make_attester(*TeeChoice::parse("sample"), std::nullopt);
  ASSERT_TRUE(attester);
  EXPECT_EQ((*attester)->tee(), "sample");
}

TEST(MakeAttester, GivesTheAttesterOfTheInterfaceThatIsThere) {
  struct Case {
    std::string file, text;
    Tee tee;
  };
  for (const auto& c : {Case{"sys/kernel/config/tsm/report/.keep", "", Tee::tdx},
                        Case{"sys/kernel/config/tsm/report/.keep", "", Tee::snp},
                        Case{"sys/kernel/config/tsm/report/.keep", "", Tee::cca}, Case{"dev/sev-guest", "", Tee::snp},
                        Case{"dev/attestation/attestation_type", "dcap\n", Tee::sgx}}) {
    const FakeRoot root;
    root.write(c.file, c.text);
    const auto attester = make_attester(TeeChoice{}, c.tee, {.filesystem_root = root.text()});
    ASSERT_TRUE(attester) << c.file << ": " << attester.error().text();
    EXPECT_EQ((*attester)->tee(), tee_name(c.tee));
  }
}

TEST(MakeAttester, SaysWhatIsMissingAndWhatToDo) {
  struct Case {
    Tee tee;
    std::string_view missing, advice;
  };
  const FakeRoot root;
  root.write("dev/tdx_guest");
  for (const auto& c : {Case{Tee::tdx, "/sys/kernel/config/tsm/report", "only this machine can check"},
                        Case{Tee::snp, "/dev/sev-guest", "modprobe sev-guest"},
                        Case{Tee::cca, "/sys/kernel/config/tsm/report", "mount -t configfs"},
                        Case{Tee::sgx, "/dev/attestation/attestation_type", "Gramine"}}) {
    const auto attester = make_attester(TeeChoice{}, c.tee, {.filesystem_root = root.text()});
    ASSERT_FALSE(attester) << tee_name(c.tee);
    EXPECT_EQ(attester.error().code(), Code::tee_unavailable);
    EXPECT_NE(attester.error().text().find(c.missing), std::string::npos) << attester.error().text();
    EXPECT_NE(attester.error().text().find(c.advice), std::string::npos) << attester.error().text();
  }
}

TEST(MakeAttester, NamesTheTeeItCannotServe) {
  const auto attester = make_attester(TeeChoice{}, Tee::se);
  ASSERT_FALSE(attester);
  EXPECT_EQ(attester.error().text(),
            "UNSUPPORTED: detected se, for which there is no attester here; PROPLET_ATTESTER_PROGRAM can name one "
            "(docs/tee.md)");
  for (const auto* name : {"csv", "se", "az-snp-vtpm", "az-tdx-vtpm", "tpm"}) {
    const auto named = make_attester(*TeeChoice::parse(name), std::nullopt);
    ASSERT_FALSE(named);
    EXPECT_EQ(named.error().code(), Code::unsupported) << name;
  }
}

TEST(MakeAttester, RefusesWhenSwitchedOffOrInAnotherTee) {
  EXPECT_EQ(make_attester(*TeeChoice::parse("off"), Tee::tdx).error().code(), Code::tee_unavailable);
  EXPECT_EQ(make_attester(*TeeChoice::parse("off"), Tee::tdx, {.program = "/bin/cat"}).error().code(),
            Code::tee_unavailable);
  EXPECT_EQ(make_attester(*TeeChoice::parse("snp"), Tee::tdx).error().text(),
            "TEE_UNAVAILABLE: snp was asked for, but this is tdx");
}

TEST(ReportData, OfAGuestIsNeverThatOfASession) {
  json::object key;
  key["kty"] = "EC";
  const auto session = ReportData::for_session(crypto::DigestAlgorithm::sha384, "nonce", key, "");
  // The very text that a session hashes, chosen by a guest.
  const std::string text = R"({"additional-evidence":"","nonce":"nonce","tee-pubkey":{"kty":"EC"}})";
  EXPECT_TRUE(std::ranges::equal(session.digest(), crypto::digest(crypto::DigestAlgorithm::sha384, bytes_of(text))));
  for (const auto* task : {"", "task", "{"}) {
    const auto guest = ReportData::for_guest(task, bytes_of(text));
    EXPECT_EQ(guest.digest().size(), 48U);
    EXPECT_FALSE(std::ranges::equal(guest.digest(), session.digest())) << task;
  }
}

TEST(ReportData, OfAGuestTellsTasksAndBytesApart) {
  const auto hex = [](std::string_view task, std::string_view data) {
    return hex_encode(ReportData::for_guest(task, bytes_of(data)).digest());
  };
  EXPECT_EQ(hex("a", "bc"), hex("a", "bc"));
  EXPECT_NE(hex("a", "bc"), hex("ab", "c"));
  EXPECT_NE(hex("a", "bc"), hex("b", "bc"));
  EXPECT_NE(hex("a", ""), hex("", "a"));
}

TEST(ReportData, IsFilledWithZerosForHardware) {
  const auto data = ReportData::for_guest("task", {});
  const auto field = data.padded();
  EXPECT_TRUE(std::ranges::equal(ByteView(field).first(48), data.digest()));
  EXPECT_TRUE(std::ranges::all_of(ByteView(field).subspan(48), [](auto byte) { return byte == 0; }));
}

TEST(SampleAttester, EncodesTheDigestWithoutPadding) {
  // Vector B of the protocol.
  const auto key = *json::parse_object(
      R"({"kty":"EC","crv":"P-256","alg":"ECDH-ES+A256KW","x":"v049xN_PP2uk72wcqEsj8NQ98Ban42TqK_fiylt9nsw",)"
      R"("y":"M1hcjShP2d4wAIUjN73u9xnaSAKfCDLg1zjAxSp0jE8"})");
  const auto data =
      ReportData::for_session(crypto::DigestAlgorithm::sha384, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", key, "");
  const auto evidence = SampleAttester().evidence(data, {});
  ASSERT_TRUE(evidence);
  EXPECT_EQ(json::canonical(*evidence),
            R"({"report_data":"/kK6GfdcAnU/wEjrQNq/SUJtZAYcMAkY78DMywQLEpiXFwltlgbGWt2SyE1DL0k5","svn":"1"})");
}

}  // namespace
}  // namespace proplet::attestation
