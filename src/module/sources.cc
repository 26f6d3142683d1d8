#include "module/sources.h"

#include "base/encoding.h"
#include "oci/reference.h"

namespace proplet::module {
namespace {

Result<std::optional<kbs::ResourceUri>> wanted_key(const ModuleRequest& request) {
  if (request.kbs_resource_path.empty()) return std::optional<kbs::ResourceUri>();
  auto uri = kbs::ResourceUri::parse(request.kbs_resource_path);
  if (!uri) return fail(std::move(uri).error().because("kbs_resource_path"));
  return std::optional(*std::move(uri));
}

}  // namespace

Result<Module> Sources::fetch(const ModuleRequest& request, StageObserver* observer, std::stop_token stop) {
  if (!request.file_base64.empty()) return decode_inline(request);
  if (HttpSource::is_for(request.image_url)) return download(request, observer, std::move(stop));
  TRY_ASSIGN(const auto reference, oci::Reference::parse(request.image_url));
  if (request.encrypted) return encrypted_image(request, reference, observer, std::move(stop));
  return plain_image(request, reference, observer, std::move(stop));
}

Result<Module> Sources::decode_inline(const ModuleRequest& request) const {
  if (request.encrypted) {
    return fail(Code::not_encrypted, "the module is inline, in the clear; this task demands an encrypted image");
  }
  // Before a buffer is made: the text stands for at most two bytes less than this.
  if (request.file_base64.size() / 4 * 3 > options_.max_module_bytes + 2) {
    return fail(Code::size_limit, "inline module is larger than {} bytes", options_.max_module_bytes);
  }
  auto bytes = base64_decode_secret(request.file_base64);
  if (!bytes) return fail(std::move(bytes).error().because("inline module"));
  if (bytes->size() > options_.max_module_bytes) {
    return fail(Code::size_limit, "inline module is larger than {} bytes", options_.max_module_bytes);
  }
  std::string digest = oci::Digest::of(bytes->view()).text();
  return Module{.bytes = *std::move(bytes), .digest = std::move(digest), .source = "inline", .confidential = false};
}

Result<Module> Sources::download(const ModuleRequest& request, StageObserver* observer, std::stop_token stop) const {
  if (request.encrypted) {
    return fail(Code::not_encrypted,
                "what is downloaded by a URL is in the clear; this task demands an encrypted image");
  }
  return parts_.http.fetch(request.image_url, observer, std::move(stop));
}

Result<Module> Sources::encrypted_image(const ModuleRequest& request, const oci::Reference& reference,
                                        StageObserver* observer, std::stop_token stop) const {
  if (options_.pull == PullMode::never) {
    return fail(Code::unsupported,
                "{}: encrypted images come straight from a registry only, and PROPLET_OCI_PULL=never forbids that",
                request.image_url);
  }
  TRY_ASSIGN(const auto wanted, wanted_key(request));
  const auto source = parts_.registry(reference);
  return parts_.opener.open(*source, Encryption::required, wanted, observer, std::move(stop));
}

Result<Module> Sources::plain_image(const ModuleRequest& request, const oci::Reference& reference,
                                    StageObserver* observer, std::stop_token stop) {
  if (options_.pull == PullMode::always) return pull_plain(parts_.registry, reference, observer, std::move(stop));
  if (options_.pull == PullMode::never) return receive_chunks(request, reference, observer, std::move(stop));

  const std::string host = reference.api_host();
  Error reason(Code::registry_unreachable, host + " could not be reached a moment ago");
  if (!unreachable_.contains(host)) {
    auto module = pull_plain(parts_.registry_at_first, reference, observer, stop);
    if (module || !calls_for_proxy(module.error(), reference)) return module;
    reason = std::move(module).error();
    if (reason.code() == Code::registry_unreachable) unreachable_.add(host);
  }
  parts_.log.warn("registry of no use: the proxy is asked", {{"image", request.image_url}, {"reason", reason.text()}});
  auto module = receive_chunks(request, reference, observer, std::move(stop));
  if (module) return module;
  return fail(std::move(module).error().caused_by(reason));
}

Result<Module> Sources::pull_plain(const oci::OpenImage& open, const oci::Reference& reference, StageObserver* observer,
                                   std::stop_token stop) const {
  const auto source = open(reference);
  return parts_.opener.open(*source, Encryption::forbidden, std::nullopt, observer, std::move(stop));
}

Result<Module> Sources::receive_chunks(const ModuleRequest& request, const oci::Reference& reference,
                                       StageObserver* observer, std::stop_token stop) const {
  return parts_.chunks.fetch(request.image_url, reference.digest(), observer, std::move(stop));
}

// Only before anything is known of the image: what has begun straight is not finished another way.
bool Sources::calls_for_proxy(const Error& error, const oci::Reference& reference) const {
  if (error.stage() != Stage::resolve) return false;
  if (error.code() == Code::registry_unreachable) return true;
  return error.code() == Code::registry_unauthorized && !parts_.has_credentials(reference);
}

}  // namespace proplet::module
