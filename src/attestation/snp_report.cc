#include "attestation/snp_report.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "attestation/little_endian.h"
#include "base/encoding.h"

namespace proplet::attestation {
namespace {

// A byte string of the report.
struct Field {
  std::string_view name;
  std::size_t offset;
  std::size_t size;
};
constexpr auto kByteFields = std::to_array<Field>({
    {"family_id", 0x10, 16},
    {"image_id", 0x20, 16},
    {"report_data", 0x50, 64},
    {"measurement", 0x90, 48},
    {"host_data", 0xC0, 32},
    {"id_key_digest", 0xE0, 48},
    {"author_key_digest", 0x110, 48},
    {"report_id", 0x140, 32},
    {"report_id_ma", 0x160, 32},
    {"chip_id", 0x1A0, 64},
});
constexpr auto kTcbFields = std::to_array<std::pair<std::string_view, std::size_t>>(
    {{"current_tcb", 0x38}, {"reported_tcb", 0x180}, {"committed_tcb", 0x1E0}, {"launch_tcb", 0x1F0}});
constexpr std::size_t kCpuId = 0x188;  // family, model, stepping
constexpr std::size_t kCurrentVersion = 0x1E8;
constexpr std::size_t kCommittedVersion = 0x1EC;
constexpr std::size_t kLaunchMitigations = 0x1F8;
constexpr std::size_t kCurrentMitigations = 0x200;
constexpr std::size_t kSignatureR = 0x2A0;
constexpr std::size_t kSignatureS = 0x2E8;
constexpr std::size_t kScalarBytes = 72;
constexpr std::uint8_t kTurinFamily = 0x1A;

json::array numbers(ByteView bytes) { return json::array(bytes.begin(), bytes.end()); }

// Families before Turin have no FMC and lay the eight bytes out in another order.
json::object tcb_json(ByteView tcb, bool turin) {
  json::object object;
  if (turin) {
    object["fmc"] = tcb[0];
    object["bootloader"] = tcb[1];
    object["tee"] = tcb[2];
    object["snp"] = tcb[3];
  } else {
    object["fmc"] = nullptr;
    object["bootloader"] = tcb[0];
    object["tee"] = tcb[1];
    object["snp"] = tcb[6];
  }
  object["microcode"] = tcb[7];
  return object;
}

json::object version_json(ByteView version) {
  json::object object;
  object["major"] = version[2];
  object["minor"] = version[1];
  object["build"] = version[0];
  return object;
}

json::value since(std::uint32_t first_version, std::uint32_t version, json::value value) {
  return version >= first_version ? std::move(value) : json::value(nullptr);
}

struct CertificateKind {
  std::string_view guid;
  std::string_view name;
};
constexpr auto kCertificateKinds = std::to_array<CertificateKind>({
    {"c0b406a4-a803-4952-9743-3fb6014cd0ae", "ARK"},
    {"4ab7b379-bbac-4fe4-a02f-05aef327c782", "ASK"},
    {"63da758d-e664-4564-adc5-f4b93be8accd", "VCEK"},
    {"a8074bc2-a25a-483e-aae6-39c045a0b8a1", "VLEK"},
    {"92f81bc3-5811-4d3d-97ff-d19f88dc67ea", "CRL"},
    {"00000000-0000-0000-0000-000000000000", "Empty"},
});
constexpr std::size_t kGuidBytes = 16;
constexpr std::size_t kEntryBytes = kGuidBytes + 8;  // offset and length behind it
constexpr std::size_t kMaxCertificates = 32;

std::string guid_text(ByteView guid) {
  std::string text = hex_encode(guid);
  for (const unsigned dash : {8U, 13U, 18U, 23U}) text.insert(dash, 1, '-');
  return text;
}

json::value certificate_type(const std::string& guid) {
  const auto* kind = std::ranges::find(kCertificateKinds, guid, &CertificateKind::guid);
  if (kind != kCertificateKinds.end()) return json::value(kind->name);
  json::object other;
  other["OTHER"] = guid;
  return json::value(std::move(other));
}

}  // namespace

Result<json::value> snp_report_json(ByteView bytes) {
  if (bytes.size() < kSnpReportBytes) {
    return fail(Code::evidence_failed, "a report of {} bytes; expected {}", bytes.size(), kSnpReportBytes);
  }
  const auto version = little_endian<std::uint32_t>(bytes, 0);
  if (version < 3 || version > 5) {
    return fail(Code::evidence_failed, "a report of version {}; key brokers read 3 to 5{}", version,
                version < 3 ? ", which need newer SEV firmware on the host" : "");
  }
  const bool turin = bytes[kCpuId] >= kTurinFamily;
  json::object report;
  report["version"] = version;
  report["guest_svn"] = little_endian<std::uint32_t>(bytes, 0x04);
  report["policy"] = little_endian<std::uint64_t>(bytes, 0x08);
  report["vmpl"] = little_endian<std::uint32_t>(bytes, 0x30);
  report["sig_algo"] = little_endian<std::uint32_t>(bytes, 0x34);
  report["plat_info"] = little_endian<std::uint64_t>(bytes, 0x40);
  report["key_info"] = little_endian<std::uint32_t>(bytes, 0x48);
  for (const auto& field : kByteFields) report[field.name] = numbers(bytes.subspan(field.offset, field.size));
  for (const auto& [name, offset] : kTcbFields) report[name] = tcb_json(bytes.subspan(offset, 8), turin);
  report["cpuid_fam_id"] = bytes[kCpuId];
  report["cpuid_mod_id"] = bytes[kCpuId + 1];
  report["cpuid_step"] = bytes[kCpuId + 2];
  report["current"] = version_json(bytes.subspan(kCurrentVersion, 3));
  report["committed"] = version_json(bytes.subspan(kCommittedVersion, 3));
  report["launch_mit_vector"] = since(5, version, little_endian<std::uint64_t>(bytes, kLaunchMitigations));
  report["current_mit_vector"] = since(5, version, little_endian<std::uint64_t>(bytes, kCurrentMitigations));
  json::object signature;
  signature["r"] = numbers(bytes.subspan(kSignatureR, kScalarBytes));
  signature["s"] = numbers(bytes.subspan(kSignatureS, kScalarBytes));
  report["signature"] = std::move(signature);
  return json::value(std::move(report));
}

ByteView snp_report_data(ByteView report) { return report.subspan(0x50, 64); }
ByteView snp_host_data(ByteView report) { return report.subspan(0xC0, 32); }

Result<json::value> snp_certificates_json(ByteView table) {
  json::array certificates;
  bool signer = false;
  for (std::size_t at = 0; !table.empty(); at += kEntryBytes) {
    if (table.size() - at < kEntryBytes || certificates.size() > kMaxCertificates) {
      return fail(Code::evidence_failed, "the host's certificate table has no end");
    }
    const ByteView entry = table.subspan(at, kEntryBytes);
    if (std::ranges::all_of(entry, [](std::uint8_t byte) { return byte == 0; })) break;
    const std::size_t offset = little_endian<std::uint32_t>(entry, kGuidBytes);
    const std::size_t length = little_endian<std::uint32_t>(entry, kGuidBytes + 4);
    if (offset > table.size() || length > table.size() - offset) {
      return fail(Code::evidence_failed, "a certificate lies outside the host's table");
    }
    json::object certificate;
    auto type = certificate_type(guid_text(entry.first(kGuidBytes)));
    signer = signer || type == json::value("VCEK") || type == json::value("VLEK");
    certificate["cert_type"] = std::move(type);
    certificate["data"] = numbers(table.subspan(offset, length));
    certificates.emplace_back(std::move(certificate));
  }
  return signer ? json::value(std::move(certificates)) : json::value(nullptr);
}

}  // namespace proplet::attestation
