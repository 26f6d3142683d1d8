#include "oci/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "oci/platform.h"

namespace proplet::oci {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');
const std::string kConfig =
    R"({"mediaType":"application/vnd.wasm.config.v1+json","digest":")" + kDigest + R"(","size":2})";
const std::string kLayer = R"({"mediaType":"application/wasm","digest":")" + kDigest + R"(","size":7})";
const std::string kType(kOciManifestType);
const std::string kIndexType(kOciIndexType);

std::string manifest_with(const std::string& config, const std::string& layers, const std::string& more = "") {
  return R"({"schemaVersion":2,"config":)" + config + R"(,"layers":[)" + layers + "]" + more + "}";
}

std::string layer_with(const std::string& members) {
  return manifest_with(kConfig, R"({"mediaType":"application/wasm",)" + members + "}");
}

TEST(Manifest, ReadsWhatToolsWrite) {
  const auto text = manifest_with(kConfig, kLayer, R"(,"annotations":{"a":"b"},"unknown":{"x":[1]})");
  for (const auto& type : {kType, std::string(kDockerManifestType), kType + "; charset=utf-8", std::string(),
                           std::string("Application/Vnd.OCI.image.manifest.v1+JSON")}) {
    const auto manifest = parse_manifest(text, type);
    ASSERT_TRUE(manifest) << type << manifest.error().text();
    EXPECT_EQ(manifest->layers.at(0).size, 7U);
    EXPECT_EQ(manifest->layers.at(0).digest.text(), kDigest);
    EXPECT_EQ(manifest->config.media_type, "application/vnd.wasm.config.v1+json");
    EXPECT_EQ(manifest->annotations.at("a"), "b");
  }
}

TEST(Manifest, RefusesDocumentsThatTwoReadersCouldSeeDifferently) {
  const std::pair<std::string, std::string> cases[] = {
      // CVE-2021-41190: members of both kinds, with and without a mediaType, under either Content-Type.
      {manifest_with(kConfig, kLayer, R"(,"manifests":[])"), kType},
      {manifest_with(kConfig, kLayer, R"(,"manifests":[])"), kIndexType},
      {manifest_with(kConfig, kLayer, R"(,"manifests":[],"mediaType":")" + kType + "\""), ""},
      {R"({"schemaVersion":2,"manifests":[],"layers":[]})", kIndexType},
      {R"({"schemaVersion":2,"manifests":[],"config":null})", kIndexType},
      // The type and the members disagree.
      {manifest_with(kConfig, kLayer), kIndexType},
      {R"({"schemaVersion":2,"manifests":[]})", kType},
      // The document and its sender disagree.
      {manifest_with(kConfig, kLayer, R"(,"mediaType":")" + kType + "\""), std::string(kDockerManifestType)},
      {manifest_with(kConfig, kLayer, R"(,"mediaType":")" + kIndexType + "\""), kType},
      {manifest_with(kConfig, kLayer, R"(,"mediaType":7)"), kType},
      // Twice the same member.
      {manifest_with(kConfig, kLayer, R"(,"layers":[])"), kType},
      {manifest_with(kConfig, kLayer, R"(,"l\u0061yers":[])"), kType},
      {manifest_with(kConfig, kLayer) + "{}", kType},
      {R"({"schemaVersion":2})", kType},
      {R"({"schemaVersion":"2","config":{},"layers":[]})", kType},
      {R"({"schemaVersion":3,"config":{},"layers":[]})", kType},
      {"[]", kType},
      {"", kType},
      {"\xff", kType},
  };
  for (const auto& [text, type] : cases) {
    const auto document = parse_document(text, type);
    ASSERT_FALSE(document) << text;
    EXPECT_EQ(document.error().code(), Code::manifest_invalid) << text << document.error().text();
  }
}

TEST(Manifest, RefusesForeignTypes) {
  const std::pair<std::string, std::string> cases[] = {
      {R"({"schemaVersion":1,"fsLayers":[],"history":[]})",
       "application/vnd.docker.distribution.manifest.v1+prettyjws"},
      {manifest_with(kConfig, kLayer), "application/json"},
      {manifest_with(kConfig, kLayer), "text/html"},
  };
  for (const auto& [text, type] : cases) {
    const auto document = parse_document(text, type);
    ASSERT_FALSE(document) << text;
    EXPECT_EQ(document.error().code(), Code::media_type_unsupported) << text;
  }
}

TEST(Manifest, RefusesBadDescriptorsAndNamesTheMember) {
  const std::string digest = R"("digest":")" + kDigest + "\"";
  const std::pair<std::string, std::string> cases[] = {
      {layer_with(digest), "layers[0].size"},
      {layer_with(digest + R"(,"size":-1)"), "layers[0].size"},
      {layer_with(digest + R"(,"size":1.5)"), "layers[0].size"},
      {layer_with(digest + R"(,"size":"7")"), "layers[0].size"},
      {layer_with(digest + R"(,"size":18446744073709551615)"), "layers[0].size"},
      {layer_with(R"("size":7)"), "layers[0].digest"},
      {layer_with(R"("size":7,"digest":"sha256:../../../etc/passwd")"), "layers[0].digest"},
      {layer_with(digest + R"(,"size":7,"urls":["https://evil.test/blob"])"), "layers[0].urls"},
      {layer_with(digest + R"(,"size":7,"annotations":{"a":1})"), "layers[0].annotations"},
      {layer_with(digest + R"(,"size":7,"annotations":[])"), "layers[0].annotations"},
      {manifest_with(kConfig, R"({"mediaType":"a b",)" + digest + R"(,"size":7})"), "layers[0].mediaType"},
      {manifest_with(kConfig, kLayer + ",7"), "layers[1]"},
      {manifest_with("{}", kLayer), "config.mediaType"},
      {manifest_with("null", kLayer), "config"},
      {manifest_with(kConfig, kLayer, R"(,"subject":{})"), "subject.mediaType"},
  };
  for (const auto& [text, member] : cases) {
    const auto manifest = parse_manifest(text, kType);
    ASSERT_FALSE(manifest) << text;
    EXPECT_EQ(manifest.error().code(), Code::manifest_invalid) << text;
    EXPECT_THAT(manifest.error().text(), testing::HasSubstr(member));
  }
}

TEST(Manifest, HasLimits) {
  std::string layers = kLayer;
  for (std::size_t i = 1; i < kMaxLayers; ++i) layers += "," + kLayer;
  EXPECT_TRUE(parse_manifest(manifest_with(kConfig, layers), kType));
  EXPECT_EQ(parse_manifest(manifest_with(kConfig, layers + "," + kLayer), kType).error().code(), Code::size_limit);
  const auto large = manifest_with(kConfig, kLayer, ",\"x\":\"" + std::string(kMaxManifestBytes, 'x') + "\"");
  EXPECT_EQ(parse_manifest(large, kType).error().code(), Code::size_limit);
}

TEST(Manifest, WritesCompactJsonInTheOrderOfTheSpecification) {
  const auto manifest = parse_manifest(manifest_with(kConfig, kLayer, R"(,"annotations":{"z":"1","a":"2"})"), kType);
  ASSERT_TRUE(manifest);
  const auto text = serialize(*manifest);
  EXPECT_EQ(text, R"({"schemaVersion":2,"mediaType":")" + kType + R"(","config":)" + kConfig + R"(,"layers":[)" +
                      kLayer + R"(],"annotations":{"a":"2","z":"1"}})");
  EXPECT_EQ(*parse_manifest(text, kType), *manifest);
}

std::string entry(const std::string& platform, const std::string& more = "") {
  return R"({"mediaType":")" + kType + R"(","digest":")" + kDigest + R"(","size":7)" +
         (platform.empty() ? "" : R"(,"platform":)" + platform) + more + "}";
}
std::string platform(const std::string& os, const std::string& architecture) {
  return R"({"os":")" + os + R"(","architecture":")" + architecture + "\"}";
}
Result<Candidates> candidates_of(const std::vector<std::string>& entries) {
  std::string list;
  for (const auto& text : entries) list += (list.empty() ? "" : ",") + text;
  return wasm_candidates(*parse_index(R"({"schemaVersion":2,"manifests":[)" + list + "]}", kIndexType));
}

TEST(Platform, PrefersWebAssemblyInstances) {
  const auto linux_entry = entry(platform("linux", "amd64"));
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{linux_entry, entry(platform("wasi", "wasm")), entry(platform("wasip1", "wasm"))}, "wasip1"},
      {{entry(platform("wasip1", "wasm")), entry(platform("wasip2", "wasm"))}, "wasip2"},
      {{linux_entry, entry(platform("wasi", "wasm"))}, "wasi"},
      {{linux_entry}, "linux"},  // the only entry
  };
  for (const auto& [entries, os] : cases) {
    const auto candidates = candidates_of(entries);
    ASSERT_TRUE(candidates);
    EXPECT_TRUE(candidates->certain);
    EXPECT_EQ(candidates->entries.at(0).platform->os, os);
  }
}

TEST(Platform, NeverGuesses) {
  const auto linux_entry = entry(platform("linux", "amd64"));
  EXPECT_FALSE(candidates_of({linux_entry, entry(platform("linux", "arm64"))}));
  EXPECT_FALSE(candidates_of({linux_entry, entry(platform("js", "wasm"))}));
  EXPECT_FALSE(candidates_of({}));
  const auto unnamed = candidates_of({linux_entry, entry(""), entry("")});
  ASSERT_TRUE(unnamed);
  EXPECT_FALSE(unnamed->certain);
  EXPECT_EQ(unnamed->entries.size(), 2U);
}

TEST(Platform, SkipsBuildAttestations) {
  const auto attestation =
      entry(platform("unknown", "unknown"), R"(,"annotations":{"vnd.docker.reference.type":"attestation-manifest"})");
  const auto candidates = candidates_of({attestation, entry(platform("linux", "amd64"))});
  ASSERT_TRUE(candidates);
  EXPECT_EQ(candidates->entries.at(0).platform->os, "linux");
}

}  // namespace
}  // namespace proplet::oci
