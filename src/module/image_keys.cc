#include "module/image_keys.h"

namespace proplet::module {
namespace {

Result<kbs::ResourceUri> permitted(std::string_view key_id, const KeyRules& rules) {
  auto uri = kbs::ResourceUri::parse(key_id);
  if (!uri) return fail(Error(Code::annotation_invalid, "the image's key id").caused_by(uri.error()));
  if (!uri->host().empty() && uri->host() != rules.broker_host) {
    return fail(Code::kbs_not_allowed, "the image's key id names the key broker {}; only the configured one is asked",
                uri->host());
  }
  if (rules.wanted && uri->path() != rules.wanted->path()) {
    return fail(Code::key_mismatch, "the image was encrypted with key {}, the task names {}", uri->path(),
                rules.wanted->path());
  }
  return uri;
}

const std::optional<kbs::ResourceUri>& recipient_key(const KeyRules& rules) {
  return rules.wanted ? rules.wanted : rules.default_key;
}

}  // namespace

Status check_key_ids(const ocicrypt::Annotations& annotations, const KeyRules& rules) {
  TRY_ASSIGN(const auto key_ids, ocicrypt::provider_key_ids(annotations));
  std::optional<Error> first_refusal;
  for (const auto& key_id : key_ids) {
    auto uri = permitted(key_id, rules);
    if (uri) return {};
    if (!first_refusal) first_refusal = std::move(uri).error();
  }
  if (ocicrypt::has_jwe_recipients(annotations) && recipient_key(rules)) return {};
  if (first_refusal) return fail(*std::move(first_refusal));
  if (ocicrypt::has_jwe_recipients(annotations)) {
    return fail(Code::key_invalid,
                "the image is encrypted for a recipient's key and names none; give the task a kbs_resource_path");
  }
  return fail(Code::annotation_invalid, "the image has no key recipients that this worker knows");
}

Result<ocicrypt::LayerKeys> release_layer_keys(const ocicrypt::Annotations& annotations, const KeyRules& rules,
                                               kbs::Client& broker, StageObserver* observer,
                                               const std::stop_token& stop) {
  ocicrypt::KeySource keys;
  keys.kek = [&](std::string_view key_id) -> Result<SecretBytes> {
    TRY_ASSIGN(const auto uri, permitted(key_id, rules));
    return broker.get_resource(uri, observer, stop);
  };
  if (const auto& key = recipient_key(rules)) {
    keys.private_key = [&]() -> Result<SecretBytes> { return broker.get_resource(*key, observer, stop); };
  }
  return ocicrypt::unwrap_layer(annotations, keys);
}

}  // namespace proplet::module
