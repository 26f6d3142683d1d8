#include "module/image_plan.h"

#include <gtest/gtest.h>

#include "ocicrypt/layer.h"

namespace proplet::module {
namespace {

struct Layer {
  std::string media_type;
  bool annotated = false;
};

oci::Manifest manifest_of(const std::vector<Layer>& layers) {
  oci::Manifest manifest{.media_type = std::string(oci::kOciManifestType),
                         .artifact_type = {},
                         .config = oci::describe("application/vnd.oci.image.config.v1+json", {}),
                         .layers = {},
                         .subject = {},
                         .annotations = {}};
  for (const auto& layer : layers) {
    manifest.layers.push_back(oci::describe(layer.media_type, {}));
    if (layer.annotated) manifest.layers.back().annotations.emplace(ocicrypt::kPublicOptionsKey, "e30=");
  }
  return manifest;
}

Result<ImagePlan> plan(const std::vector<Layer>& layers, Encryption encryption) {
  return plan_image(manifest_of(layers), encryption, "r.example/add:1");
}

const std::string kTar = "application/vnd.oci.image.layer.v1.tar";
const std::string kWasm = "application/wasm";
const std::string kRuntimeConfig = "application/vnd.module.wasm.config.v1+json";
const std::string kModule = "application/vnd.module.wasm.content.layer.v1+wasm";
const std::string kEnc = "+encrypted";

TEST(ImagePlan, KnowsEveryLayerTypePlainAndEncrypted) {
  const std::vector<std::pair<std::string, Packing>> types = {
      {kWasm, Packing::bare_module},
      {kModule, Packing::bare_module},
      {"application/vnd.wasm.content.layer.v1+wasm", Packing::bare_module},
      {"application/vnd.bytecodealliance.wasm.component.layer.v0+wasm", Packing::bare_module},
      {kTar, Packing::tar},
      {kTar + "+gzip", Packing::tar_gzip},
      {kTar + "+zstd", Packing::tar_zstd},
      {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", Packing::tar_zstd},
      {"application/vnd.oci.image.layer.nondistributable.v1.tar", Packing::tar},
      {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Packing::tar_gzip},
      {"application/vnd.docker.image.rootfs.diff.tar", Packing::tar},
      {"application/vnd.docker.image.rootfs.diff.tar.gzip", Packing::tar_gzip},
  };
  for (const auto& [type, packing] : types) {
    SCOPED_TRACE(type);
    for (const bool encrypted : {false, true}) {
      const std::vector<Layer> layers = {{type + (encrypted ? kEnc : ""), encrypted}};
      const auto right = encrypted ? Encryption::required : Encryption::forbidden;
      for (const auto encryption : {right, Encryption::either}) {
        const auto planned = plan(layers, encryption);
        ASSERT_TRUE(planned) << planned.error().text();
        EXPECT_EQ(planned->encrypted, encrypted);
        ASSERT_EQ(planned->layers.size(), 1U);
        EXPECT_EQ(planned->layers.front().index, 0U);
        EXPECT_EQ(planned->layers.front().packing, packing);
      }
      const auto wrong = plan(layers, encrypted ? Encryption::forbidden : Encryption::required);
      ASSERT_FALSE(wrong);
      EXPECT_EQ(wrong.error().code(), encrypted ? Code::media_type_unsupported : Code::not_encrypted);
    }
  }
}

TEST(ImagePlan, RefusesWhatItCannotBeSureAbout) {
  struct Case {
    std::string what;
    std::vector<Layer> layers;
    Encryption encryption;
    Code code;
  };
  const auto required = Encryption::required;
  const auto either = Encryption::either;
  const std::vector<Case> cases = {
      {"no layers", {}, either, Code::manifest_invalid},
      {"one of two layers plain", {{kTar + kEnc, true}, {kTar}}, required, Code::partly_encrypted},
      {"the plain one first", {{kTar}, {kTar + kEnc, true}}, required, Code::partly_encrypted},
      {"partly, and nobody demands anything", {{kTar}, {kTar + kEnc, true}}, either, Code::partly_encrypted},
      {"plain runtime config", {{kRuntimeConfig}, {kModule + kEnc, true}}, required, Code::partly_encrypted},
      {"suffix without annotations", {{kWasm + kEnc}}, required, Code::annotation_invalid},
      {"annotations without suffix", {{kWasm, true}}, either, Code::annotation_invalid},
      {"annotations without suffix, required", {{kWasm, true}}, required, Code::annotation_invalid},
      {"suffix twice", {{kWasm + kEnc + kEnc, true}}, required, Code::annotation_invalid},
      {"suffix in other letters", {{kWasm + "+Encrypted"}}, either, Code::media_type_unsupported},
      {"suffix not at the end", {{kWasm + kEnc + "+gzip"}}, either, Code::media_type_unsupported},
      {"a parameter", {{kWasm + ";charset=utf-8"}}, either, Code::media_type_unsupported},
      {"upper case", {{"application/WASM"}}, either, Code::media_type_unsupported},
      {"Docker's layer as zstd",
       {{"application/vnd.docker.image.rootfs.diff.tar.zstd"}},
       either,
       Code::media_type_unsupported},
      {"compressed wasm", {{kWasm + "+gzip"}}, either, Code::media_type_unsupported},
      {"unknown", {{"text/plain"}}, either, Code::media_type_unsupported},
      {"unknown, encrypted", {{"text/plain" + kEnc, true}}, required, Code::media_type_unsupported},
      {"unknown beside a module", {{kWasm}, {"text/plain"}}, either, Code::media_type_unsupported},
      {"two modules", {{kWasm}, {kWasm}}, either, Code::media_type_unsupported},
      {"two encrypted modules", {{kWasm + kEnc, true}, {kWasm + kEnc, true}}, required, Code::media_type_unsupported},
      {"a module and an archive", {{kTar}, {kWasm}}, either, Code::media_type_unsupported},
      {"a runtime config alone", {{kRuntimeConfig}}, either, Code::media_type_unsupported},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(each.what);
    const auto planned = plan(each.layers, each.encryption);
    ASSERT_FALSE(planned);
    EXPECT_EQ(planned.error().code_name(), code_info(each.code).name) << planned.error().text();
    EXPECT_NE(planned.error().text().find("r.example/add:1"), std::string::npos) << planned.error().text();
  }
}

TEST(ImagePlan, LeavesTheRuntimeConfigAside) {
  for (const bool encrypted : {false, true}) {
    const std::string suffix = encrypted ? kEnc : "";
    const auto planned =
        plan({{kRuntimeConfig + suffix, encrypted}, {kModule + suffix, encrypted}}, Encryption::either);
    ASSERT_TRUE(planned) << planned.error().text();
    EXPECT_EQ(planned->encrypted, encrypted);
    ASSERT_EQ(planned->layers.size(), 1U);
    EXPECT_EQ(planned->layers.front().index, 1U);
  }
}

TEST(ImagePlan, TakesAllArchivesFromTheLowestUp) {
  const auto planned = plan({{kTar + "+gzip"}, {kTar}, {kTar + "+gzip"}}, Encryption::forbidden);
  ASSERT_TRUE(planned);
  ASSERT_EQ(planned->layers.size(), 3U);
  EXPECT_EQ(planned->layers[0].packing, Packing::tar_gzip);
  EXPECT_EQ(planned->layers[1].packing, Packing::tar);
  EXPECT_EQ(planned->layers[2].index, 2U);
}

TEST(ImagePlan, ThePlainTypeIsWithoutOneSuffix) {
  EXPECT_EQ(plain_media_type("application/wasm+encrypted"), "application/wasm");
  EXPECT_EQ(plain_media_type("application/wasm"), "application/wasm");
}

}  // namespace
}  // namespace proplet::module
