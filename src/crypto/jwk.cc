#include "crypto/jwk.h"

#include <array>

#include "base/encoding.h"
#include "base/secret_bytes.h"
#include "crypto/secret_json.h"

namespace proplet::crypto::jwk {
namespace {

constexpr std::size_t kMaxNumberSize = 4096 / 8 + 1;  // bytes of an RSA number; larger keys are refused anyway
constexpr std::size_t kEd25519Size = 32;

struct Curve {
  KeyKind kind;
  std::string_view name;
  const char* group;
  int nid;
  std::size_t size;
};

constexpr std::array<Curve, 3> kCurves = {{
    {KeyKind::p256, "P-256", SN_X9_62_prime256v1, NID_X9_62_prime256v1, 32},
    {KeyKind::p384, "P-384", SN_secp384r1, NID_secp384r1, 48},
    {KeyKind::p521, "P-521", SN_secp521r1, NID_secp521r1, 66},
}};

Result<std::string_view> member(const json::object& jwk, std::string_view name) {
  auto text = string_member(jwk, name);
  if (!text) return fail(Code::key_invalid, "JWK {}", text.error().message());
  return *text;
}

Result<SecretBytes> octets(const json::object& jwk, std::string_view name) {
  TRY_ASSIGN(const auto text, member(jwk, name));
  auto bytes = base64url_decode_secret(text);
  if (!bytes) return fail(Code::key_invalid, "JWK member {} is not base64url", name);
  return std::move(*bytes);
}

Result<SecretBytes> octets_of_size(const json::object& jwk, std::string_view name, std::size_t size) {
  TRY_ASSIGN(auto bytes, octets(jwk, name));
  if (bytes.size() != size) {
    return fail(Code::key_invalid, "JWK member {} has {} bytes, not {}", name, bytes.size(), size);
  }
  return bytes;
}

// Base64urlUInt of RFC 7518 section 2: minimal, no leading zero byte.
Result<openssl::Number> number(const json::object& jwk, std::string_view name) {
  TRY_ASSIGN(const auto bytes, octets(jwk, name));
  const auto view = bytes.view();
  if (view.empty() || view.size() > kMaxNumberSize || view.front() == 0) {
    return fail(Code::key_invalid, "JWK member {} is not a minimal number of at most 4096 bits", name);
  }
  openssl::Number number(BN_secure_new());
  openssl::require(number != nullptr, "BN_secure_new");
  openssl::require(BN_bin2bn(view.data(), static_cast<int>(view.size()), number.get()) != nullptr, "BN_bin2bn");
  return number;
}

Result<openssl::Key> from_params(const char* type, int selection, OSSL_PARAM* params) {
  const openssl::KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  openssl::require(context != nullptr, "EVP_PKEY_CTX_new_from_name");
  openssl::require(EVP_PKEY_fromdata_init(context.get()) == 1, "EVP_PKEY_fromdata_init");
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_fromdata(context.get(), &key, selection, params) != 1) {
    return openssl::failure(Code::key_invalid, "not a valid key");
  }
  return openssl::Key(key);
}

Result<openssl::Key> from_builder(const char* type, int selection, const openssl::ParamBuilder& builder) {
  const openssl::Params params(OSSL_PARAM_BLD_to_param(builder.get()));
  openssl::require(params != nullptr, "OSSL_PARAM_BLD_to_param");
  return from_params(type, selection, params.get());
}

openssl::ParamBuilder new_builder() {
  openssl::ParamBuilder builder(OSSL_PARAM_BLD_new());
  openssl::require(builder != nullptr, "OSSL_PARAM_BLD_new");
  return builder;
}

void push(const openssl::ParamBuilder& builder, const char* name, const openssl::Number& number) {
  openssl::require(OSSL_PARAM_BLD_push_BN(builder.get(), name, number.get()) == 1, "OSSL_PARAM_BLD_push_BN");
}

const Curve* curve_of(KeyKind kind) {
  for (const auto& curve : kCurves) {
    if (curve.kind == kind) return &curve;
  }
  return nullptr;
}

Result<const Curve*> named_curve(const json::object& jwk) {
  TRY_ASSIGN(const auto name, member(jwk, "crv"));
  for (const auto& curve : kCurves) {
    if (curve.name == name) return &curve;
  }
  return fail(Code::key_invalid, "JWK curve is none of P-256, P-384 and P-521");
}

// An uncompressed point (SEC 1 section 2.3.3). OpenSSL checks that it lies on the curve when it reads it.
Result<Bytes> uncompressed_point(const json::object& jwk, const Curve& curve) {
  TRY_ASSIGN(const auto x, octets_of_size(jwk, "x", curve.size));
  TRY_ASSIGN(const auto y, octets_of_size(jwk, "y", curve.size));
  Bytes point = {0x04};
  point.insert(point.end(), x.view().begin(), x.view().end());
  point.insert(point.end(), y.view().begin(), y.view().end());
  return point;
}

Result<openssl::Key> ec_key(const Curve& curve, ByteView point, ByteView scalar) {
  const auto builder = new_builder();
  openssl::require(OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.group, 0) == 1,
                   "OSSL_PARAM_BLD_push_utf8_string");
  openssl::require(
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) == 1,
      "OSSL_PARAM_BLD_push_octet_string");
  if (scalar.empty()) return from_builder("EC", EVP_PKEY_PUBLIC_KEY, builder);
  const openssl::Number number(BN_secure_new());
  openssl::require(number != nullptr, "BN_secure_new");
  openssl::require(BN_bin2bn(scalar.data(), static_cast<int>(scalar.size()), number.get()) != nullptr, "BN_bin2bn");
  push(builder, OSSL_PKEY_PARAM_PRIV_KEY, number);
  return from_builder("EC", EVP_PKEY_KEYPAIR, builder);
}

Result<openssl::Key> import_ec(const json::object& jwk, bool with_private) {
  TRY_ASSIGN(const auto* curve, named_curve(jwk));
  TRY_ASSIGN(const auto point, uncompressed_point(jwk, *curve));
  if (!with_private) return ec_key(*curve, point, {});
  TRY_ASSIGN(const auto scalar, octets_of_size(jwk, "d", curve->size));
  return ec_key(*curve, point, scalar.view());
}

struct RsaMember {
  std::string_view jwk_name;
  const char* param;
};

constexpr std::array<RsaMember, 2> kRsaPublic = {{{"n", OSSL_PKEY_PARAM_RSA_N}, {"e", OSSL_PKEY_PARAM_RSA_E}}};
constexpr std::array<RsaMember, 5> kRsaFactors = {{{"p", OSSL_PKEY_PARAM_RSA_FACTOR1},
                                                   {"q", OSSL_PKEY_PARAM_RSA_FACTOR2},
                                                   {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
                                                   {"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2},
                                                   {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1}}};

Result<openssl::Key> import_rsa(const json::object& jwk, bool with_private) {
  std::vector<RsaMember> wanted(kRsaPublic.begin(), kRsaPublic.end());
  if (with_private) {
    if (jwk.contains("oth")) return fail(Code::key_invalid, "RSA keys with more than two primes are not supported");
    wanted.push_back({"d", OSSL_PKEY_PARAM_RSA_D});
    wanted.insert(wanted.end(), kRsaFactors.begin(), kRsaFactors.end());
  }
  const auto builder = new_builder();
  std::vector<openssl::Number> numbers;  // the builder only refers to them
  for (const auto& each : wanted) {
    TRY_ASSIGN(auto value, number(jwk, each.jwk_name));
    push(builder, each.param, value);
    numbers.push_back(std::move(value));
  }
  return from_builder("RSA", with_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, builder);
}

Result<openssl::Key> import_okp(const json::object& jwk, bool with_private) {
  TRY_ASSIGN(const auto curve, member(jwk, "crv"));
  if (curve != "Ed25519") return fail(Code::key_invalid, "JWK curve is not Ed25519");
  TRY_ASSIGN(const auto x, octets_of_size(jwk, "x", kEd25519Size));
  if (!with_private) {
    openssl::Key key(EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, x.view().data(), x.size()));
    if (key == nullptr) return openssl::failure(Code::key_invalid, "not a valid Ed25519 key");
    return key;
  }
  TRY_ASSIGN(const auto seed, octets_of_size(jwk, "d", kEd25519Size));
  openssl::Key key(EVP_PKEY_new_raw_private_key_ex(nullptr, "ED25519", nullptr, seed.view().data(), seed.size()));
  if (key == nullptr) return openssl::failure(Code::key_invalid, "not a valid Ed25519 key");
  // OpenSSL computes the public half from the seed; the one that stands in the JWK must be the same.
  std::array<std::uint8_t, kEd25519Size> computed{};
  auto size = computed.size();
  openssl::require(EVP_PKEY_get_raw_public_key(key.get(), computed.data(), &size) == 1, "EVP_PKEY_get_raw_public_key");
  if (!equal_constant_time(computed, x.view())) {
    return fail(Code::key_invalid, "the private and the public part of the key do not belong together");
  }
  return key;
}

Result<openssl::Key> import(const json::object& jwk, bool with_private) {
  TRY_ASSIGN(const auto type, member(jwk, "kty"));
  if (type == "EC") return import_ec(jwk, with_private);
  if (type == "RSA") return import_rsa(jwk, with_private);
  if (type == "OKP") return import_okp(jwk, with_private);
  return fail(Code::key_invalid, "JWK type is none of EC, RSA and OKP");
}

// Big-endian, padded to `size` bytes; minimal when `size` is 0.
std::string encoded_param(const EVP_PKEY* key, const char* param, std::size_t size) {
  BIGNUM* raw = nullptr;
  openssl::require(EVP_PKEY_get_bn_param(key, param, &raw) == 1, "EVP_PKEY_get_bn_param");
  const openssl::Number number(raw);
  Bytes bytes(size == 0 ? static_cast<std::size_t>(BN_num_bytes(raw)) : size);
  openssl::require(BN_bn2binpad(raw, bytes.data(), static_cast<int>(bytes.size())) >= 0, "BN_bn2binpad");
  return base64url_encode(bytes);
}

}  // namespace

Result<openssl::Key> import_public(const json::object& jwk) { return import(jwk, false); }

Result<openssl::Key> import_private(const json::object& jwk) { return import(jwk, true); }

Result<openssl::Key> import_scalar(KeyKind kind, ByteView scalar) {
  const auto* curve = curve_of(kind);
  if (curve == nullptr) return fail(Code::key_invalid, "{} keys have no curve scalar", key_kind_name(kind));
  if (scalar.size() != curve->size) {
    return fail(Code::key_invalid, "{} scalar has {} bytes, not {}", curve->name, scalar.size(), curve->size);
  }
  const openssl::Group group(EC_GROUP_new_by_curve_name(curve->nid));
  openssl::require(group != nullptr, "EC_GROUP_new_by_curve_name");
  const openssl::Number number(BN_secure_new());
  openssl::require(number != nullptr, "BN_secure_new");
  openssl::require(BN_bin2bn(scalar.data(), static_cast<int>(scalar.size()), number.get()) != nullptr, "BN_bin2bn");
  BN_set_flags(number.get(), BN_FLG_CONSTTIME);
  if (BN_is_zero(number.get()) || BN_cmp(number.get(), EC_GROUP_get0_order(group.get())) >= 0) {
    return fail(Code::key_invalid, "{} scalar out of range", curve->name);
  }
  const openssl::Point point(EC_POINT_new(group.get()));
  openssl::require(point != nullptr, "EC_POINT_new");
  openssl::require(EC_POINT_mul(group.get(), point.get(), number.get(), nullptr, nullptr, nullptr) == 1,
                   "EC_POINT_mul");
  Bytes octets(1 + 2 * curve->size);
  const auto written = EC_POINT_point2oct(group.get(), point.get(), POINT_CONVERSION_UNCOMPRESSED, octets.data(),
                                          octets.size(), nullptr);
  openssl::require(written == octets.size(), "EC_POINT_point2oct");
  return ec_key(*curve, octets, scalar);
}

json::object export_public(const EVP_PKEY* key, KeyKind kind) {
  if (kind == KeyKind::rsa) {
    return {{"kty", "RSA"},
            {"n", encoded_param(key, OSSL_PKEY_PARAM_RSA_N, 0)},
            {"e", encoded_param(key, OSSL_PKEY_PARAM_RSA_E, 0)}};
  }
  if (kind == KeyKind::ed25519) {
    std::array<std::uint8_t, kEd25519Size> x{};
    auto size = x.size();
    openssl::require(EVP_PKEY_get_raw_public_key(key, x.data(), &size) == 1, "EVP_PKEY_get_raw_public_key");
    return {{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", base64url_encode(x)}};
  }
  const auto& curve = *curve_of(kind);
  return {{"kty", "EC"},
          {"crv", curve.name},
          {"x", encoded_param(key, OSSL_PKEY_PARAM_EC_PUB_X, curve.size)},
          {"y", encoded_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, curve.size)}};
}

std::size_t field_size(KeyKind kind) {
  const auto* curve = curve_of(kind);
  return curve == nullptr ? 0 : curve->size;
}

}  // namespace proplet::crypto::jwk
