#include "oci/reference.h"

#include <gtest/gtest.h>

namespace proplet::oci {
namespace {

const std::string kHex(64, 'a');
const std::string kDigest = "sha256:" + kHex;

struct Case {
  std::string text, api_host, repository, selector, canonical;
};

TEST(Reference, ExpandsShortForms) {
  const std::string hub = "registry-1.docker.io";
  const Case cases[] = {
      {"nginx", hub, "library/nginx", "latest", "docker.io/library/nginx:latest"},
      {"acme/tee-wasm:encrypted", hub, "acme/tee-wasm", "encrypted", "docker.io/acme/tee-wasm:encrypted"},
      {"docker.io/library/nginx@" + kDigest, hub, "library/nginx", kDigest, "docker.io/library/nginx@" + kDigest},
      {"index.docker.io/nginx", hub, "library/nginx", "latest", "docker.io/library/nginx:latest"},
      {"ghcr.io/acme/w:1@" + kDigest, "ghcr.io", "acme/w", kDigest, "ghcr.io/acme/w:1@" + kDigest},
      {"localhost:5000/w", "localhost:5000", "w", "latest", "localhost:5000/w:latest"},
      {"localhost/w", "localhost", "w", "latest", "localhost/w:latest"},
      {"localhost:5000", hub, "library/localhost", "5000", "docker.io/library/localhost:5000"},
      {"registry/w", hub, "registry/w", "latest", "docker.io/registry/w:latest"},
      {"127.0.0.1:5001/w:v1", "127.0.0.1:5001", "w", "v1", "127.0.0.1:5001/w:v1"},
      {"r.test/a__b/c-d--e/f.g:_T.1-x", "r.test", "a__b/c-d--e/f.g", "_T.1-x", "r.test/a__b/c-d--e/f.g:_T.1-x"},
  };
  for (const auto& expected : cases) {
    const auto reference = Reference::parse(expected.text);
    ASSERT_TRUE(reference) << expected.text << ": " << reference.error().text();
    EXPECT_EQ(reference->api_host(), expected.api_host) << expected.text;
    EXPECT_EQ(reference->repository(), expected.repository) << expected.text;
    EXPECT_EQ(reference->selector(), expected.selector) << expected.text;
    EXPECT_EQ(reference->text(), expected.canonical) << expected.text;
    EXPECT_EQ(*Reference::parse(reference->text()), *reference) << expected.text;
  }
}

TEST(Reference, RefusesEverythingElse) {
  const std::string cases[] = {
      "",
      kHex,
      "docker://nginx",
      "https://r.test/a",
      "Nginx",
      "r.test/Acme/w",
      "r.test/",
      "r.test//a",
      "/a",
      "a/",
      "a:",
      "a:-tag",
      "a:" + std::string(129, 't'),
      "a@sha256:" + std::string(63, 'a'),
      "a@sha256:" + std::string(64, 'A'),
      "a@md5:" + std::string(32, 'a'),
      "a@" + kDigest + "@" + kDigest,
      "r.test/../etc",
      "r.test/a/./b",
      "r.test/.a",
      "r.test/a.",
      "r.test/a..b",
      "r.test/a___b",
      "r.test/a.-b",
      "r.test/a?b",
      "r.test/a%2fb",
      "r.test/a b",
      "r.test/a\nb",
      "user@r.test/a",
      "-r.test/a",
      "r..test/a",
      "r.test:/a",
      "r.test:port/a",
      "[::1]:5000/a",
      "r.test/" + std::string(256, 'a'),
  };
  for (const auto& text : cases) {
    const auto reference = Reference::parse(text);
    ASSERT_FALSE(reference) << text;
    EXPECT_EQ(reference.error().code(), Code::reference_invalid) << text;
  }
}

TEST(Digest, AcceptsThreeAlgorithmsAndNothingElse) {
  const std::pair<std::string, int> good[] = {{"sha256", 64}, {"sha384", 96}, {"sha512", 128}};
  for (const auto& [name, digits] : good) {
    const auto hex = std::string(static_cast<std::size_t>(digits), '0');
    const auto digest = Digest::parse(name + ":" + hex);
    ASSERT_TRUE(digest) << name;
    EXPECT_EQ(digest->algorithm_name(), name);
    EXPECT_EQ(digest->hex(), hex);
    EXPECT_FALSE(Digest::parse(name + ":" + hex + "0"));
    EXPECT_FALSE(Digest::parse(name + ":" + hex.substr(1)));
    EXPECT_FALSE(Digest::parse(name + ":../../" + hex.substr(6)));  // CVE-2024-3727
  }
  for (const auto* const text : {"", "sha256", "sha256:", ":", "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709"}) {
    EXPECT_FALSE(Digest::parse(text)) << text;
  }
}

TEST(Digest, OfBytesIsTheKnownOne) {
  EXPECT_EQ(Digest::of(bytes_of("{}")).text(),
            "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
  const auto sha512 = Digest::of(bytes_of("abc"), Digest::Algorithm::sha512);
  EXPECT_EQ(sha512.hex().substr(0, 16), "ddaf35a193617aba");
  EXPECT_TRUE(verify_digest(bytes_of("abc"), sha512));
  const auto wrong = verify_digest(bytes_of("abd"), sha512);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code(), Code::digest_mismatch);
}

}  // namespace
}  // namespace proplet::oci
