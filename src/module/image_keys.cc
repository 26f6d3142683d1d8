#include "module/image_keys.h"

namespace proplet::module {
namespace {

// Compares as text, so that nothing but the configured spelling of the host passes.
Status check_host(const kbs::ResourceUri& uri, const KeyRules& rules, std::string_view whose) {
  if (uri.host().empty() || uri.host() == rules.broker_host) return {};
  return fail(Code::kbs_not_allowed, "{} names the key broker {}; only the configured one is asked", whose, uri.host());
}

Result<kbs::ResourceUri> permitted(std::string_view key_id, const KeyRules& rules) {
  auto uri = kbs::ResourceUri::parse(key_id);
  if (!uri) return fail(Error(Code::annotation_invalid, "the image's key id").caused_by(uri.error()));
  TRY(check_host(*uri, rules, "the image's key id"));
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
  if (rules.wanted) TRY(check_host(*rules.wanted, rules, "the task's kbs_resource_path"));
  TRY(ocicrypt::public_options_of(annotations));
  TRY_ASSIGN(const auto key_ids, ocicrypt::provider_key_ids(annotations));
  std::optional<Error> first_refusal;
  for (const auto& key_id : key_ids) {
    auto uri = permitted(key_id, rules);
    if (uri) return {};
    if (!first_refusal) first_refusal = std::move(uri).error();
  }
  if (ocicrypt::has_key_pair_recipients(annotations) && recipient_key(rules)) return {};
  if (first_refusal) return fail(*std::move(first_refusal));
  if (ocicrypt::has_key_pair_recipients(annotations)) {
    return fail(Code::key_invalid,
                "the image is encrypted for a recipient's key and names none; give the task a kbs_resource_path");
  }
  return fail(Code::annotation_invalid, "the image has no key recipients that this worker knows; it has: {}",
              ocicrypt::schemes_of(annotations));
}

Result<SecretBytes> KeyRing::resource(const kbs::ResourceUri& uri) {
  auto known = answers_.find(uri.path());
  if (known == answers_.end()) {
    if (answers_.size() == kMaxKeys) {
      return fail(Code::annotation_invalid, "the image names more than {} keys", kMaxKeys);
    }
    known = answers_.emplace(uri.path(), broker_.get_resource(uri, observer_, stop_)).first;
  }
  if (!known->second) return fail(Error(known->second.error()));
  return known->second->clone();
}

Result<ocicrypt::LayerKeys> KeyRing::unwrap(const ocicrypt::Annotations& annotations) {
  ocicrypt::KeySource keys;
  keys.kek = [this](std::string_view key_id) -> Result<SecretBytes> {
    TRY_ASSIGN(const auto uri, permitted(key_id, rules_));
    return resource(uri);
  };
  if (const auto& key = recipient_key(rules_)) {
    keys.private_key = [this, &key]() -> Result<SecretBytes> { return resource(*key); };
  }
  return ocicrypt::unwrap_layer(annotations, keys);
}

}  // namespace proplet::module
